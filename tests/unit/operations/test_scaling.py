"""Pools become what is asked for, whatever goes wrong on the way, at a twin in this process."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.rehearsal.twin.calling import TOKEN, listening
from tests.unit.rehearsal.twin.passing import World

from tideflow.clients.digitalocean import DigitalOcean
from tideflow.clients.patience import PATIENCE
from tideflow.errors import KubernetesError, TideflowError
from tideflow.operations import pools, scaling
from tideflow.operations.clusters import Wanted
from tideflow.operations.leaving import View
from tideflow.operations.scaling import Scaling
from tideflow.rehearsal.twin.api import application
from tideflow.rehearsal.twin.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.clients.provided import Cluster

SIZES = ("s-4vcpu-8gb", "s-8vcpu-16gb")
WANTED = Wanted(
    name="ml", region="nyc3", version="1.34", size=SIZES[0], count=2, scale_down=True, replace_nodes=True
)
THEIRS = {"name": "theirs", "size": "s-4vcpu-8gb", "count": 1}


class KilledError(Exception):
    """A run ends in the middle."""


class Empty:
    """The Kubernetes of a cluster without pods; it has the nodes that the twin has made."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.patched: dict[str, Any] = {}

    @property
    def there(self) -> set[str]:
        """The names of the nodes."""
        return self.world.there

    def get(self, path: str, **_: Any) -> Any:
        """Return the nodes, one of them, or no pods."""
        name = path.rpartition("/")[2]
        if name == "pods":
            return {"items": []}
        if name == "nodes":
            return {"items": [self._node(each) for each in sorted(self.there)]}
        if name not in self.there:
            raise KubernetesError("it is not there", status=404)
        return self._node(name)

    def pages(self, path: str) -> Iterator[Any]:
        """Yield the only page."""
        yield self.get(path)

    def patch(self, path: str, body: Any, **_: Any) -> None:
        """Keep what a node is to be."""
        self.patched[path.rpartition("/")[2]] = body

    def _node(self, name: str) -> Any:
        body = self.patched.get(name, {"metadata": {}, "spec": {}})
        room = {"cpu": "4", "memory": "6Gi", "pods": "110"}
        metadata = {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z", **body["metadata"]}
        status = {"allocatable": room, "conditions": [{"type": "Ready", "status": "True"}]}
        return {"metadata": metadata, "spec": body["spec"], "status": status}

    @property
    def closed(self) -> list[str]:
        """The nodes that take no pods."""
        return [name for name in self.there if self._node(name)["spec"].get("unschedulable")]


class Runs:
    """A cluster of the twin, and runs over it, each of which may be killed."""

    def __init__(self, world: World, endpoint: str) -> None:
        self.world = world
        self.api = DigitalOcean(TOKEN, endpoint=f"{endpoint}/v2/", timeout=5)
        self.kubernetes = Empty(world)
        self.fewest = 999

    def begin(self, count: int) -> None:
        """Have a new cluster, with a pool of somebody else beside ours."""
        self.fail()
        self.world.state.clusters.clear()
        ours = {"name": "ml-pool", "size": SIZES[0], "count": count}
        self.id = self.world.running(node_pools=[ours, THEIRS])["id"]
        self.kubernetes.patched.clear()

    def fail(self, *rules: dict[str, Any]) -> None:
        """Have requests fail by these rules, and not for being many."""
        self.world.switch(rules=rules, requests_per_minute=100_000, requests_per_hour=1_000_000)

    def found(self) -> Cluster:
        """Return the cluster as it is."""
        return self.api.cluster(self.id)

    def run(self, wanted: Wanted, *, looks: int | None = None) -> None:
        """Have what is wanted; the run is killed when it looks for the last time that it may."""
        left = [looks]

        def look() -> Cluster:
            if left[0] is not None:
                left[0] -= 1
                if left[0] < 0:
                    raise KilledError
            return self.found()

        def passing(_: str) -> None:
            self.world.later(60)
            running = [
                node
                for pool in self.world.state.clusters[self.id].pools
                for node in pool.nodes
                if pool.name != THEIRS["name"] and node.state == "running"
            ]
            self.fewest = min(self.fewest, len(running))

        scaling = Scaling(
            self.api,
            wanted,
            look,
            lambda: cast("Kubernetes", self.kubernetes),
            passing,
            lambda _: None,
            time.monotonic() + 5,
            0.0,
        )
        scaling.run()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Serve a twin whose time passes while somebody waits."""
    folder: Path = tmp_path_factory.mktemp("twin")
    state = State(folder / "state.json")
    with pytest.MonkeyPatch.context() as patch:
        hasty = PATIENCE.new(backoff_factor=0, backoff_jitter=0)
        patch.setattr("tideflow.clients.requesting.PATIENCE", hasty)
        patch.setattr("tideflow.clients.pools._LOOKS_AFTER", (0, 0, 0))
        patch.setattr(state, "save", lambda: None)
        world = World(state, folder, patch)
        with listening(application(state, world.lifecycle, TOKEN)) as endpoint:
            yield Runs(world, endpoint)


rules = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["POST", "PUT", "DELETE", "*"]),
        "path": st.just("/v2/kubernetes/clusters/*"),
        "times": st.integers(1, 3),
    },
    optional={"carried_out": st.booleans()},
).flatmap(
    lambda rule: st.sampled_from(
        [{**rule, "cut": True}, {**rule, "status": 500}, {**rule, "status": 503}, {**rule, "status": 422}]
    )
)
changes = st.tuples(
    st.integers(1, 4), st.sampled_from(SIZES), st.lists(rules, max_size=3), st.none() | st.integers(0, 12)
)


@given(st.integers(1, 4), st.lists(changes, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_pool_ends_as_it_was_asked_for(
    runs: Runs, count: int, asked: list[tuple[int, str, list[Any], int | None]]
) -> None:
    """Nodes, sizes, lost answers, refusals and kills in any order: no node is left over, no pool there twice.

    While nodes are replaced or become fewer, there are never fewer than before or than are wanted.
    """
    runs.begin(count)
    for wanted_count, size, faults, looks in asked:
        wanted = replace(WANTED, count=wanted_count, size=size)
        has = pools.own_pools(runs.found(), wanted)
        running = sum(node.state == "running" for pool in has for node in pool.nodes)
        runs.fewest = running
        runs.fail(*faults)
        with suppress(KilledError, TideflowError):
            runs.run(wanted, looks=looks)
        assert runs.fewest >= min(running, wanted_count)
        runs.fail()
    runs.run(wanted)  # the last of them, once more: it finishes what was left undone
    runs.world.later(1)  # Kubernetes notices a moment later that a pool is gone
    found = runs.found()
    names = {pool.name for pool in found.node_pools}
    (ours,) = pools.own_pools(found, wanted)
    assert names == {ours.name, "theirs"}
    assert (ours.size, ours.count, len(ours.nodes)) == (size, wanted_count, wanted_count)
    assert pools.is_settled(ours)
    assert runs.world.there == {node.name for pool in found.node_pools for node in pool.nodes}
    assert runs.kubernetes.closed == []
    assert pools.step(found, wanted) is None


@pytest.mark.parametrize("kind", [{"cut": True}, {"status": 500}])
def test_a_pool_whose_making_was_not_answered_is_not_made_twice(runs: Runs, kind: dict[str, Any]) -> None:
    """The cluster is looked at before it is asked for again."""
    runs.begin(2)
    runs.fail({"method": "POST", "path": "*/node_pools", "carried_out": True, **kind})
    wanted = replace(WANTED, size=SIZES[1])
    runs.run(wanted)
    found = runs.found()
    assert [(pool.name, pool.size, pool.count) for pool in found.node_pools] == [
        ("theirs", SIZES[0], 1),
        (f"ml-pool-{SIZES[1]}", SIZES[1], 2),
    ]


def test_bounds_below_what_there_is_take_nodes_away(runs: Runs) -> None:
    """Nothing scales while they go, and it does afterwards."""
    runs.begin(4)
    runs.run(replace(WANTED, count=4, autoscale=(4, 4)))
    runs.run(replace(WANTED, autoscale=(1, 2)))
    (ours,) = pools.own_pools(runs.found(), WANTED)
    assert (ours.count, ours.auto_scale, ours.min_nodes, ours.max_nodes) == (2, True, 1, 2)


def test_without_the_settings_no_node_goes(runs: Runs) -> None:
    """Whatever is asked for."""
    runs.begin(3)
    runs.run(replace(WANTED, count=1, size=SIZES[1], scale_down=False, replace_nodes=False))
    assert [(pool.size, len(pool.nodes)) for pool in runs.found().node_pools] == [
        (SIZES[0], 3),
        (SIZES[0], 1),
    ]


def test_fewer_nodes_of_another_size_are_not_said_to_be_deleted(runs: Runs) -> None:
    """What was meant is to replace them, and with ``scale_down`` some of the old ones would go instead."""
    runs.begin(3)
    wanted = replace(WANTED, count=1, size=SIZES[1], scale_down=False, replace_nodes=False)
    view = View.read(cast("Kubernetes", runs.kubernetes))
    (why,) = scaling.problems(runs.found(), wanted, view)
    assert "has 3 nodes of s-4vcpu-8gb, and the settings are 1 of s-8vcpu-16gb" in str(why)
    assert "replace_nodes=true" in str(why)


def test_another_pool_of_the_name_is_left_alone(runs: Runs) -> None:
    """It is said, and nothing is drained."""
    runs.begin(2)
    stranger = {"name": f"ml-pool-{SIZES[1]}", "size": "s-2vcpu-4gb", "count": 1}
    path = f"/v2/kubernetes/clusters/{runs.id}/node_pools"
    assert runs.world.api.post(path, json=stranger).status_code == 201
    with pytest.raises(TideflowError, match="already, of other nodes than s-8vcpu-16gb"):
        runs.run(replace(WANTED, size=SIZES[1]))
    assert runs.kubernetes.closed == []
    assert len(runs.found().node_pools) == 3
