"""Waiting for a cluster, by what DigitalOcean says of it at each look."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import replace
from typing import Any

import pytest

from tideflow.clients.provided import Cluster, Node, NodePool
from tideflow.errors import ApplyError
from tideflow.operations import provisioning
from tideflow.operations.clusters import Wanted

POOL = NodePool("p", "ml-pool", "s-4vcpu-8gb", 2)
FOUND = Cluster(
    id="c",
    name="ml",
    region="nyc3",
    version="1.34.1-do.2",
    state="provisioning",
    message="",
    endpoint="",
    node_pools=(POOL,),
)

WANTED = Wanted(name="ml", region="nyc3", version="1.34", size="s-4vcpu-8gb", count=2)


class Target:
    """A platform whose cluster is another at each look; the last one stays."""

    platform = "ml"
    rehearsal = True

    def __init__(self, *looks: Cluster | None) -> None:
        self._looks = deque(looks)

    def forget(self) -> None:
        """Look again."""
        if len(self._looks) > 1:
            self._looks.popleft()

    def cluster(self) -> Cluster | None:
        """Return the cluster as it is at this look."""
        return self._looks[0]


def at(state: str, *nodes: str, message: str = "") -> Cluster:
    """Return the cluster in a state, with nodes in theirs."""
    pool = replace(POOL, nodes=tuple(Node(f"n{n}", f"ml-{n}", node) for n, node in enumerate(nodes)))
    return replace(FOUND, state=state, message=message, node_pools=(pool,))


def wait(*looks: Cluster | None, timeout: float = 60, **how: Any) -> list[str]:
    """Wait without pauses, and return what was shown meanwhile, without the seconds."""
    shown: list[str] = []
    target: Any = Target(FOUND, *looks)
    provisioning.wait(target, WANTED, shown.append, timeout=timeout, **how)
    return [line.partition(": ")[2] for line in shown]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again at once."""
    monkeypatch.setattr(provisioning, "_POLL_REHEARSAL", 0)


@pytest.mark.parametrize("state", ["provisioning", "upgrading", "degraded"])
def test_what_does_not_run_yet_is_waited_for_and_its_nodes_are_counted(state: str) -> None:
    """Those too that are not listed yet; it ends once all run."""
    shown = wait(
        at(state, message="making it"),
        at(state, "running"),
        at("running", "running", "provisioning"),
        at("running", "running", "running"),
    )
    assert shown == [
        f"{state}, 0 of 2 nodes running (making it)",
        f"{state}, 1 of 2 nodes running",
        "running, 1 of 2 nodes running",
    ]


def test_pools_that_people_made_besides_are_not_waited_for() -> None:
    """They are told of; nobody knows here what they are for."""
    gpu = NodePool(
        "g", "gpu", "gpu-h100x1-80gb", 2, (Node("a", "gpu-1", "running"), Node("b", "gpu-2", "provisioning"))
    )
    found = at("running", "running", "running")
    both = replace(found, node_pools=(gpu, *found.node_pools))
    assert wait(both) == []
    assert list(provisioning.others(both, WANTED)) == [
        "the pool gpu, which Tideflow did not make, has 1 of 2 nodes running: gpu-2 is provisioning"
    ]
    assert list(provisioning.others(found, WANTED)) == []
    late = replace(both, node_pools=(gpu, *at("running", "running").node_pools))
    with pytest.raises(ApplyError, match="running, 1 of 2 nodes running; run this step"):
        wait(late, timeout=-1)
    alone = replace(found, node_pools=(gpu,))  # where ours is none, theirs is what there is
    with pytest.raises(ApplyError, match="1 of 2 nodes running: gpu-2 is provisioning"):
        wait(alone, timeout=-1)


def test_nodes_that_are_to_go_are_waited_for_too() -> None:
    """Until they are gone."""
    shown = wait(at("running", "running", "running", "draining"), at("running", "running", "running"))
    assert shown == ["running, 2 of 3 nodes running"]


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (at("error", message="no capacity"), "could not make the cluster ml: no capacity"),
        (at("error"), "could not make the cluster ml: it gives no reason"),
        (at("deleting"), "the cluster ml was deleted meanwhile"),
        (None, "the cluster ml was deleted meanwhile"),
    ],
)
def test_what_will_never_run_is_not_waited_for(last: Cluster | None, why: str) -> None:
    """The reason is named."""
    with pytest.raises(ApplyError, match=why):
        wait(at("provisioning"), last)


def test_a_cluster_that_stays_degraded_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what DigitalOcean says; sooner than others, once there are no nodes to wait for."""
    bad = at("degraded", "running", "running", message="etcd has lost a member")
    assert wait(bad, at("running", "running", "running")) == [
        "degraded, 2 of 2 nodes running (etcd has lost a member)"
    ]
    monkeypatch.setattr(provisioning, "_DEGRADED", -1.0)
    with pytest.raises(ApplyError) as caught:
        wait(bad)
    assert re.fullmatch(
        r"the cluster ml is degraded: etcd has lost a member \(waited 0 s, 2 of 2 nodes running\); the "
        "other steps can be run all the same, and this one again later; if it stays so, ask DigitalOcean's "
        "support",
        str(caught.value),
    )
    assert len(wait(at("degraded", "running"), at("running", "running", "running"))) == 1
    with pytest.raises(ApplyError, match=r"degraded: it gives no reason \(waited 0 s, 1 of 2 nodes running"):
        wait(at("degraded", "running", "provisioning"), timeout=-1)


def test_a_cluster_that_was_just_made_may_not_be_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """To take it for deleted would have another one made; but for a while only, and until it is seen."""
    there = at("running", "running", "running")
    shown = wait(None, None, at("provisioning"), there, new=True)
    assert shown == ["it is not to be seen yet"] * 2 + ["provisioning, 0 of 2 nodes running"]
    with pytest.raises(ApplyError, match="was deleted meanwhile"):
        wait(at("provisioning"), None, new=True)
    monkeypatch.setattr(provisioning, "_UNSEEN", 0.0)
    with pytest.raises(ApplyError, match="was deleted meanwhile"):
        wait(None, new=True)


def test_what_failed_is_deleted_by_the_teardown() -> None:
    """The control panel would leave its volumes and load balancers."""
    with pytest.raises(
        ApplyError, match=r"delete it, .*: \S*pyinfra -y inventory.py deploys/teardown.py; then"
    ):
        wait(at("error"))


def test_the_end_of_patience_names_the_nodes_that_are_missing() -> None:
    """Not all of many, and none of a cluster that does not run itself."""
    with pytest.raises(
        ApplyError, match="running, 1 of 2 nodes running: ml-1 is provisioning; run this step"
    ):
        wait(at("running", "running", "provisioning"), timeout=-1)
    with pytest.raises(ApplyError, match="ml-4 is provisioning and 2 more; run this step"):
        wait(at("running", *["provisioning"] * 7), timeout=-1)
    with pytest.raises(ApplyError, match=r"upgrading, 0 of 2 nodes running; run this step"):
        wait(at("upgrading", "provisioning"), timeout=-1)
