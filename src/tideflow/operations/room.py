"""Whether the nodes that there are have room for a base, before it is applied to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyinfra import host

from tideflow.operations import fitting, pools
from tideflow.operations.demand import demand
from tideflow.operations.running import operation, platform, present_cluster

if TYPE_CHECKING:
    from collections.abc import Generator

    from pyinfra.api import FunctionCommand

    from tideflow.clients.provided import Cluster
    from tideflow.operations.bases import Base


@operation
def room(*, base: Base) -> Generator[FunctionCommand]:
    """Refuse a base that the nodes of the live cluster have no room for; changes nothing.

    If some of it is there already, or the nodes are somebody else's, that is only said: what is missing has
    to be put back even while others take its room, and whoever made the nodes may make more by need.
    """
    yield from ()
    target = platform()
    cluster = present_cluster()
    if cluster is None:
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
    for line in fit.table():
        host.log(line)
    fresh = not any(workload.makes(pod) for workload in workloads for pod in pods)
    if target.digitalocean is None or not fresh:
        host.log_styled(str(fit.problem()), fg="yellow")
        return
    raise fit.problem()


def _most_nodes(cluster: Cluster | None) -> int:
    """Return how many nodes there may be, once DigitalOcean has scaled those that it scales."""
    if cluster is None:
        return 0
    return sum(pools.nodes_now(pool)[1] for pool in cluster.node_pools)
