"""What an API server serves: its resources, and the paths of their objects.

Read from aggregated discovery (KEP-3352): two requests for everything, however many groups there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
"""What ``/api`` and ``/apis`` are asked for to answer with all groups at once."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One type of object, as served: ``apps/v1`` ``Deployment`` is ``deployments``, and namespaced."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str] = frozenset()

    @property
    def api_version(self) -> str:
        """``apps/v1``, or ``v1`` in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def collection(self, namespace: str | None = None) -> str:
        """Return the path of all objects, or of those in one namespace."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        if namespace and self.namespaced:
            return f"{root}/namespaces/{namespace}/{self.plural}"
        return f"{root}/{self.plural}"

    def path(self, namespace: str | None, name: str) -> str:
        """Return the path of one object; names such as ``system:node`` need no quoting in it."""
        return f"{self.collection(namespace)}/{name}"


class Resources:
    """All types an API server serves at one moment.

    ``away`` are groups that have more types than are known, since the server behind them does not answer.
    """

    def __init__(self, resources: Iterable[Resource], *, away: Collection[str] = ()) -> None:
        self.away = frozenset(away)
        self._by_type: dict[tuple[str, str, str], Resource] = {}
        self._preferred: dict[tuple[str, str], Resource] = {}
        for resource in resources:
            self._by_type[resource.group, resource.version, resource.kind] = resource
            self._preferred.setdefault((resource.group, resource.kind), resource)

    def __iter__(self) -> Iterator[Resource]:
        """Iterate over all types, in all their versions."""
        return iter(self._by_type.values())

    def find(self, group: str, version: str, kind: str) -> Resource | None:
        """Return the type if exactly this version of it is served."""
        return self._by_type.get((group, version, kind))

    def of_kind(self, group: str, kind: str) -> Resource | None:
        """Return the type in the version the server prefers."""
        return self._preferred.get((group, kind))


def from_discovery(answer: Mapping[str, Any]) -> Iterator[Resource]:
    """Yield the resources of an ``APIGroupDiscoveryList``; versions come in the server's order of preference.

    A version whose API server is away is marked ``Stale`` and carries what was known; it is left out, since
    nothing can be read from it.
    """
    for group in answer.get("items") or ():
        for version in group.get("versions") or ():
            if version.get("freshness") == "Stale":
                continue
            for resource in version.get("resources") or ():
                # responseKind is empty for a resource the aggregator could not describe.
                kind = (resource.get("responseKind") or {}).get("kind")
                if kind:
                    yield Resource(
                        group=group["metadata"].get("name", ""),
                        version=version["version"],
                        kind=kind,
                        plural=resource["resource"],
                        namespaced=resource.get("scope") == "Namespaced",
                        verbs=frozenset(resource.get("verbs") or ()),
                    )


def away(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield the groups of an ``APIGroupDiscoveryList`` of which a version is marked ``Stale``."""
    for group in answer.get("items") or ():
        if any(version.get("freshness") == "Stale" for version in group.get("versions") or ()):
            yield group["metadata"].get("name", "")
