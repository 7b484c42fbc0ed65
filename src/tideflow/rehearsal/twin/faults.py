"""What goes wrong on request, while the twin runs.

All of it is kept in memory: a twin that is started again has no faults.
"""

from __future__ import annotations

import threading
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tideflow.rehearsal.twin import catalogue, reading

_LONGEST = 600.0  # seconds that a request is held up

Glob = Annotated[str, Field(min_length=1)]
"""A name or path in which ``*`` stands for anything."""


class _Exact(reading.Body):
    """What a person writes, who is told of a misspelt field."""

    model_config = ConfigDict(extra="forbid")


class Rule(_Exact):
    """What happens to the next requests of a method to a path.

    The request is held up for ``delay`` seconds. Then it is carried out and answered, or else, with a
    ``status`` or with the connection ``cut``, it is neither. If it is to be ``carried_out`` all the same,
    that comes first, before any delay.
    """

    method: Glob = "*"
    path: Glob
    times: Annotated[int, Field(ge=1)] | None = 1
    delay: Annotated[float, Field(ge=0, le=_LONGEST)] = 0.0
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    message: str = "made to fail by a rule"
    retry_after: Annotated[int, Field(ge=0)] | None = None
    cut: bool = False
    carried_out: bool = False

    @property
    def fails(self) -> bool:
        """Whether the request is not answered as it would be without the rule."""
        return self.cut or self.status is not None

    def is_about(self, method: str, path: str) -> bool:
        """Tell whether the rule is for such a request."""
        return fnmatchcase(method, self.method.upper()) and fnmatchcase(path, self.path)


class Faults(_Exact):
    """All that can go wrong, and how much the account may have.

    The first of the ``rules`` that fits a request is followed; one that has been followed ``times`` times is
    dropped, without ``times`` none is. Clusters of the names in ``broken_clusters`` end in the state
    ``error``, and those that run are ``degraded_clusters`` for as long as they are named. New clusters are in
    lists only once the ``list_delay`` is over, in seconds; by their ids they are there at once. With
    ``no_balancers``, Services get no address, and its text as the reason. Deleted clusters are shown while
    they are ``lingering``, as they go. A deleted load balancer is still there for the ``balancer_delay``, in
    seconds. What is ``left_behind`` stays, though a cluster was deleted together with it, or had it for
    nodes. The newest ``missing_nodes`` of those that are being made never come. 1-clicks that are
    ``withdrawn`` are not offered, and those that are ``rolled_back`` leave no more than a namespace.
    """

    rules: list[Rule] = Field(default_factory=list)
    droplet_limit: Annotated[int, Field(ge=0)] = catalogue.DROPLET_LIMIT
    requests_per_hour: Annotated[int, Field(ge=1)] = 5000
    requests_per_minute: Annotated[int, Field(ge=1)] = 250
    broken_clusters: list[Glob] = Field(default_factory=list)
    degraded_clusters: list[Glob] = Field(default_factory=list)
    list_delay: Annotated[float, Field(ge=0, le=_LONGEST)] = 0.0
    no_balancers: str = ""
    lingering: bool = False
    balancer_delay: Annotated[float, Field(ge=0, le=_LONGEST)] = 0.0
    left_behind: list[Literal["load_balancers", "volumes", "volume_snapshots", "droplets"]] = Field(
        default_factory=list
    )
    missing_nodes: Annotated[int, Field(ge=0)] = 0
    withdrawn: list[reading.OneClick] = Field(default_factory=list)
    rolled_back: list[reading.OneClick] = Field(default_factory=list)

    def breaks(self, cluster: str) -> bool:
        """Tell whether the cluster of that name is to end in the state ``error``."""
        return any(fnmatchcase(cluster, pattern) for pattern in self.broken_clusters)

    def degrades(self, cluster: str) -> bool:
        """Tell whether the cluster of that name is to be ``degraded``."""
        return any(fnmatchcase(cluster, pattern) for pattern in self.degraded_clusters)


class Switchboard:
    """The faults that are switched on; safe to use from several threads."""

    def __init__(self) -> None:
        self._faults = Faults()
        self._lock = threading.Lock()

    @property
    def faults(self) -> Faults:
        """What is switched on now; not to be changed."""
        return self._faults

    def switch(self, faults: Faults) -> None:
        """Have these faults and no others."""
        with self._lock:
            self._faults = faults

    def rule_for(self, method: str, path: str) -> Rule | None:
        """Return the rule that a request is to follow, which counts as followed."""
        with self._lock:
            rules = self._faults.rules
            followed = next((rule for rule in rules if rule.is_about(method, path)), None)
            if followed is not None and followed.times is not None:
                place, left = rules.index(followed), followed.times - 1
                remaining = [followed.model_copy(update={"times": left})] if left else []
                rules = [*rules[:place], *remaining, *rules[place + 1 :]]
                self._faults = self._faults.model_copy(update={"rules": rules})
            return followed
