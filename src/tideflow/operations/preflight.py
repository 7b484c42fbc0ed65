"""What would go wrong is told before anything is made or billed, all of it at once.

It is looked for while the deploy files are loaded: with ``-y``, pyinfra plans nothing beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

from pyinfra import host, logger

from tideflow.connectors.settings import TAG
from tideflow.errors import DigitalOceanError, SettingError, TideflowError
from tideflow.facts.digitalocean import Upgrades
from tideflow.operations import (
    addons,
    bases,
    changing,
    clusters,
    differences,
    dns,
    edges,
    fitting,
    pools,
    prices,
    scaling,
    upgrading,
    versions,
)
from tideflow.operations.commands import to_run
from tideflow.operations.demand import Demand, demand
from tideflow.operations.hostnames import Asked
from tideflow.operations.journal import Journal
from tideflow.operations.leaving import View
from tideflow.operations.offers import Offers
from tideflow.operations.running import platform, refusals, refusing, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tideflow.clients.digitalocean import DigitalOcean
    from tideflow.clients.provided import Cluster
    from tideflow.connectors.platform import PlatformConnector
    from tideflow.operations.clusters import Wanted
    from tideflow.vendoring.pins import Release

Answer = TypeVar("Answer")

_WITHHELD = {403, 404}  # the token lacks the scope; some calls then say that there is nothing


@dataclass(frozen=True)
class _Vendored:
    """Which release is vendored, or would be, and what is vendored asks for; None if nobody knows yet.

    In a rehearsal the sample will do.
    """

    release: Release | None
    asked: Demand | None
    problems: tuple[TideflowError, ...] = ()

    @classmethod
    def read(cls, target: PlatformConnector) -> Self:
        release = None
        try:
            known = target.rehearsal or bases.release() is not None
            release = bases.coming()
            return cls(release, demand(bases.foreseen().manifests) if known else None)
        except TideflowError as error:
            return cls(release, None, (error,))


@refusing
def preflight(wanted: Wanted, *, adopt: bool, unsupported: bool) -> None:
    """End the run, with all reasons, unless the cluster can be made, or become, what is wanted.

    If it is to be made or to grow, this says what Kubeflow asks for, what its nodes offer, and about what it
    will cost.
    """
    target = platform()
    api = target.digitalocean
    if api is None:
        return
    found = target.cluster()
    if found is None or clusters.changes(found, wanted):
        _tell_of_a_teardown(target, api)
    if found is None:
        problems = list(_before_it_is_made(target, api, wanted, unsupported=unsupported))
    else:
        problems = list(differences.problems(found, wanted, adopt=adopt))
        if adopt or found.has(TAG):
            problems += _before_it_grows(target, api, found, wanted)
            problems += _before_nodes_go(target, api, found, wanted)
            problems += _before_an_upgrade(found, wanted, unsupported=unsupported)
    _refuse(problems)


def _tell_of_a_teardown(target: PlatformConnector, api: DigitalOcean) -> None:
    """Say that an earlier teardown did not end; one request, so not in runs that change nothing."""
    try:
        journal = Journal.read(api, target.platform)
    except DigitalOceanError as error:
        if error.status not in _WITHHELD:
            raise
        return
    if journal.clusters:
        host.log_styled(
            f"a teardown of {target.platform} was begun, and did not end: finish it ({to_run('teardown')}), "
            f"or have it forgotten ({journal.forgetting(journal.clusters)})",
            fg="yellow",
        )


def _refuse(problems: Sequence[TideflowError]) -> None:
    if len(problems) == 1:
        raise problems[0]
    for problem in problems:
        host.log_styled(str(problem), fg="red", log_func=logger.error)
    if problems:
        raise SettingError(f"{len(problems)} problems have to be solved first: nothing was made or changed")


def _before_it_is_made(
    target: PlatformConnector, api: DigitalOcean, wanted: Wanted, *, unsupported: bool
) -> Iterator[TideflowError]:
    vendored = _Vendored.read(target)
    offers = _offers(api)
    yield from vendored.problems
    yield from offers.problems(wanted, vendored.release, unsupported=unsupported)
    newest = versions.newest(offers.versions, wanted.version)
    if newest not in {None, wanted.version}:
        host.log(f"Kubernetes {wanted.version} is {newest} now")
    nodes = (wanted.count, wanted.most_nodes)
    yield from _room(vendored, offers, wanted.region, wanted.size, nodes)
    yield from _in_later_steps(target)
    _say(_bill(vendored, wanted.size, nodes, ha=bool(wanted.ha)))


def _in_later_steps(target: PlatformConnector) -> Iterator[TideflowError]:
    """Yield what those of ``deploys/all.py`` would refuse: 1-clicks, and the record of the hostname."""
    unknown = refusals(edges.edge)
    yield from unknown or refusals(addons.check, edges.addons())
    yield from refusals(dns.records_to_make, Asked.of(settings(), rehearsal=target.rehearsal))


def _before_it_grows(
    target: PlatformConnector, api: DigitalOcean, found: Cluster, wanted: Wanted
) -> Iterator[TideflowError]:
    """Yield what keeps a cluster from becoming one that costs more, if it is to."""
    pool = pools.pool_of(found, wanted)
    if pool is None:
        return
    now, then = pools.nodes_now(pool), pools.nodes_then(pool, wanted)
    ha = bool(wanted.ha or found.ha)
    new = pools.is_to_be_made(found, wanted)
    if then <= now and ha == found.ha and not new:
        return
    vendored = _Vendored.read(target)
    yield from vendored.problems
    size = wanted.size if new else pool.size
    if then > now or new:
        offers = _offers(api)
        yield from offers.has_nodes(size, found.region)
        yield from offers.room(then[1] - (0 if new else pool.count))
        if found.node_pools == (pool,):
            yield from _room(vendored, offers, found.region, size, then)
    _say(_bill(vendored, size, then, ha=ha))
    if new:
        host.log(f"until the {pool.count} nodes of {pool.size} are gone, both are billed")


def _before_nodes_go(
    target: PlatformConnector, api: DigitalOcean, found: Cluster, wanted: Wanted
) -> Iterator[TideflowError]:
    """Yield what keeps nodes from going, with the pods that would lose something, and the numbers."""
    if changing.loses_nodes(found, wanted) and (cluster := target.kubernetes()) is not None:
        size = None
        if pools.is_to_be_made(found, wanted):
            size = _offers(api).size(wanted.size)
        yield from scaling.problems(found, wanted, View.read(cluster), size)


def _before_an_upgrade(found: Cluster, wanted: Wanted, *, unsupported: bool) -> Iterator[TideflowError]:
    """Yield what keeps a cluster from the version of the settings."""
    asked = upgrading.is_asked_for(found, wanted.version)
    known = asked and found.state != "upgrading"  # else it is not yet what it can be upgraded from
    offered: list[str] | None = host.get_fact(Upgrades) if known else None
    if known and offered is None:
        _not_checked("which versions the cluster can be upgraded to (the token may not know)")
    release = bases.coming() if asked else None
    yield from upgrading.problems(found, wanted.version, offered, release, unsupported=unsupported)


def _offers(api: DigitalOcean) -> Offers:
    """Ask what the account may have; what its token may not know is said, and not checked."""

    def ask(what: str, answer: Callable[[], Answer]) -> Answer | None:
        try:
            return answer()
        except DigitalOceanError as error:
            if error.status not in _WITHHELD:
                raise
            _not_checked(f"{what} ({error.message})")
            return None

    sizes = ask("which sizes the region has", api.sizes) or ()
    droplets = ask("how many droplets there are; counted are the nodes of clusters", api.droplets)
    if droplets is None:
        droplets = sum(pool.count for cluster in api.clusters() for pool in cluster.node_pools)
    return Offers(
        options=api.options(),
        sizes={size.slug: size for size in sizes},
        account=ask("how many droplets the account may have", api.account),
        droplets=droplets,
    )


def _room(
    vendored: _Vendored, offers: Offers, region: str, slug: str, nodes: tuple[int, int]
) -> Iterator[TideflowError]:
    """Say whether Kubeflow fits so many nodes, at first and at most, of a size."""
    size = offers.size(slug)
    if vendored.problems:
        return
    if vendored.asked is None:
        _not_checked(
            f"whether Kubeflow fits the nodes (there is nothing in {bases.VENDORED} yet: make vendor)"
        )
    elif size is None:
        _not_checked(f"whether Kubeflow fits the nodes (how much room {slug} has is not known)")
    else:
        workloads = vendored.asked.workloads
        fit = fitting.foreseen(workloads, size, nodes[1])
        others = fitting.others(workloads, (each for each in offers.nodes(region) if each.slug != slug))
        host.log("the nodes, for Kubeflow and the ingress, beside what DigitalOcean runs on each:")
        _say(fit.table(others))
        if not fit.holds:
            yield fit.problem(others)


def _bill(vendored: _Vendored, slug: str, nodes: tuple[int, int], *, ha: bool) -> Iterator[str]:
    """Yield what it will cost, in words; without volumes, if it is not known how many there are."""
    asked = vendored.asked or Demand((), 0, 0)
    return prices.Bill(
        size=slug,
        nodes=nodes[0],
        most_nodes=nodes[1],
        volumes=asked.volumes,
        volumes_gib=asked.volumes_gib,
        high_availability=ha,
        balancer_nodes=settings().balancing.size or 1,
    ).lines()


def _not_checked(what: str) -> None:
    host.log_styled(f"not checked: {what}", fg="yellow")


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        host.log(line)
