"""Ready by kstatus' rules, and by those that go beyond them; each case names where its rule comes from.

``kstatus`` is sigs.k8s.io/cli-utils/pkg/kstatus/status (core.go for kinds, generic.go and status.go for the
rest), ``ours`` a decision of this project, and ``api`` the description of the field in Kubernetes' own API.
"""

from __future__ import annotations

from typing import Any

import pytest

from tideflow.engine.readiness import Status, has_readiness, is_custom, status

GROUPS = {
    "APIService": "apiregistration.k8s.io",
    "CronJob": "batch",
    "CustomResourceDefinition": "apiextensions.k8s.io",
    "DaemonSet": "apps",
    "Deployment": "apps",
    "HorizontalPodAutoscaler": "autoscaling",
    "Ingress": "networking.k8s.io",
    "Job": "batch",
    "PodDisruptionBudget": "policy",
    "ReplicaSet": "apps",
    "StatefulSet": "apps",
    "Thing": "example.org",
}


def live(kind: str, spec: dict[str, Any] | None = None, **state: Any) -> dict[str, Any]:
    """Return a live object of generation 2."""
    return {"kind": kind, "metadata": {"name": "x", "generation": 2}, "spec": spec or {}, "status": state}


def condition(kind: str, value: str = "True", **more: Any) -> list[dict[str, Any]]:
    """Return the conditions of an object that has one."""
    return [{"type": kind, "status": value, **more}]


def judged(found: dict[str, Any]) -> Status:
    """Return the status of an object, in the group that its kind is of."""
    kind = found["kind"]
    item = {name: value for name, value in found.items() if name != "kind"}  # lists leave it out
    return status(GROUPS.get(kind, ""), kind, item)


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
ORDERED: dict[str, Any] = {"observedGeneration": 2, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2}
ROLLING: dict[str, Any] = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}}
BY_HAND: dict[str, Any] = {"updateStrategy": {"type": "OnDelete"}}
LATE = condition("Progressing", "False", reason="ProgressDeadlineExceeded")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("kstatus deploymentConditions", live("Deployment", {"replicas": 2}, **DEPLOYED)),
        ("kstatus deploymentConditions", live("Deployment", {"replicas": 0}, observedGeneration=2)),
        ("ours: counts decide", live("Deployment", {"replicas": 2}, **DEPLOYED, conditions=LATE)),
        ("kstatus daemonsetConditions", live("DaemonSet", **EVERYWHERE)),
        ("api: no node matches", live("DaemonSet", observedGeneration=2, desiredNumberScheduled=0)),
        ("api: OnDelete", live("DaemonSet", BY_HAND, **EVERYWHERE | {"updatedNumberScheduled": 0})),
        ("kstatus stsConditions", live("StatefulSet", {"replicas": 2}, **ORDERED)),
        (
            "kstatus stsConditions: partition",
            live("StatefulSet", {"replicas": 2, **ROLLING}, **ORDERED | {"updatedReplicas": 1}),
        ),
        (
            "kstatus stsConditions: OnDelete",
            live("StatefulSet", {"replicas": 2, **BY_HAND}, **ORDERED | {"updatedReplicas": 0}),
        ),
        (
            "api: a partition larger than replicas holds all back",
            live("StatefulSet", {"replicas": 0, **ROLLING}, observedGeneration=2),
        ),
        ("kstatus replicasetConditions", live("ReplicaSet", observedGeneration=2, availableReplicas=1)),
        ("ours, as ReplicaSet", live("ReplicationController", observedGeneration=2, availableReplicas=1)),
        ("kstatus jobConditions", live("Job", conditions=condition("Complete"))),
        ("api: suspended", live("Job", {"suspend": True}, conditions=condition("Suspended"))),
        ("kstatus: CronJob is alwaysReady", live("CronJob", {"suspend": True})),
        ("kstatus podConditions", live("Pod", phase="Running", conditions=condition("Ready"))),
        (
            "kstatus podConditions",
            live("Pod", phase="Succeeded", conditions=condition("Ready", "False", reason="PodCompleted")),
        ),
        ("kstatus pvcConditions", live("PersistentVolumeClaim", phase="Bound")),
        ("kstatus serviceConditions", live("Service", {"type": "ClusterIP"})),
        (
            "ours",
            live("Service", {"type": "LoadBalancer"}, loadBalancer={"ingress": [{"ip": "203.0.113.1"}]}),
        ),
        ("kstatus crdConditions", live("CustomResourceDefinition", conditions=condition("Established"))),
        ("api", live("APIService", {"service": {"name": "x"}}, conditions=condition("Available"))),
        ("api: served by the API server itself", live("APIService")),
        ("kstatus pdbConditions", live("PodDisruptionBudget", observedGeneration=2, disruptionsAllowed=0)),
        ("kstatus: no rule, no condition", live("Ingress", loadBalancer={})),
        (
            "kstatus: no rule, and none of the conditions it knows",
            live("HorizontalPodAutoscaler", conditions=condition("ScalingActive", "False")),
        ),
        ("kstatus checkReadyCondition", live("Thing", conditions=condition("Ready"))),
        ("kstatus: no status is Current", live("Thing")),
        ("kstatus: no condition it knows is Current", live("Thing", phase="Whatever")),
        (
            "kstatus: negative conditions that do not hold",
            live("Thing", conditions=condition("Stalled", "False") + condition("Reconciling", "False")),
        ),
        ("kstatus checkGeneration", live("Thing", observedGeneration=2, conditions=condition("Ready"))),
        (
            "Argo Rollouts writes it as text",
            live("Thing", observedGeneration="2", conditions=condition("Ready")),
        ),
        ("no list of conditions", live("Thing", conditions={"Ready": "False"})),
        ("api", live("Namespace", phase="Active")),
    ],
)
def test_ready(source: str, found: dict[str, Any]) -> None:
    """What has all it needs is ready."""
    assert judged(found).ready, source


@pytest.mark.parametrize(
    ("source", "found", "why"),
    [
        ("kstatus checkGenerationSet", live("Deployment", {"replicas": 2}), "has not seen it"),
        (
            "kstatus checkGeneration",
            live("Deployment", {"replicas": 2}, **DEPLOYED | {"observedGeneration": 1}),
            "has not seen the change",
        ),
        (
            "kstatus deploymentConditions: Updated",
            live("Deployment", {"replicas": 2}, **DEPLOYED | {"updatedReplicas": 1}),
            "1 of 2 pods are new",
        ),
        (
            "api: a paused Deployment makes no new pods",
            live("Deployment", {"replicas": 2, "paused": True}, **DEPLOYED | {"updatedReplicas": 0}),
            "while it is paused",
        ),
        (
            "kstatus deploymentConditions: Pending termination",
            live("Deployment", {"replicas": 2}, **DEPLOYED | {"replicas": 3}),
            "1 old pods are left",
        ),
        (
            "kstatus deploymentConditions: Available",
            live("Deployment", {"replicas": 2}, **DEPLOYED | {"availableReplicas": 0}),
            "0 of 2 pods are available",
        ),
        (
            "ours, against kstatus: slow has not failed (design, point 7)",
            live("Deployment", {"replicas": 2}, **DEPLOYED | {"availableReplicas": 0}, conditions=LATE),
            "0 of 2 pods are available",
        ),
        (
            "api: ReplicaFailure",
            live(
                "Deployment",
                {"replicas": 1},
                observedGeneration=2,
                conditions=condition(
                    "ReplicaFailure", message='admission webhook "no.example.org" denied it'
                ),
            ),
            "no.example.org",
        ),
        (
            "kstatus daemonsetConditions: Available",
            live("DaemonSet", **EVERYWHERE | {"numberAvailable": 2}),
            "2 of 3 nodes have it available",
        ),
        (
            "kstatus daemonsetConditions: Updated",
            live("DaemonSet", **EVERYWHERE | {"updatedNumberScheduled": 1}),
            "1 of 3 nodes have the new pod",
        ),
        ("kstatus checkGenerationSet", live("DaemonSet"), "has not seen it"),
        (
            "kstatus stsConditions: Ready",
            live("StatefulSet", {"replicas": 2}, **ORDERED | {"readyReplicas": 1}),
            "1 of 2 pods are ready",
        ),
        (
            "kstatus stsConditions: Pending termination",
            live("StatefulSet", {"replicas": 1}, **ORDERED),
            "1 pods too many",
        ),
        (
            "kstatus stsConditions: updated",
            live("StatefulSet", {"replicas": 2}, **ORDERED | {"updatedReplicas": 1}),
            "1 of 2 pods are new",
        ),
        (
            "kstatus stsConditions: partition",
            live("StatefulSet", {"replicas": 2, **ROLLING}, **ORDERED | {"updatedReplicas": 0}),
            "0 of 1 pods are new",
        ),
        (
            "ours, against kstatus: OnDelete is about which pods, not about whether they are ready",
            live("StatefulSet", {"replicas": 2, **BY_HAND}, **ORDERED | {"readyReplicas": 1}),
            "1 of 2 pods are ready",
        ),
        (
            "kstatus replicasetConditions: ReplicaFailure",
            live(
                "ReplicaSet", observedGeneration=2, conditions=condition("ReplicaFailure", message="no room")
            ),
            "its pods cannot be made: no room",
        ),
        (
            "kstatus replicasetConditions: Pending termination",
            live("ReplicaSet", observedGeneration=2, replicas=3, availableReplicas=3),
            "2 pods too many",
        ),
        ("ours, as ReplicaSet", live("ReplicationController", observedGeneration=2), "0 of 1 pods"),
        (
            "ours: a Job is awaited",
            live("Job", {"completions": 3}, succeeded=1),
            "1 of 3 pods have completed",
        ),
        ("api: a Job of a work queue", live("Job", {"completions": None}), "0 of 1 pods have completed"),
        ("kstatus podConditions", live("Pod", phase="Pending"), "is Pending"),
        (
            "ours, against kstatus: crash loops are waited for",
            live(
                "Pod",
                phase="Running",
                containerStatuses=[{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
            ),
            "is Running",
        ),
        ("kstatus pvcConditions", live("PersistentVolumeClaim", phase="Pending"), "its volume is Pending"),
        ("ours", live("Service", {"type": "LoadBalancer"}), "its load balancer has no address"),
        (
            "kstatus crdConditions: Installing",
            live(
                "CustomResourceDefinition", conditions=condition("Established", "False", reason="Installing")
            ),
            "is not established",
        ),
        ("api", live("APIService", {"service": {"name": "x"}}), "is not available"),
        ("api: its controller always writes it", live("PodDisruptionBudget"), "has not seen it"),
        ("kstatus checkGeneration", live("PodDisruptionBudget", observedGeneration=1), "has not seen the"),
        (
            "kstatus checkReadyCondition",
            live("Thing", conditions=condition("Ready", "False", message="no issuer")),
            "no issuer",
        ),
        (
            "kstatus checkReadyCondition; Knative's first state",
            live("Thing", conditions=condition("Ready", "Unknown", reason="Deploying")),
            "Deploying",
        ),
        (
            "kstatus checkGeneration: not equal, as after a restore",
            live("Thing", observedGeneration=3, conditions=condition("Ready")),
            "has not seen the change",
        ),
        (
            "api: a condition may say which generation it is about",
            live("Thing", conditions=condition("Ready", observedGeneration=1)),
            "has not seen the change",
        ),
        (
            "kstatus checkGenericProperties, before the kind's own rule",
            live(
                "Deployment", {"replicas": 2}, **DEPLOYED, conditions=condition("Reconciling", message="busy")
            ),
            "busy",
        ),
        (
            "kstatus checkGenericProperties, before Ready",
            live("Thing", conditions=condition("Ready") + condition("Reconciling")),
            "is being reconciled",
        ),
        ("api", live("Namespace", phase="Terminating"), "is being deleted"),
    ],
)
def test_not_ready_and_why(source: str, found: dict[str, Any], why: str) -> None:
    """The reason is in a few words, and is nothing that waiting could not mend."""
    assert not judged(found).ready, source
    assert why in judged(found).why, source
    assert not judged(found).failed, source


@pytest.mark.parametrize(
    ("source", "found", "why"),
    [
        (
            "kstatus jobConditions",
            live("Job", conditions=condition("Failed", reason="BackoffLimitExceeded")),
            "has failed: BackoffLimitExceeded",
        ),
        (
            "ours: a bare pod that failed stays so",
            live("Pod", phase="Failed", reason="Evicted"),
            "failed: Evicted",
        ),
        (
            "kstatus crdConditions",
            live("CustomResourceDefinition", conditions=condition("NamesAccepted", "False", message="taken")),
            "its names are refused: taken",
        ),
        (
            "kstatus checkGenericProperties",
            live("Thing", conditions=condition("Ready", "Unknown") + condition("Stalled", message="stuck")),
            "is stalled: stuck",
        ),
        (
            "kstatus checkGenericProperties, before the kind's own rule",
            live("Deployment", {"replicas": 2}, **DEPLOYED, conditions=condition("Stalled")),
            "is stalled",
        ),
    ],
)
def test_failed_and_why(source: str, found: dict[str, Any], why: str) -> None:
    """What waiting does not mend."""
    assert judged(found).failed, source
    assert not judged(found).ready
    assert why in judged(found).why, source


def test_what_is_being_deleted_is_not_ready() -> None:
    """However well it is: that comes before everything else."""
    found = live("Deployment", {"replicas": 2}, **DEPLOYED, conditions=condition("Stalled"))
    found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert judged(found) == Status(ready=False, why="is being deleted")


def test_the_generation_comes_before_what_an_old_status_says() -> None:
    """A failure that was written before the change says nothing about it."""
    found = live("Thing", observedGeneration=1, conditions=condition("Stalled"))
    assert "has not seen the change" in judged(found).why
    assert not judged(found).failed


def test_kinds_of_the_same_name_are_told_apart() -> None:
    """Knative has a Service, and Volcano a Job."""
    service = live("Service", conditions=condition("Ready", "Unknown", reason="RevisionMissing"))
    assert status("serving.knative.dev", "Service", service).why == "RevisionMissing"
    assert status("batch.volcano.sh", "Job", live("Job")).ready
    assert not status("batch", "Job", live("Job")).ready


def test_whose_readiness_is_looked_at() -> None:
    """Workloads, budgets and custom resources; not what is ready by being there."""
    for group, kind in (
        ("apps", "Deployment"),
        ("policy", "PodDisruptionBudget"),
        ("a.example.org", "Thing"),
    ):
        assert has_readiness(group, kind)
    for group, kind in (("", "ConfigMap"), ("networking.k8s.io", "Ingress"), ("batch", "CronJob")):
        assert not has_readiness(group, kind)


def test_which_groups_are_custom() -> None:
    """Those below k8s.io that the API server does not have by itself are."""
    assert is_custom("gateway.networking.k8s.io")
    assert is_custom("jobset.x-k8s.io")
    assert not is_custom("networking.k8s.io")
    assert not is_custom("flowcontrol.apiserver.k8s.io")
    assert not is_custom("apps")
