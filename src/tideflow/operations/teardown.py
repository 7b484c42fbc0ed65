"""The end of a platform: all that is billed for it is named, confirmed, deleted, and looked for again."""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click
from pyinfra import host

from tideflow.connectors import access
from tideflow.connectors.settings import TAG
from tideflow.errors import SettingError
from tideflow.operations import dns, holdings
from tideflow.operations.claims import claims, named
from tideflow.operations.holdings import Holding
from tideflow.operations.journal import Journal
from tideflow.operations.removal import Removal, Sight
from tideflow.operations.running import announce, change, is_dry, operation, platform, refusing, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    from pyinfra.api import FunctionCommand

    from tideflow.clients.digitalocean import DigitalOcean
    from tideflow.connectors.platform import PlatformConnector

_POLL = 5.0  # seconds between two looks; a rehearsal is faster
_POLL_REHEARSAL = 0.5


@dataclass(frozen=True)
class Doomed:
    """What was shown and confirmed: what there is, how it is removed, and files that lead nowhere then.

    ``claims`` are what people know volumes by.

    There is no ``removal`` where there is no API.
    """

    removal: Removal | None = None
    sight: Sight = field(default_factory=Sight)
    claims: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    @property
    def unfinished(self) -> bool:
        """Whether an earlier teardown did not come to its end."""
        return self.removal is not None and bool(self.removal.journal.clusters)

    def __bool__(self) -> bool:
        """Tell whether there is anything to do."""
        return bool(self.sight.doomed or self.unfinished)


@refusing
def confirmed() -> Doomed:
    """Show what is there and what it costs, and have somebody type the platform's name before it goes.

    It is asked while the deploy files are loaded: with ``-y``, pyinfra plans nothing beforehand.
    """
    target = platform()
    if target.digitalocean is None:
        return Doomed()
    removal = _removal(target, target.digitalocean)
    sight = removal.look()
    by_volume = claims(target) if any(each.kind == "volume" for each in (*sight.doomed, *sight.kept)) else {}
    found = Doomed(
        removal,
        Sight(named(sight.doomed, by_volume), named(sight.kept, by_volume)),
        by_volume,
        _files_of(target, removal.all_clusters) if sight.doomed or removal.journal.clusters else (),
    )
    if not (found.sight.doomed or found.unfinished):
        host.log(f"there is nothing of {target.platform} at DigitalOcean that could be deleted")
    if all(each.kind != "cluster" for each in sight.doomed):
        _name_unowned(target.digitalocean, {each.id for each in (*sight.doomed, *sight.kept)})
    if found.sight.doomed and not is_dry():
        costs = holdings.total(found.sight.doomed)
        host.log_styled(f"this is deleted for good, with all data in it; it costs {costs}:", fg="yellow")
        for each in _shown(found.sight.doomed):
            host.log(f"    {each}")
    if removal.journal.keeps and not removal.keep:
        host.log("an earlier teardown that did not end was to keep volumes: they stay")
        host.log(f"    to have them deleted too: {removal.journal.keeping()}")
    _name_kept(found.sight.kept)
    if found.sight.doomed and not is_dry():
        _confirm(target.platform)
    return found


@operation
def everything(*, doomed: Doomed, timeout: float) -> Generator[FunctionCommand]:
    """Have nothing left that is billed for the platform, but what is kept; ``timeout`` is in seconds."""
    target = platform()
    if doomed.removal is None:
        host.log(f"{target.platform} is not made by DigitalOcean's API: nothing to do here")
        return
    if not doomed:
        host.noop(f"there is nothing of {target.platform}")
        return
    for each in _shown(doomed.sight.doomed):
        announce(f"delete the {each}")
    if doomed.sight.doomed:
        announce(f"have it cost no more, which is {holdings.total(doomed.sight.doomed)}")
    elif doomed.unfinished:
        announce("make sure that nothing is left, as an earlier teardown that did not end was to")
    for file in doomed.files:
        announce(f"remove {file.name}, which leads to the cluster")
    yield change(functools.partial(_tear_down, target, doomed, doomed.removal, timeout=timeout))


def _removal(target: PlatformConnector, api: DigitalOcean) -> Removal:
    """Return what the platform's cluster, the journal, and our own files know of."""
    wanted, journal = settings(), Journal.read(api, target.platform)
    found = target.cluster()
    if found is not None and TAG not in found.tags:
        raise SettingError(
            f"the cluster {found.name} was not made by Tideflow: it has no tag {TAG}, so it is not deleted",
            hint="if it is yours to delete, take it over first (deploys/cluster.py with --data "
            "adopt_cluster=true), or delete it in the control panel (or give the token the scope tag:read, "
            "without which no tags are seen)",
        )
    living = {cluster.id: cluster for cluster in api.clusters()}
    for cluster in living.values():
        if f"{TAG}:{target.platform}" in cluster.tags and cluster.name != target.platform:
            host.log_styled(
                f"not touched: the cluster {cluster.name} has the tag {TAG}:{target.platform}, and another "
                "name",
                fg="yellow",
            )
    return Removal(
        api,
        journal,
        frozenset(
            [*([found.id] if found else []), *_left_by_hand(target, api, {*living, *journal.clusters})]
        ),
        keep=wanted.keep_volumes,
        snapshots=wanted.delete_snapshots,
        records=functools.partial(_records, target),
        gone=functools.partial(_forget_access, target),
    )


def _left_by_hand(target: PlatformConnector, api: DigitalOcean, known: Collection[str]) -> Iterator[str]:
    """Yield the ids of clusters that we had access to, that somebody deleted, and that left something."""
    for cluster_id in dict.fromkeys(map(access.cluster_of, _kubeconfigs(target))):
        if cluster_id is None or cluster_id in known:
            continue
        if holdings.find(api, {cluster_id}, ()):
            yield cluster_id
            continue
        files = " and ".join(map(str, _files_of(target, {cluster_id})))
        host.log(
            f"kept: {files}, which lead to the cluster {cluster_id}: this account has nothing of it "
            "(remove them if no other has)"
        )


def _records(target: PlatformConnector) -> Sequence[Holding]:
    """Return the DNS records that are ours, each with what removes it; they go first, with the address."""
    return [
        Holding(
            "DNS record",
            str(found.id),
            str(found),
            remove=functools.partial(dns.remove, target, [(zone, found)]),
        )
        for zone, found in dns.ours(target)
    ]


def _kubeconfigs(target: PlatformConnector) -> tuple[Path, ...]:
    return target.kubeconfig, target.folder / "access"


def _files_of(target: PlatformConnector, clusters: Collection[str]) -> tuple[Path, ...]:
    """Return the files that lead to one of these clusters."""
    return tuple(file for file in _kubeconfigs(target) if access.cluster_of(file) in clusters)


def _forget_access(target: PlatformConnector, cluster_id: str) -> None:
    """Remove what would lead somebody to a cluster that goes."""
    for file in _files_of(target, {cluster_id}):
        file.unlink(missing_ok=True)


def _name_unowned(api: DigitalOcean, known: Collection[str]) -> None:
    for each in holdings.unowned(api):
        if each.id not in known:
            why = "its cluster is gone and was perhaps another"
            if each.kind == "load balancer":
                why = "nothing tells whose it was"
            host.log(f"not touched, since {why}: {each}")
            host.log(f"    to delete it: {each.by_hand}")


def _shown(doomed: Sequence[Holding]) -> Sequence[Holding]:
    """Return what people want to read: nodes are in the line of their cluster, while it is there."""
    there = any(each.kind == "cluster" for each in doomed)
    return [each for each in doomed if not (there and each.kind == "droplet")]


def _name_kept(kept: Sequence[Holding]) -> None:
    for each in kept:
        host.log(f"kept: {each}")
        host.log(f"    to delete it later: {each.by_hand}")


def _confirm(name: str) -> None:
    """Raise ``SettingError`` unless somebody gives the name, in the setting or on the terminal."""
    given = host.data.get("confirm")
    if given is None:
        if not sys.stdin.isatty():
            raise SettingError(
                f"nobody confirms that {name} is deleted, and there is no terminal to ask on: nothing was "
                "changed",
                hint=f"after a look at what it is, add --data confirm={name}",
            )
        given = click.prompt(f"To delete it, type its name, {name}", default="", show_default=False, err=True)
    if str(given) != name:
        raise SettingError(f"{str(given)!r} is not {name}: nothing was changed")


def _tear_down(
    target: PlatformConnector,
    doomed: Doomed,
    removal: Removal,
    live: Callable[[str], None],
    *,
    timeout: float,
) -> None:
    if doomed.sight.doomed:
        removal.begin()
    poll = _POLL_REHEARSAL if target.rehearsal else _POLL
    sight = removal.run(live, timeout=timeout, poll=poll)
    target.host.log(f"nothing of {target.platform} is left that is billed{', but' if sight.kept else ''}")
    for each in named(sight.kept, doomed.claims):
        target.host.log(f"    {each}, which is kept; to delete it: {each.by_hand}")
