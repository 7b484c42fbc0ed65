"""How a 1-click application stands: whether there is anything to do about it, and what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tideflow.errors import KubernetesError, SettingError
from tideflow.operations import orders, releases

if TYPE_CHECKING:
    from collections.abc import Collection

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.operations.releases import Health, Release

_NOT_FOUND = 404
_NOT_BEGUN = "its installation has not begun yet"


@dataclass(frozen=True)
class Standing:
    """What there is to do about a 1-click, and why; ``stuck`` is what has to be forgotten before.

    ``rolled_back`` says that Helm is through with it, in vain.
    """

    todo: Literal["nothing", "order", "wait"]
    why: str = ""
    stuck: Release | None = None
    rolled_back: bool = False


class Looking:
    """Looks how 1-clicks stand in a cluster, which may not be there yet.

    An installation is given up ``longest`` seconds after its order.
    """

    def __init__(self, cluster: Kubernetes | None, *, longest: float) -> None:
        self._cluster = cluster
        self._longest = longest
        self._ages = orders.ages(cluster) if cluster is not None else {}
        self._pending: set[str] = set()

    def at(self, slug: str) -> Standing:
        """Return how a 1-click stands now; raises ``SettingError`` if somebody else's is in its place."""
        if self._cluster is None:
            return Standing("order")
        if _is_leaving(self._cluster, slug):
            return Standing("wait", f"the namespace {slug} of an older one is being deleted")
        release = releases.find(self._cluster, slug)
        if release is None:
            return self._without(slug)
        if release.status.startswith("pending") or release.status == "uninstalling":
            return self._under_way(release)
        if release.status != "deployed":
            return self._given_up(release)
        return self._deployed(releases.health(self._cluster, release), slug)

    def ordered(self, slugs: Collection[str]) -> None:
        """Take in that 1-clicks have just been ordered."""
        self._ages |= dict.fromkeys(slugs, 0.0)
        self._pending -= set(slugs)

    def passed(self, seconds: float) -> None:
        """Take in that time has passed."""
        self._ages = {slug: age + seconds for slug, age in self._ages.items()}

    def _is_on_its_way(self, slug: str) -> bool:
        age = self._ages.get(slug)
        return age is not None and age < self._longest and slug not in self._pending

    def _without(self, slug: str) -> Standing:
        if self._is_on_its_way(slug):
            return Standing("wait", _NOT_BEGUN)
        if slug in self._pending:
            return Standing("order", "its installation was rolled back", rolled_back=True)
        if slug in self._ages:
            why = "nothing came of its installation, or it was rolled back"
            return Standing("order", why, rolled_back=True)
        if self._cluster is not None and (other := releases.foreign(self._cluster, slug)):
            raise SettingError(
                f"{other} is there and not of a release {slug}, so that the 1-click cannot be installed",
                hint=f"if it is not needed, delete it; else take {slug} out of the setting addons",
            )
        return Standing("order")

    def _given_up(self, release: Release) -> Standing:
        if self._is_on_its_way(release.name):
            return Standing("wait", _NOT_BEGUN)
        return Standing("order", f"its release is {release.status}", rolled_back=True)

    def _deployed(self, health: Health, slug: str) -> Standing:
        if health.missing:
            are = "is" if len(health.missing) == 1 else "are"
            why = f"{', '.join(health.missing)} {are} gone"
            return Standing("wait" if self._is_on_its_way(slug) else "order", why)
        if health.stopped:
            why = f"{', '.join(health.stopped)} has 0 replicas"
            return Standing("wait" if self._is_on_its_way(slug) else "order", why)
        if health.unready:
            return Standing("wait", "; ".join(health.unready))
        return Standing("nothing")

    def _under_way(self, release: Release) -> Standing:
        if release.age < self._longest:
            self._pending.add(release.name)
            return Standing("wait", f"its release is {release.status}")
        why = f"its release has been {release.status} for {release.age:.0f} s"
        return Standing("order", why, stuck=release)


def _is_leaving(cluster: Kubernetes, namespace: str) -> bool:
    try:
        found = cluster.get(f"/api/v1/namespaces/{namespace}")
    except KubernetesError as error:
        if error.status == _NOT_FOUND:
            return False
        raise
    return "deletionTimestamp" in found["metadata"]
