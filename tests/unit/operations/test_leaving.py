"""Which nodes go, what goes with them, and whether the others have room."""

from __future__ import annotations

from typing import Any

import pytest

from tideflow.clients.provided import Node, NodePool
from tideflow.operations.draining import SINCE, released
from tideflow.operations.leaving import EVICTABLE, View, order, shortage

EMPTY_DIR = {"name": "cache", "emptyDir": {}}


def node(name: str, made: str = "2026-01-01T00:00:00Z", memory: str = "6Gi", **spec: Any) -> dict[str, Any]:
    """Return a live node."""
    return {
        "metadata": {"name": name, "creationTimestamp": made, "labels": {"name": name}},
        "spec": spec,
        "status": {"allocatable": {"cpu": "3900m", "memory": memory, "pods": "110"}},
    }


def pod(
    name: str,
    on: str,
    memory: str = "0",
    owner: str | None = "ReplicaSet",
    phase: str = "Running",
    **more: Any,
) -> dict[str, Any]:
    """Return a live pod."""
    owners = [{"kind": owner, "uid": f"of-{name}", "controller": True}] if owner else []
    return {
        "metadata": {
            "namespace": "a",
            "name": name,
            "ownerReferences": owners,
            "annotations": more.pop("annotations", {}),
        },
        "spec": {
            "nodeName": on,
            "containers": [{"name": "main", "resources": {"requests": {"memory": memory}}}],
            **more,
        },
        "status": {"phase": phase},
    }


def pool(*states: str) -> NodePool:
    """Return a pool with nodes called n0, n1 and so on."""
    nodes = tuple(Node(f"id-{number}", f"n{number}", state) for number, state in enumerate(states))
    return NodePool("p", "ml-pool", "s-4vcpu-8gb", len(nodes), nodes)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (pod("p", "n", owner=None), "nobody starts it again"),
        (pod("p", "n", volumes=[{"name": "h", "hostPath": {"path": "/mnt"}}]), "it uses /mnt of the node"),
        (pod("p", "n", owner="StatefulSet", volumes=[EMPTY_DIR]), "the emptyDir cache is on the node"),
        (pod("p", "n", owner="Workflow", volumes=[EMPTY_DIR]), "the emptyDir cache is on the node"),
        (pod("p", "n", annotations={EVICTABLE: "false"}), f"it says {EVICTABLE}: false"),
    ],
)
def test_what_is_lost_is_named(found: dict[str, Any], why: str) -> None:
    """With the reason; on nodes that stay nothing is lost."""
    assert View([node("n")], [found]).at_stake({"n"}) == [f"a/p ({why})"]
    assert View([node("n")], [found]).at_stake({"m"}) == []


@pytest.mark.parametrize(
    "found",
    [
        pod("p", "n"),
        pod("p", "n", volumes=[EMPTY_DIR]),  # a Deployment's is lost with each rollout
        pod("p", "n", owner="StatefulSet", volumes=[{"name": "m", "emptyDir": {"medium": "Memory"}}]),
        pod("p", "n", owner="StatefulSet", volumes=[{"name": "istio-data", "emptyDir": {}}]),
        pod("p", "n", owner="StatefulSet", volumes=[{"name": "d", "persistentVolumeClaim": {}}]),
        pod("p", "n", owner=None, annotations={EVICTABLE: "true"}),
        pod("p", "n", owner="DaemonSet", volumes=[{"name": "h", "hostPath": {"path": "/"}}]),
        pod("p", "n", owner=None, phase="Succeeded"),
        pod("p", "n", owner="Node", annotations={"kubernetes.io/config.mirror": "x"}),
    ],
)
def test_what_nobody_misses_is_not_named(found: dict[str, Any]) -> None:
    """Or the list would be of all pods, and nobody would read it."""
    assert View([node("n")], [found]).at_stake({"n"}) == []


def test_nodes_that_do_not_run_go_first_then_those_that_an_earlier_run_chose() -> None:
    """So that a rerun goes on with the same nodes."""
    view = View([node("n0"), node("n1", unschedulable=True), node("n2")], [pod("p", "n1", "4Gi", owner=None)])
    found = order(pool("running", "running", "running", "provisioning", "draining"), view)
    assert [each.name for each in found] == ["n3", "n1", "n0", "n2"]


def test_nodes_with_nothing_at_stake_go_first_the_emptiest_of_them_and_the_newest() -> None:
    """In this order of importance."""
    nodes = [node("n0"), node("n1"), node("n2"), node("n3", "2026-02-02T00:00:00Z")]
    pods = [
        pod("bare", "n0", "1Mi", owner=None),
        pod("large", "n1", "2Gi"),
        pod("everywhere", "n2", "5Gi", owner="DaemonSet"),
    ]
    found = order(pool(*["running"] * 4), View(nodes, pods))
    assert [each.name for each in found] == ["n3", "n2", "n1", "n0"]


def test_what_has_to_move_needs_room_beside_what_is_there() -> None:
    """Pods in one piece, not sums; the numbers are told."""
    nodes = [node("n0"), node("n1"), node("n2")]
    pods = [pod("a", "n0", "4Gi"), pod("b", "n1", "3Gi"), pod("c", "n2", "3Gi")]
    assert shortage(View(nodes, pods), {"n0"}) == (
        "1 of the 1 pods that would move (0 CPU and 4.00 GiB in all) have no room on the other nodes (2): "
        "a/a asks for 0 CPU and 4.00 GiB, and the most that is left is 3.9 CPU and 3.00 GiB"
    )
    assert shortage(View(nodes, pods), {"n1"}) == ""  # 3 GiB beside 3 GiB
    assert shortage(View(nodes, pods), {"n0"}, [node("new")]) == ""


def test_nodes_that_take_no_pods_have_no_room() -> None:
    """Nor have those whose labels a pod does not want."""
    pods = [pod("a", "n0", "4Gi", nodeSelector={"name": "n1"})]
    assert shortage(View([node("n0"), node("n1")], pods), {"n0"}) == ""
    assert shortage(View([node("n0"), node("n2")], pods), {"n0"})
    assert shortage(View([node("n0"), node("n1", unschedulable=True)], pods), {"n0"})
    closed = node("n1", taints=[{"key": "gpu", "effect": "NoSchedule"}])
    assert "(0)" in shortage(View([node("n0"), closed], pods), {"n0"})
    starting = node("n1", taints=[{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}])
    assert shortage(View([node("n0"), starting], pods), {"n0"}) == ""


def test_nodes_that_an_earlier_run_began_to_empty_have_room_again() -> None:
    """Unless they are to go now as well; those that somebody else has closed stay so."""
    closed: dict[str, Any] = {
        "unschedulable": True,
        "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}],
    }
    ours, theirs = node("n1", **closed), node("n2", **closed)
    ours["metadata"]["annotations"] = {SINCE: "2026-01-01T00:00:00Z"}
    pods = [pod("a", "n0", "4Gi")]
    view = View([node("n0"), ours, theirs], pods)
    assert shortage(view, {"n0"})
    assert shortage(released(view, but=["n0"]), {"n0"}) == ""
    assert shortage(released(view, but=["n0", "n1"]), {"n0", "n1"})
    assert shortage(released(View([node("n0"), theirs], pods), but=["n0"]), {"n0"})
