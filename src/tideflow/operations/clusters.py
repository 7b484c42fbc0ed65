"""What a cluster is to be, and what of one that exists has to become another; decided without asking anybody.

A setting that is None is not set: DigitalOcean decides for a new cluster, and what a cluster has is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from tideflow.connectors.settings import TAG
from tideflow.operations import pools
from tideflow.operations.words import counted, said

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tideflow.clients.provided import Cluster
    from tideflow.connectors.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A cluster as the settings have it; ``autoscale`` is the least and the most nodes, or False for off.

    ``scale_down`` allows to delete nodes, ``replace_nodes`` to put those of another size in their place.
    """

    name: str
    region: str
    version: str
    size: str
    count: int
    vpc: str | None = None
    autoscale: tuple[int, int] | Literal[False] | None = None
    ha: bool | None = None
    auto_upgrade: bool | None = None
    surge_upgrade: bool | None = None
    maintenance_window: str | None = None
    tags: tuple[str, ...] | None = None
    scale_down: bool = False
    replace_nodes: bool = False

    @classmethod
    def of(cls, settings: Settings, *, name: str) -> Self:
        """Return what the settings say of the cluster of that name."""
        return cls(
            name=name,
            region=settings.region,
            version=settings.kubernetes_version,
            size=settings.node_size,
            count=settings.node_count,
            vpc=settings.vpc,
            autoscale=settings.node_autoscale,
            ha=settings.high_availability,
            auto_upgrade=settings.auto_upgrade,
            surge_upgrade=settings.surge_upgrade,
            maintenance_window=settings.maintenance_window,
            tags=settings.cluster_tags,
            scale_down=settings.scale_down,
            replace_nodes=settings.replace_nodes,
        )

    def __str__(self) -> str:
        """Return it in words, without what is left to DigitalOcean."""
        given = {
            "high_availability": bool(self.ha),
            "cluster_tags": self.cluster_fields()["tags"],
            "vpc": self.vpc,
            "node_autoscale": self.autoscale,
            "auto_upgrade": self.auto_upgrade,
            "surge_upgrade": self.surge_upgrade,
            "maintenance_window": self.maintenance_window,
        }
        fields = ", ".join(f"{name}: {said(value)}" for name, value in given.items() if value is not None)
        nodes = f"{counted(self.count, 'node')} of {self.size}"
        return f"{nodes} in {self.region}, Kubernetes {self.version} ({fields})"

    @property
    def own_tags(self) -> tuple[str, ...]:
        """The tags that say whose the cluster is: Tideflow's, and this platform's."""
        return (TAG, f"{TAG}:{self.name}")

    @property
    def most_nodes(self) -> int:
        """How many nodes there can be, which is what has to hold all pods and may be billed."""
        return self.autoscale[1] if self.autoscale else self.count

    def cluster_fields(self) -> dict[str, Any]:
        """Return the API's fields for a new cluster; ``ha`` is always among them."""
        given = {
            "ha": bool(self.ha),
            "tags": _once([*self.own_tags, *(self.tags or ())]),
            "vpc_uuid": self.vpc,
            "auto_upgrade": self.auto_upgrade,
            "surge_upgrade": self.surge_upgrade,
            "maintenance_policy": self.maintenance_window and _policy(self.maintenance_window),
        }
        return {name: value for name, value in given.items() if value is not None}

    def pool_fields(self) -> dict[str, Any]:
        """Return the API's fields for the pool of a new cluster."""
        return {} if self.autoscale is None else pools.scaling(self.autoscale)


@dataclass(frozen=True)
class Changes:
    """What has to become another: in words, ``setting: old → new``, and as fields of the API.

    What has to be done for the pool is known one step after another; see ``pools.step``.
    """

    words: list[str] = field(default_factory=list)
    cluster: dict[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Tell whether there is anything to change."""
        return bool(self.words)


def changes(found: Cluster, wanted: Wanted) -> Changes:
    """Return what of a cluster has to become another, and can."""
    made = Changes()

    def change(setting: str, was: object, becomes: object, **fields: Any) -> None:
        made.words.append(f"{setting}: {said(was)} → {said(becomes)}")
        made.cluster.update(fields)

    tags = _tags(found, wanted)
    if set(map(str.casefold, tags)) != set(map(str.casefold, found.tags)):
        change("cluster_tags", found.tags, tags, tags=tags)
    if wanted.ha and not found.ha:
        change("high_availability", found.ha, wanted.ha, ha=True)
    for setting in ("auto_upgrade", "surge_upgrade"):
        was, becomes = getattr(found, setting), getattr(wanted, setting)
        if becomes not in {None, was}:
            change(setting, was, becomes, **{setting: becomes})
    window = wanted.maintenance_window
    if window not in {None, found.maintenance_window}:
        change(
            "maintenance_window", found.maintenance_window, window, maintenance_policy=_policy(window or "")
        )
    made.words.extend(pools.words(found, wanted))
    return made


def _tags(found: Cluster, wanted: Wanted) -> list[str]:
    """Return the tags that the cluster is to have; those of others stay where none are set."""
    others = found.tags if wanted.tags is None else wanted.tags
    return _once([*others, *wanted.own_tags])


def _once(tags: Iterable[str]) -> list[str]:
    """Return each tag once; in capitals it is the same one, and DigitalOcean keeps the spelling it knows."""
    first: dict[str, str] = {}
    for tag in tags:
        first.setdefault(tag.casefold(), tag)
    return list(first.values())


def _policy(window: str) -> dict[str, str]:
    day, _, start = window.partition(" ")
    return {"day": day, "start_time": start}
