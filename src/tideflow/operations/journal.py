"""What a teardown that is under way has to remember, kept where losing ``.tideflow`` does not lose it.

Once a cluster is gone, nothing tells which id it had, and load balancers carry no tag of it. So both are
written down beforehand, as tags in the account that nothing has: they outlive what they name, cost nothing,
and whoever has the token reads them. They are deleted once nothing of the platform is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tideflow.clients.digitalocean import DigitalOcean

_PREFIX = "tideflow-teardown"
_KEEP = "keep-volumes"


@dataclass
class Journal:
    """The ids of ``clusters`` of a platform that are torn down, and of other ``things`` of theirs.

    With ``keeps``, their volumes are to stay, whatever a later run is told.
    """

    api: DigitalOcean
    platform: str
    written: set[str] = field(default_factory=set)
    _new: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, api: DigitalOcean, platform: str) -> Self:
        """Read what earlier runs wrote."""
        start = f"{_PREFIX}:{platform}:"
        return cls(api, platform, {tag for tag in api.tags() if tag.startswith(start)})

    @property
    def clusters(self) -> set[str]:
        """The ids of clusters."""
        return {tag.split(":")[2] for tag in self.written}

    @property
    def things(self) -> set[str]:
        """The ids of what else is to go."""
        return {thing for _, _, _, *rest in self._parts() for thing in rest} - {_KEEP}

    @property
    def keeps(self) -> bool:
        """Whether volumes are to stay."""
        return any(_KEEP in rest for _, _, _, *rest in self._parts())

    def begin(self, clusters: Collection[str], *, keep: bool) -> None:
        """Write down which clusters are to go; with ``keep``, without their volumes."""
        for cluster_id in sorted(clusters):
            if keep:
                self._write(cluster_id, _KEEP)
            self._write(cluster_id)

    def note(self, thing: str) -> None:
        """Write down a thing that no tag tells to belong to a cluster."""
        if thing not in self.things:
            self._write(min(self.clusters), thing)

    def end(self) -> None:
        """Delete all of it."""
        self._delete(self.written)

    def take_back(self) -> None:
        """Delete what this run has written."""
        self._delete(self._new)

    def forgetting(self, clusters: Collection[str]) -> str:
        """Return the command by which a person has it forgotten that clusters were to go."""
        return _deleting(tag for tag in self.written if tag.split(":")[2] in clusters)

    def keeping(self) -> str:
        """Return the command by which a person has it forgotten that volumes were to stay."""
        return _deleting(tag for tag in self.written if _KEEP in tag.split(":"))

    def _delete(self, tags: set[str]) -> None:
        """Delete those first that say most, so that the rest is still of use when this is cut."""
        for tag in sorted(tags, key=lambda tag: (-tag.count(":"), tag)):
            self.api.delete_tag(tag)
            self.written.discard(tag)
            self._new.discard(tag)

    def _parts(self) -> list[list[str]]:
        return [tag.split(":") for tag in self.written]

    def _write(self, *parts: str) -> None:
        tag = ":".join((_PREFIX, self.platform, *parts))
        if tag not in self.written:
            self.api.create_tag(tag)
            self.written.add(tag)
            self._new.add(tag)


def _deleting(tags: Iterable[str]) -> str:
    return f"doctl compute tag delete {' '.join(sorted(tags))}"
