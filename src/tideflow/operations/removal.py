"""Deleting clusters with what they made, and looking until nothing of it is left.

DigitalOcean deletes a cluster and what is named with it (``destroy_with_associated_resources/selective``) in
one call, in an order of its own: the controllers that would make a load balancer anew stop with the cluster,
and volumes are let go by nodes that are deleted. So nothing is deleted through Kubernetes first: that would
take a control plane that works, which a cluster in error has not, and hang on pods that do not end.

Lists of the API may be behind, and what was to be deleted may not be. So each round looks at all there is,
does what is due, and a few looks in a row have to find nothing before that is believed. A round relies on
nothing but the account and the journal, so that it does not matter in which of them an earlier run ended.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from tideflow.clients.billed import Associated
from tideflow.connectors.settings import TAG
from tideflow.errors import ApplyError, DigitalOceanError, SettingError
from tideflow.operations import holdings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tideflow.clients.digitalocean import DigitalOcean
    from tideflow.clients.provided import Cluster
    from tideflow.operations.holdings import Holding
    from tideflow.operations.journal import Journal

_CLEAN_LOOKS = 3
_FAILED_LOOKS = 5  # in a row
_PASSING = {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}
_FINAL = {0, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


@dataclass(frozen=True)
class Sight:
    """What is there: what is to go, and what is to stay."""

    doomed: tuple[Holding, ...] = ()
    kept: tuple[Holding, ...] = ()


@dataclass
class Removal:
    """What is to go: ``clusters``, by their ids, and what the journal has.

    With ``keep``, volumes stay; without ``snapshots``, those do. ``records`` returns what is to go besides.
    ``gone`` is told the id of each cluster once it is on its way out, or is no more.
    """

    api: DigitalOcean
    journal: Journal
    clusters: frozenset[str]
    keep: bool
    snapshots: bool
    records: Callable[[], Sequence[Holding]] = tuple
    gone: Callable[[str], None] = lambda _: None
    _touched: bool = False

    def look(self) -> Sight:
        """Return what is there now.

        Raises ``SettingError`` for a cluster that the journal has, and that is not the platform's any more.
        """
        found = holdings.find(self.api, self.all_clusters, self.journal.things, check=self._refuse_another)
        kept = tuple(filter(self._stays, found))
        return Sight((*self.records(), *(each for each in found if each not in kept)), kept)

    @property
    def all_clusters(self) -> frozenset[str]:
        """The ids of all clusters that are to go."""
        return self.clusters | self.journal.clusters

    def _refuse_another(self, found: Cluster) -> None:
        """Raise ``SettingError`` for a cluster that is used on under another name: an id is not enough.

        The teardown that wrote it down may have ended before it deleted anything.
        """
        if found.state == "deleting" or (found.name == self.journal.platform and found.has(TAG)):
            return
        is_named = found.name == self.journal.platform
        how = f"has no tag {TAG}" if is_named else f"is named {found.name}"
        raise SettingError(
            f"an earlier teardown of {self.journal.platform} that did not end was to delete the cluster "
            f"{found.id}, which {how} now: it is not deleted",
            hint="if it is to stay, have that forgotten, and run this step again: "
            + self.journal.forgetting({found.id}),
        )

    def _stays(self, found: Holding) -> bool:
        if found.known_by == "nodes":
            return True
        if found.kind == "snapshot":
            return not self.snapshots and found.id not in self.journal.things
        return found.kind == "volume" and (self.keep or self.journal.keeps)

    def begin(self) -> None:
        """Write down what is to go, so that whoever comes later can go on."""
        self.journal.begin(self.clusters, keep=self.keep)

    def run(
        self,
        live: Callable[[str], None],
        *,
        timeout: float,
        poll: float,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> Sight:
        """Have all that is to go gone, end the journal, and return what is kept; times are in seconds.

        Raises ``ApplyError``, naming what is left, once the time is over.
        """
        start, clean, failed = clock(), 0, 0
        why: dict[str, str] = {}
        kept: dict[str, Holding] = {}  # a snapshot is no longer known for ours once its volume is gone
        while True:
            try:
                sight = self.look()
                failed = 0
            except DigitalOceanError as error:
                failed += 1
                if error.status not in _PASSING or failed == _FAILED_LOOKS:
                    raise
                sight, clean = None, 0
            if sight is not None:
                kept |= {each.id: each for each in sight.kept}
                clean = 0 if sight.doomed else clean + 1
                if clean == _CLEAN_LOOKS:
                    for cluster_id in self.all_clusters:
                        self.gone(cluster_id)
                    self.journal.end()
                    return Sight(kept=tuple(kept.values()))
                self._act(sight.doomed, why)
                elapsed = clock() - start
                if sight.doomed and elapsed > timeout:
                    raise _left(sight.doomed, why, elapsed)
                told = holdings.numbers(sight.doomed) or "nothing seen, looking again"
                live(f"waiting {elapsed:.0f} s until all is gone: {told}")
            sleep(poll)

    def _act(self, doomed: Sequence[Holding], why: dict[str, str]) -> None:
        """Do what can be done now; ``why`` some of it could not is told by ids."""
        for each in doomed:
            if each.known_by == "id":
                self.journal.note(each.id)
        # While a cluster is there, its controllers hold its load balancers, and its nodes its volumes.
        held = any(each.kind == "cluster" for each in doomed)
        for each in doomed:
            try:
                if each.kind == "cluster":
                    if not each.going:
                        self._delete(each.id)
                    self._touched = True
                    self.gone(each.id)
                elif each.remove is not None and (each.kind == "DNS record" or not held):
                    each.remove()
                why.pop(each.id, None)
            except DigitalOceanError as error:
                self._touched |= error.unsure
                # DigitalOcean deletes droplets itself, as a rule: a token that must not waits for that.
                waits = each.kind == "droplet" and error.status == HTTPStatus.FORBIDDEN
                if error.status in _FINAL and not waits:
                    if each.kind == "cluster" and error.status and not self._touched:
                        self._take_back(each.id, error)
                    raise
                why[each.id] = str(error)

    def _take_back(self, cluster_id: str, error: DigitalOceanError) -> None:
        """Forget what this run has begun, since nothing was deleted; what earlier ones have begun stays."""
        try:
            self.journal.take_back()
        except DigitalOceanError:
            error.hint = "; ".join(
                filter(None, (error.hint, f"if it is to stay: {self.journal.forgetting({cluster_id})}"))
            )

    def _delete(self, cluster_id: str) -> None:
        """Have a cluster deleted with what it has made, which is written down before."""
        made = self.api.associated(cluster_id)
        snapshots = made.snapshots if self.snapshots else ()
        for thing in (*made.load_balancers, *snapshots):
            self.journal.note(thing)
        volumes = () if self.keep or self.journal.keeps else made.volumes
        self.api.delete_cluster_with(cluster_id, Associated(made.load_balancers, volumes, snapshots))


def _left(doomed: Sequence[Holding], why: dict[str, str], elapsed: float) -> ApplyError:
    lines = [f"waited {elapsed:.0f} s, and this is left and billed, {holdings.total(doomed)}:"]
    for each in doomed:
        reason = f"; {why[each.id]}" if each.id in why else ""
        lines.append(f"    {each}: {each.by_hand}{reason}")
    return ApplyError("\n".join(lines), hint="run this step again, which goes on, or delete it by hand")
