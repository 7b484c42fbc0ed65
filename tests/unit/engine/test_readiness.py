"""Ready by kstatus' rules, and by those that go beyond them."""

from __future__ import annotations

from typing import Any

import pytest

from tideflow.engine.readiness import has_readiness, status


def live(kind: str, spec: dict[str, Any] | None = None, **state: Any) -> dict[str, Any]:
    """Return a live object of generation 2."""
    return {"kind": kind, "metadata": {"name": "x", "generation": 2}, "spec": spec or {}, "status": state}


def condition(kind: str, value: str = "True", **more: str) -> list[dict[str, str]]:
    """Return the conditions of an object that has one."""
    return [{"type": kind, "status": value, **more}]


DEPLOYED: dict[str, Any] = {
    "observedGeneration": 2,
    "replicas": 2,
    "updatedReplicas": 2,
    "availableReplicas": 2,
}
EVERYWHERE: dict[str, Any] = {
    "observedGeneration": 2,
    "desiredNumberScheduled": 3,
    "updatedNumberScheduled": 3,
    "numberAvailable": 3,
}
ORDERED: dict[str, Any] = {"observedGeneration": 2, "readyReplicas": 2, "updatedReplicas": 2}


@pytest.mark.parametrize(
    "found",
    [
        live("Deployment", {"replicas": 2}, **DEPLOYED),
        live("Deployment", {"replicas": 0}, observedGeneration=2),
        live("DaemonSet", **EVERYWHERE),
        live("DaemonSet", observedGeneration=2),
        live("StatefulSet", {"replicas": 2}, **ORDERED),
        live("Job", conditions=condition("Complete")),
        live("Pod", conditions=condition("Ready")),
        live("Pod", phase="Succeeded"),
        live("PersistentVolumeClaim", phase="Bound"),
        live("Service", {"type": "ClusterIP"}),
        live("Service", {"type": "LoadBalancer"}, loadBalancer={"ingress": [{"ip": "203.0.113.1"}]}),
        live("CustomResourceDefinition", conditions=condition("Established")),
        live("APIService", {"service": {"name": "x"}}, conditions=condition("Available")),
        live("Certificate", conditions=condition("Ready")),
        live("Thing"),
        live("Namespace", phase="Active"),
    ],
)
def test_ready(found: dict[str, Any]) -> None:
    """What has all it needs is ready."""
    assert status(found).ready


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (live("Deployment", {"replicas": 2}), "has not seen it"),
        (
            live("Deployment", {"replicas": 2}, **DEPLOYED | {"observedGeneration": 1}),
            "has not seen the change",
        ),
        (live("Deployment", {"replicas": 2}, **DEPLOYED | {"updatedReplicas": 1}), "1 of 2 pods are new"),
        (live("Deployment", {"replicas": 2}, **DEPLOYED | {"replicas": 3}), "1 old pods are left"),
        (
            live("Deployment", {"replicas": 2}, **DEPLOYED | {"availableReplicas": 0}),
            "0 of 2 pods are available",
        ),
        (live("DaemonSet", **EVERYWHERE | {"numberAvailable": 2}), "2 of 3 nodes have it available"),
        (live("DaemonSet", **EVERYWHERE | {"updatedNumberScheduled": 1}), "1 of 3 nodes have the new pod"),
        (live("StatefulSet", {"replicas": 2}, **ORDERED | {"readyReplicas": 1}), "1 of 2 pods are ready"),
        (live("StatefulSet", {"replicas": 2}, **ORDERED | {"updatedReplicas": 1}), "1 of 2 pods are new"),
        (live("Job", {"completions": 3}, succeeded=1), "1 of 3 pods have completed"),
        (live("Pod", phase="Pending"), "is Pending"),
        (live("PersistentVolumeClaim", phase="Pending"), "its volume is Pending"),
        (live("Service", {"type": "LoadBalancer"}), "its load balancer has no address"),
        (live("CustomResourceDefinition"), "is not established"),
        (live("APIService", {"service": {"name": "x"}}), "is not available"),
        (live("Certificate", conditions=condition("Ready", "False", message="no issuer")), "no issuer"),
        (live("Thing", conditions=condition("Stalled", message="stuck")), "stuck"),
    ],
)
def test_not_ready_and_why(found: dict[str, Any], why: str) -> None:
    """The reason is in a few words, and is nothing that waiting could not mend."""
    assert not status(found).ready
    assert why in status(found).why
    assert not status(found).failed


def test_what_is_being_deleted_is_not_ready() -> None:
    """However well it is."""
    found = live("Deployment", {"replicas": 2}, **DEPLOYED)
    found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert status(found).why == "is being deleted"


def test_a_slow_rollout_has_not_failed_but_a_job_can() -> None:
    """First starts on small nodes are slow; a Job that has used up its tries will not complete."""
    slow = live(
        "Deployment",
        {"replicas": 1},
        observedGeneration=2,
        conditions=condition("Progressing", "False", reason="ProgressDeadlineExceeded"),
    )
    assert not status(slow).failed
    assert status(live("Job", conditions=condition("Failed", message="BackoffLimitExceeded"))).failed


def test_whose_readiness_is_looked_at() -> None:
    """Workloads and custom resources; not what is ready by being there."""
    assert has_readiness("apps", "Deployment")
    assert has_readiness("cert-manager.io", "Certificate")
    assert not has_readiness("", "ConfigMap")
    assert not has_readiness("networking.k8s.io", "Ingress")
