"""Having the nodes that the settings say: pools that are made, grown, shrunk and replaced.

What is done next is what ``pools.step`` says of the cluster as it is then; nothing is remembered.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tideflow.engine import capacity
from tideflow.errors import ApplyError, SettingError
from tideflow.operations import draining, leaving, pools
from tideflow.operations.draining import Emptying
from tideflow.operations.leaving import View
from tideflow.operations.words import some
from tideflow.rehearsal import nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tideflow.clients.digitalocean import DigitalOcean
    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.clients.provided import Cluster, Node, NodePool, Size
    from tideflow.operations.clusters import Wanted


def going(found: Cluster, wanted: Wanted, view: View) -> list[Node]:
    """Return the nodes that are to go, as it looks now: those that are too many, and of pools that go."""
    pool = pools.pool_of(found, wanted)
    if pool is None:
        return []
    old = pools.replaced(found, wanted) if wanted.replace_nodes else []
    gone = [node for each in old for node in leaving.order(each, view)]
    return gone if pool in old else [*gone, *leaving.order(pool, view)[: pools.excess(pool, wanted)]]


def problems(found: Cluster, wanted: Wanted, view: View, size: Size | None = None) -> Iterator[SettingError]:
    """Yield what keeps nodes from going, with the numbers; ``size`` is that of new nodes, if it is known."""
    pool = pools.pool_of(found, wanted)
    nodes_going = [node.name for node in going(found, wanted, view)]
    if pool is None or not nodes_going:
        return
    if pools.excess(pool, wanted) and not wanted.scale_down and not pools.is_to_be_made(found, wanted):
        yield _not_allowed(pool, wanted, nodes_going, view)
    new = []
    if pools.is_to_be_made(found, wanted):
        if size is None:
            return
        new = [_new_node(size, view)] * max(pools.nodes_then(pool, wanted))
    if why := leaving.shortage(draining.released(view, but=nodes_going), nodes_going, new):
        yield _no_room(nodes_going, why)


def _not_allowed(pool: NodePool, wanted: Wanted, names: list[str], view: View) -> SettingError:
    if pool.size != wanted.size:
        return SettingError(
            f"the pool {pool.name} of the cluster {wanted.name} has {pool.count} nodes of {pool.size}, "
            f"and the settings are {wanted.count} of {wanted.size}",
            hint="add --data replace_nodes=true to have new nodes take their place",
        )
    most = f"the setting node_count is {wanted.count}"
    if wanted.autoscale:
        most = f"node_autoscale allows {wanted.autoscale[1]} at most"
    stake = view.at_stake(names)
    lost = f", with which goes what these pods have there: {some(stake)}" if stake else ""
    return SettingError(
        f"the pool {pool.name} of the cluster {wanted.name} has {pool.count} nodes, and {most}: "
        f"{some(names)} would be deleted, and {len(view.moving(names))} pods move{lost}",
        hint="add --data scale_down=true to have them deleted",
    )


def _no_room(names: list[str], why: str) -> SettingError:
    return SettingError(
        f"{some(names)} cannot go: {why}",
        hint="have more nodes, or larger ones, or delete what takes the room",
    )


def _new_node(size: Size, view: View) -> dict[str, object]:
    """Return what a new node leaves for pods, beside those that are on every node."""
    offered = nodes.allocatable(size.cpus, size.memory_mib)
    everywhere = leaving.daemons(view)
    left = {
        "cpu": float(offered["cpu"].removesuffix("m")) / 1000 - everywhere.cpu,
        "memory": float(offered["memory"].removesuffix("Mi")) * 2**20 - everywhere.memory,
        "pods": int(offered["pods"]) - everywhere.pods,
    }
    return {"status": {"allocatable": left}}


@dataclass
class Scaling:
    """Does step after step, until the pools are as they are wanted.

    ``look`` returns the cluster as it is now, and raises for one that is no more; ``kubernetes`` returns its
    client. ``live`` shows what is waited for, ``log`` says what has been done. ``deadline`` is a time of
    ``time.monotonic``, ``pause`` the seconds between two looks.
    """

    api: DigitalOcean
    wanted: Wanted
    look: Callable[[], Cluster]
    kubernetes: Callable[[], Kubernetes | None]
    live: Callable[[str], None]
    log: Callable[[str], None]
    deadline: float
    pause: float

    def run(self) -> None:
        """Have the pools as they are wanted."""
        found = self._look_on()
        while (step := pools.step(found, self.wanted)) is not None:
            self._do(found, step)
            found = self._look_on()
        pool = pools.pool_of(found, self.wanted)
        if pool is not None:
            self._settle(pool.name)
        self._release()

    def _look_on(self) -> Cluster:
        """Return the cluster once those of our nodes are gone that were about to go when a run ended."""
        found = self.look()
        for pool in pools.own_pools(found, self.wanted):
            for node in pool.nodes:
                if node not in pools.staying(pool):
                    self._wait_gone(node)
                    found = self.look()
        return found

    def _do(self, found: Cluster, step: pools.Step) -> None:
        if isinstance(step, pools.Make):
            self._make(found, step)
        elif isinstance(step, pools.Change):
            self.api.update_node_pool(
                found.id, step.pool.id, name=step.pool.name, count=step.count, fields=step.fields
            )
            self._settle(step.pool.name)
        elif isinstance(step, pools.Shrink):
            self._shrink(found, step.pool)
        else:
            self._retire(found, step.pool)

    def _make(self, found: Cluster, step: pools.Make) -> None:
        if any(pool.name == step.name for pool in found.node_pools):
            raise SettingError(
                f"the cluster {found.name} has a pool {step.name} already, of other nodes than {step.size}",
                hint="give it another name in DigitalOcean's control panel, then run this step again",
            )
        self.api.create_node_pool(
            found.id, name=step.name, size=step.size, count=step.count, fields=step.fields
        )
        self._settle(step.name)
        self.log(f"made the pool {step.name} with {step.count} nodes")

    def _settle(self, name: str) -> None:
        """Wait until the pool of a name has all its nodes, and they run."""

        def missing(found: Cluster) -> str:
            pool = next((pool for pool in found.node_pools if pool.name == name), None)
            if pool is None:
                return "it is not there"
            if pools.is_settled(pool):
                return ""
            running = sum(node.state == "running" for node in pool.nodes)
            late = [f"{node.name} is {node.state}" for node in pool.nodes if node.state != "running"]
            return f"{running} of {pool.count} nodes running" + (f" ({some(late, 3)})" if late else "")

        self._wait(f"the pool {name}", missing)

    def _shrink(self, found: Cluster, pool: NodePool) -> None:
        """Have one node less: the one that leaves the least behind, once nothing is on it any more."""
        node = self._emptied(found, pool)
        self.api.delete_node(found.id, pool.id, node.id)
        self._wait_gone(node)
        self.log(f"deleted the node {node.name} of the pool {pool.name}")

    def _retire(self, found: Cluster, pool: NodePool) -> None:
        """Have one node less of a pool that another has taken the place of; with the last one it goes."""
        new = pools.pool_of(found, self.wanted)
        if new is not None:
            self._settle(new.name)
            self._wait(f"the nodes of the pool {new.name}", self._not_ready(new.name))
        if len(pools.staying(pool)) > 1:
            self._shrink(found, pool)
            return
        last = [self._emptied(found, pool) for _ in pools.staying(pool)]
        self.api.delete_node_pool(found.id, pool.id)
        for node in last:
            self._wait_gone(node)
        self._wait(
            f"the pool {pool.name} to go",
            lambda now: "it is there" if any(each.id == pool.id for each in now.node_pools) else "",
        )
        self.log(f"deleted the pool {pool.name}")

    def _not_ready(self, name: str) -> Callable[[Cluster], str]:
        """Return what says of which nodes of a pool Kubernetes does not know that pods can run there."""

        def missing(found: Cluster) -> str:
            cluster = self.kubernetes()
            if cluster is None:
                return ""
            live = cluster.get("/api/v1/nodes")["items"]
            ready = {node["metadata"]["name"] for node in live if capacity.is_ready(node)}
            wanted = {node.name for pool in found.node_pools if pool.name == name for node in pool.nodes}
            return f"{some(sorted(wanted - ready), 3)} not ready yet" if wanted - ready else ""

        return missing

    def _wait_gone(self, node: Node) -> None:
        """Wait until a node is gone, with what could not be kept off it."""
        cluster = self.kubernetes()

        def there(now: Cluster) -> str:
            states = {each.id: each.state for pool in now.node_pools for each in pool.nodes}
            if node.id in states:
                return states[node.id]
            return "Kubernetes has it still" if cluster and draining.is_there(cluster, node.name) else ""

        self._wait(f"the node {node.name} to go", there)
        if cluster is not None:
            draining.bury(cluster, node.name)

    def _emptied(self, found: Cluster, pool: NodePool) -> Node:
        """Return the node of a pool that goes next, without pods; all that are to go take none any more."""
        cluster = self.kubernetes()
        if cluster is None:
            raise ApplyError(
                f"the nodes of the pool {pool.name} cannot be emptied: the cluster does not run",
                hint="run this step again",
            )
        view = View.read(cluster)
        names = [node.name for node in going(found, self.wanted, view)]
        draining.release(cluster, draining.held(view, but=names))
        if why := leaving.shortage(draining.released(view, but=names), names):
            raise _no_room(names, why)
        node = next(node for node in leaving.order(pool, view) if node.name in names)
        for words in view.at_stake({node.name}):
            self.log(f"goes: {words}")
        if view.node(node.name):
            Emptying(cluster, self.live, self.log, self.deadline, self.pause).empty(node.name, names)
        return node

    def _release(self) -> None:
        """Let pods on nodes again that an earlier run was about to delete, and that stay after all."""
        cluster = self.kubernetes()
        if cluster is not None:
            draining.release(cluster, draining.held(View(cluster.get("/api/v1/nodes")["items"])))

    def _wait(self, what: str, missing: Callable[[Cluster], str]) -> None:
        """Look until nothing is ``missing``, which returns what is in words."""
        start = time.monotonic()
        while how := missing(self.look()):
            elapsed = time.monotonic() - start
            if time.monotonic() > self.deadline:
                raise ApplyError(
                    f"waited {elapsed:.0f} s for {what}: {how}",
                    hint="run this step again: it goes on waiting",
                )
            self.live(f"waiting {elapsed:.0f} s for {what}: {how}")
            time.sleep(self.pause)
