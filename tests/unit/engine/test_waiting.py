"""What pods say of themselves, in the few words of the live line."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.objects import deployment, manifests

from tideflow.clients.resources import Resource
from tideflow.engine.waiting import Pods, lacks_room, line, why
from tideflow.engine.watching import Listed, Seen

PODS = Resource("", "v1", "Pod", "pods", namespaced=True)


def pod(name: str = "d-1", *, labels: dict[str, str] | None = None, **state: Any) -> dict[str, Any]:
    """Return a pod with a status."""
    metadata = {"name": name, "namespace": "a", "labels": labels or {"app": "d"}}
    return {"kind": "Pod", "metadata": metadata, "spec": {}, "status": state}


def container(
    state: dict[str, Any], *, name: str = "main", restarts: int = 0, last: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the status of a container that is not ready."""
    return {
        "name": name,
        "image": "example.org/main:1",
        "ready": False,
        "restartCount": restarts,
        "state": state,
        "lastState": last or {},
    }


def unscheduled(message: str) -> dict[str, Any]:
    """Return a pod that the scheduler has found no node for."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(phase="Pending", conditions=[condition])


CRASHED = {"terminated": {"exitCode": 1, "reason": "Error"}}
KILLED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
BACKING_OFF = {"waiting": {"reason": "CrashLoopBackOff"}}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (pod(phase="Succeeded"), ""),
        (pod(phase="Running", conditions=[{"type": "Ready", "status": "True"}]), ""),
        (pod(), "Pending"),
        (pod(phase="Failed", reason="Evicted"), "Evicted"),
        (
            unscheduled(
                "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available."
            ),
            "Unschedulable: 0/3 nodes are available: 3 Insufficient memory",
        ),
        (
            pod(containerStatuses=[container(BACKING_OFF, restarts=3, last=CRASHED)]),
            "main: CrashLoopBackOff (exit 1, 3 restarts)",
        ),
        (
            pod(containerStatuses=[container(BACKING_OFF, restarts=1, last=KILLED)]),
            "main: CrashLoopBackOff (exit 137 OOMKilled, 1 restart)",
        ),
        (pod(containerStatuses=[container(KILLED)]), "main: OOMKilled (exit 137)"),
        (
            pod(containerStatuses=[container({"waiting": {"reason": "ImagePullBackOff"}})]),
            "main: ImagePullBackOff (example.org/main:1)",
        ),
        (
            pod(
                initContainerStatuses=[container(BACKING_OFF, name="migrate", restarts=2, last=CRASHED)],
                containerStatuses=[container({"waiting": {"reason": "PodInitializing"}})],
            ),
            "migrate: CrashLoopBackOff (exit 1, 2 restarts)",
        ),
        (
            pod(phase="Running", containerStatuses=[container({"running": {}}, restarts=1, last=CRASHED)]),
            "main: runs, but is not ready (exit 1, 1 restart)",
        ),
    ],
)
def test_a_pod_says_why_it_is_not_ready(found: dict[str, Any], said: str) -> None:
    """The first container in trouble, how it ended, and how often."""
    assert why(found) == said


def test_only_want_of_room_is_given_up_early() -> None:
    """A volume may come late, and a taint may go; neither is mended by another node."""
    assert lacks_room(unscheduled("0/1 nodes are available: 1 Insufficient cpu."))
    assert lacks_room(unscheduled("0/1 nodes are available: 1 Too many pods."))
    assert not lacks_room(unscheduled("0/1 nodes: pod has unbound immediate PersistentVolumeClaims."))
    assert not lacks_room(unscheduled("0/1 nodes are available: 1 node(s) had untolerated taint(s)."))
    assert not lacks_room(pod())


def test_pods_are_told_by_what_their_workload_selects() -> None:
    """A Job's selector is made by the server, a ReplicationController's is a plain map, a Pod is its own."""
    job, controller = deployment("job"), deployment("rc")
    job |= {"apiVersion": "batch/v1", "kind": "Job"}
    del job["spec"]["selector"]
    controller |= {"apiVersion": "v1", "kind": "ReplicationController"}
    controller["spec"]["selector"] = {"app": "rc"}
    bare = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bare", "namespace": "a"},
        "spec": {"containers": [{"name": "main"}]},
    }
    pods = Pods()
    for name, labels in (
        ("d-1", {"app": "d"}),
        ("job-1", {"batch.kubernetes.io/job-name": "job"}),
        ("rc-1", {"app": "rc"}),
        ("bare", {"app": "x"}),
    ):
        pods.see(Seen(PODS, pod(name, labels=labels)))
    for body, name in ((deployment("d"), "d-1"), (job, "job-1"), (controller, "rc-1"), (bare, "bare")):
        assert [found["metadata"]["name"] for found in pods.of(manifests(body)[0])] == [name]


def test_pods_that_a_list_does_not_have_are_gone() -> None:
    """Whatever became of them while no watch told."""
    pods = Pods()
    pods.see(Seen(PODS, pod("stays")))
    pods.see(Seen(PODS, pod("goes")))
    pods.see(Listed(PODS, 7, frozenset({("a", "stays")})))
    assert [found["metadata"]["name"] for found in pods] == ["stays"]


def test_the_live_line_names_three() -> None:
    """And how many more there are."""
    left = [found.key for found in manifests(*map(deployment, "abcd"))]
    assert line(61.4, 10, left, lambda _: "0 of 1 pods are available") == (
        "61 s: 4 of 10 not ready: Deployment a/a (0 of 1 pods are available), "
        "Deployment a/b (0 of 1 pods are available), Deployment a/c (0 of 1 pods are available), and 1 more"
    )
