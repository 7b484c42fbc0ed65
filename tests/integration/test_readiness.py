"""Every built-in kind that readiness is judged for, as a real control plane writes its status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.engine_runs import apply_and_tell
from tests.integration.planes import eventually
from tests.unit.engine.objects import deployment, namespace

from tideflow.engine.readiness import has_readiness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.planes import Plane

    from tideflow.clients.kubernetes import Kubernetes

SPACE = "readiness"


@pytest.fixture
def cluster(plane: Plane) -> Iterator[Kubernetes]:
    """Yield a client of a cluster with one node."""
    client = plane.client()
    room = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    node = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": SPACE}}
    client.post("/api/v1/nodes", node | {"status": {"capacity": room, "allocatable": room}})
    yield client
    client.delete(f"/api/v1/namespaces/{SPACE}")
    eventually(lambda: client.get(f"/api/v1/namespaces/{SPACE}/pods")["items"], lambda pods: not pods)
    client.delete(f"/api/v1/nodes/{SPACE}")
    client.close()


def workload(api_version: str, kind: str, **spec: Any) -> dict[str, Any]:
    """Return a workload called as its kind."""
    made = deployment(kind.lower(), SPACE)
    return made | {"apiVersion": api_version, "kind": kind, "spec": {**made["spec"], **spec}}


def of_each_kind() -> list[dict[str, Any]]:
    """Return one object of each kind with a rule of its own, but for those that need a cloud."""
    containers = [{"name": "main", "image": "example.org/main:1"}]
    once = {"spec": {"restartPolicy": "Never", "containers": containers}}
    daemon_set = workload("apps/v1", "DaemonSet")
    del daemon_set["spec"]["replicas"]
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"app": "deployment"}}}
    objects: list[tuple[str, str, dict[str, Any]]] = [
        ("v1", "Pod", {"containers": containers}),
        ("v1", "Service", {"selector": {"app": "deployment"}, "ports": [{"port": 80}]}),
        ("batch/v1", "Job", {"template": once}),
        ("batch/v1", "CronJob", {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": once}}}),
        ("policy/v1", "PodDisruptionBudget", budget),
        (
            "networking.k8s.io/v1",
            "Ingress",
            {"defaultBackend": {"service": {"name": "x", "port": {"number": 1}}}},
        ),
    ]
    return [
        namespace(SPACE),
        workload("apps/v1", "Deployment"),
        workload("apps/v1", "ReplicaSet"),
        workload("apps/v1", "StatefulSet", serviceName="service"),
        daemon_set,
        workload("v1", "ReplicationController", selector={"app": "replicationcontroller"}),
        *(
            {
                "apiVersion": version,
                "kind": kind,
                "metadata": {"name": kind.lower(), "namespace": SPACE},
                "spec": spec,
            }
            for version, kind, spec in objects
        ),
    ]


def test_each_kind_gets_ready(cluster: Kubernetes) -> None:
    """No rule waits for what its controller never writes; a rerun then has nothing to wait for."""
    plan, summary = apply_and_tell(cluster, of_each_kind(), set_name="readiness")
    assert summary is not None
    assert summary.created == len(plan.created) == 12
    judged = {key.kind for key in plan.created if has_readiness(key.group, key.kind)}
    assert judged >= {"DaemonSet", "Job", "PodDisruptionBudget", "ReplicationController", "StatefulSet"}
    plan, summary = apply_and_tell(cluster, of_each_kind(), set_name="readiness")
    assert not plan.writes
    assert not plan.waiting
