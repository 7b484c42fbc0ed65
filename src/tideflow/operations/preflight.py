"""What would go wrong is told before anything is made or billed, all of it at once.

The first look is taken while the deploy files are loaded: with ``-y``, pyinfra plans nothing beforehand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pyinfra import host, logger

from tideflow.connectors.platform import CLUSTER
from tideflow.connectors.settings import TAG
from tideflow.errors import DigitalOceanError, SettingError, TideflowError
from tideflow.operations import bases, clusters, fitting, prices, versions
from tideflow.operations.demand import demand
from tideflow.operations.offers import Offers
from tideflow.operations.running import executing, operation, platform, promised, refusing, to_run

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from pyinfra.api import FunctionCommand

    from tideflow.clients.digitalocean import DigitalOcean
    from tideflow.clients.provided import Cluster
    from tideflow.connectors.platform import PlatformConnector
    from tideflow.operations.bases import Base
    from tideflow.operations.clusters import Wanted

Answer = TypeVar("Answer")

_WITHHELD = {403, 404}  # the token lacks the scope; some calls then say that there is nothing


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
    if found is None:
        problems = list(_before_it_is_made(target, api, wanted, unsupported=unsupported))
    else:
        problems = list(clusters.problems(found, wanted, adopt=adopt))
        if adopt or TAG in found.tags:
            problems += _before_it_grows(target, api, found, wanted)
    _refuse(problems)


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
    try:
        release = bases.release()
    except TideflowError as error:
        release = None
        yield error
    offers = _offers(target, api)
    yield from offers.problems(wanted, release, unsupported=unsupported)
    newest = versions.newest(offers.versions, wanted.version)
    if newest not in {None, wanted.version}:
        host.log(f"Kubernetes {wanted.version} is {newest} now")
    if release is not None or target.rehearsal:
        yield from _room(wanted, wanted.size, (wanted.count, wanted.most_nodes), offers)
    else:
        host.log_styled(
            f"there is nothing in {bases.VENDORED} yet, so that nobody knows whether it fits: make vendor",
            fg="yellow",
        )


def _before_it_grows(
    target: PlatformConnector, api: DigitalOcean, found: Cluster, wanted: Wanted
) -> Iterator[TideflowError]:
    """Yield what keeps a cluster from getting more nodes, if it is to have more."""
    pool = clusters.pool_of(found, wanted)
    count = clusters.changes(found, wanted).count
    if pool is None or count is None or count <= pool.count:
        return
    offers = _offers(target, api)
    yield from offers.room(count - pool.count)
    if found.node_pools == (pool,) and (target.rehearsal or bases.release() is not None):
        yield from _room(wanted, pool.size, (count, max(count, wanted.most_nodes)), offers)


def _offers(target: PlatformConnector, api: DigitalOcean) -> Offers:
    """Ask what the account may have; what its token may not know is said, and not checked."""

    def ask(what: str, answer: Callable[[], Answer]) -> Answer | None:
        try:
            return answer()
        except DigitalOceanError as error:
            if error.status not in _WITHHELD:
                raise
            if not target.rehearsal:  # its twin does not have all of the API
                host.log_styled(f"not checked: {what} ({error.message})", fg="yellow")
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


def _room(wanted: Wanted, slug: str, number: tuple[int, int], offers: Offers) -> Iterator[TideflowError]:
    """Say whether Kubeflow fits so many nodes, at first and at most, and what they cost."""
    try:
        asked = demand(bases.foreseen().manifests)
    except TideflowError as error:
        yield error
        return
    size = offers.size(slug)
    if size is None:
        host.log_styled(f"not checked: how much room nodes of {slug} have", fg="yellow")
    else:
        fit = fitting.foreseen(asked.workloads, size, number[1])
        alike = [other for other in offers.nodes(wanted.region) if other.slug != slug]
        others = fitting.others(asked.workloads, alike)
        host.log("the nodes, for Kubeflow and the ingress, beside what DigitalOcean runs on each:")
        _say(fit.table(others))
        if not fit.holds:
            yield fit.problem(others)
    bill = prices.Bill(
        size=slug,
        nodes=number[0],
        most_nodes=number[1],
        volumes=asked.volumes,
        volumes_gib=asked.volumes_gib,
        high_availability=bool(wanted.ha),
    )
    _say(bill.lines())


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        host.log(line)


@operation
def room(*, base: Base) -> Generator[FunctionCommand]:
    """Refuse a base that the nodes of the live cluster have no room for; changes nothing.

    Of a base that runs already it asks no more than that it does.
    """
    yield from ()
    target = platform()
    cluster = target.kubernetes()
    if cluster is None:
        if executing() or not promised(CLUSTER):
            raise SettingError(
                f"{CLUSTER} {target.platform} does not run", hint=f"run first: {to_run('cluster')}"
            )
        return
    workloads = demand(base.manifests).workloads
    pods = [pod for page in cluster.pages("/api/v1/pods") for pod in page["items"]]
    if not fitting.missing(workloads, pods):
        host.noop("all pods have their places")
        return
    nodes = cluster.get("/api/v1/nodes")["items"]
    fit = fitting.live(workloads, nodes, pods, number=_most_nodes(target.cluster()))
    if fit is None or fit.holds:
        host.noop("the nodes have room for all pods")
        return
    _say(fit.table())
    if target.digitalocean is None:
        # Whoever made the nodes may make more of them by need.
        host.log_styled(str(fit.problem()), fg="yellow")
        return
    raise fit.problem()


def _most_nodes(cluster: Cluster | None) -> int:
    """Return how many nodes there may be, once DigitalOcean has scaled those that it scales."""
    if cluster is None:
        return 0
    return sum(pool.max_nodes if pool.auto_scale else pool.count for pool in cluster.node_pools)
