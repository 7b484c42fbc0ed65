"""Whatever is asked of the twin in whatever order, what it knows is sound, and can all be torn down."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.unit.rehearsal.twin.calling import CLUSTERS, create, lift_limits
from tests.unit.rehearsal.twin.passing import World
from tests.unit.rehearsal.twin.test_resources import PODS, SERVICES, VOLUMES, pod, service, volume

from tideflow.rehearsal.twin.state import State

if TYPE_CHECKING:
    from tideflow.rehearsal.twin.cluster import Cluster, Pool

WHICH = st.integers(0, 9)


class Histories(RuleBasedStateMachine):
    """Steps of people and of time."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._patches = pytest.MonkeyPatch()

    @initialize()
    def begin(self) -> None:
        """Have a twin with a cluster that runs."""
        file = Path(self._folder.name, "state.json")
        self.world = World(State(file), file.parent, self._patches)
        self.world.api.checks = False  # other tests do; it takes most of the time
        lift_limits(self.world.api)
        self.world.running()

    def teardown(self) -> None:
        """Delete all that is billed, as somebody does who wants to pay nothing, and see that nothing is."""
        api = self.world.api
        lift_limits(api)
        for found in api.get(f"{CLUSTERS}?per_page=200").json["kubernetes_clusters"]:
            path = f"{CLUSTERS}/{found['id']}/destroy_with_associated_resources/dangerous"
            assert api.delete(path).status_code == 204
        self.world.objects.away = True
        self.world.later(60)
        for kind in ("load_balancers", "volumes"):
            for found in api.get(f"/v2/{kind}?per_page=200").json[kind]:
                assert api.delete(f"/v2/{kind}/{found['id']}").status_code == 204
        for kind in ("load_balancers", "volumes", "droplets"):
            assert api.get(f"/v2/{kind}").json["meta"]["total"] == 0
        assert self.world.state.clusters == {}
        self._patches.undo()
        self._folder.cleanup()

    @rule(name=st.sampled_from(["ml", "other"]), version=st.sampled_from(["1.33", "1.34"]))
    def create(self, name: str, version: str) -> None:
        """Ask for a cluster."""
        assert create(self.world.api, name=name, version=version).status_code in {201, 422}

    @rule(which=WHICH, count=st.integers(1, 6))
    def scale(self, which: int, count: int) -> None:
        """Ask for another number of nodes."""
        if chosen := self._pool(which):
            self._ask("PUT", _path(*chosen), {202, 422}, json={"name": chosen[1].name, "count": count})

    @rule(which=WHICH, node=WHICH, replace=st.integers(0, 1), skip_drain=st.integers(0, 1))
    def delete_node(self, which: int, node: int, replace: int, skip_drain: int) -> None:
        """Delete a node that is there."""
        if (chosen := self._pool(which)) and chosen[1].nodes:
            found = chosen[1].nodes[node % len(chosen[1].nodes)]
            query = f"?replace={replace}&skip_drain={skip_drain}"
            self._ask("DELETE", f"{_path(*chosen)}/nodes/{found.id}{query}", {202, 422})

    @rule(which=WHICH)
    def delete_pool(self, which: int) -> None:
        """Delete a pool."""
        if chosen := self._pool(which):
            self._ask("DELETE", _path(*chosen), {204})

    @rule(which=WHICH, how=st.sampled_from(["", "/selective", "/dangerous"]))
    def delete(self, which: int, how: str) -> None:
        """Delete a cluster."""
        if cluster := self._cluster(which):
            path = f"{CLUSTERS}/{cluster.id}" + (how and f"/destroy_with_associated_resources{how}")
            self._ask("DELETE", path, {204}, **({"json": {}} if how == "/selective" else {}))

    @rule(which=WHICH)
    def upgrade(self, which: int) -> None:
        """Ask for the newest version."""
        if cluster := self._cluster(which):
            path = f"{CLUSTERS}/{cluster.id}/upgrade"
            self._ask("POST", path, {202, 422}, json={"version": "1.34.1-do.2"})

    @rule(which=WHICH)
    def make(self, which: int) -> None:
        """Have a Service, and a volume that a pod uses."""
        made = [cluster for cluster in self.world.state if cluster.name == "ml"]
        names = [node.name for cluster in made for pool in cluster.pools for node in pool.nodes]
        node = names[which % len(names)] if names else "none"
        lists = self.world.objects.lists
        for path, new in ((SERVICES, service()), (VOLUMES, volume("a")), (PODS, pod("a", node))):
            lists[path] = [*lists.get(path, ()), new]
        self.world.api.get("/v2/volumes")

    @rule()
    def unmake(self) -> None:
        """Have none of them any more."""
        self.world.objects.lists.clear()
        self.world.api.get("/v2/volumes")

    @rule(seconds=st.sampled_from([1, 60, 300, 1800]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.world.later(seconds)

    @rule(missing=st.integers(0, 2), limit=st.integers(0, 12), broken=st.booleans())
    def fail(self, missing: int, limit: int, *, broken: bool) -> None:
        """Have other faults."""
        names = ["other"] if broken else []
        lift_limits(self.world.api, missing_nodes=missing, droplet_limit=limit, broken_clusters=names)

    @invariant()
    def is_sound(self) -> None:
        """Each pool has as many nodes as it is to have, and none twice; all of it is saved."""
        if not hasattr(self, "world"):
            return
        for cluster in self.world.state:
            nodes = [node for pool in cluster.pools for node in pool.nodes]
            assert len({node.name for node in nodes}) == len(nodes)
            for pool in cluster.pools:
                assert pool.count == sum(not node.leaves for node in pool.nodes) >= 1
        saved = State(self.world.state._file)
        for kind in ("clusters", "balancers", "volumes", "snapshots"):
            assert getattr(saved, kind) == getattr(self.world.state, kind)

    def _cluster(self, which: int) -> Cluster | None:
        found = [cluster for cluster in self.world.state if cluster.state != "deleting"]
        return found[which % len(found)] if found else None

    def _pool(self, which: int) -> tuple[Cluster, Pool] | None:
        cluster = self._cluster(which)
        return (cluster, cluster.pools[which % len(cluster.pools)]) if cluster and cluster.pools else None

    def _ask(self, method: str, path: str, allowed: set[int], **sent: Any) -> None:
        answer = self.world.api.open(path, method=method, **sent)
        assert answer.status_code in allowed, answer.text


def _path(cluster: Cluster, pool: Pool) -> str:
    return f"{CLUSTERS}/{cluster.id}/node_pools/{pool.id}"


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
