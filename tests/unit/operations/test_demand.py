"""What objects ask of a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.engine.objects import config_map, deployment, namespace

from tideflow.engine import capacity
from tideflow.engine.manifests import load
from tideflow.operations.demand import demand

if TYPE_CHECKING:
    from tideflow.operations.demand import Workload

SAMPLE = Path("vendored/sample")
MESHED = namespace("meshed", **{"istio-injection": "enabled"})
WEBHOOK = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "MutatingWebhookConfiguration",
    "metadata": {"name": "istio-sidecar-injector"},
    "webhooks": [
        {
            "name": "namespace.sidecar-injector.istio.io",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": {"service": {"namespace": "istio-system", "name": "istiod"}},
            "rules": [
                {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
            ],
            "namespaceSelector": {"matchLabels": {"istio-injection": "enabled"}},
            "objectSelector": {
                "matchExpressions": [
                    {"key": "sidecar.istio.io/inject", "operator": "NotIn", "values": ["false"]}
                ]
            },
        }
    ],
}
PROXY = {"requests": {"cpu": "20m", "memory": "40Mi"}}
SETTINGS = config_map(
    "istio-sidecar-injector",
    "istio-system",
    values=json.dumps({"global": {"proxy": {"resources": PROXY}}}),
)


def workloads(*objects: dict[str, Any]) -> dict[str, Workload]:
    """Return the workloads among some objects, by their names."""
    return {found.manifest.key.name: found for found in demand(load(objects)).workloads}


def asking(name: str, space: str = "meshed", **pod: Any) -> dict[str, Any]:
    """Return a Deployment whose pods ask for 100m and 64Mi."""
    requests = {"cpu": "100m", "memory": "64Mi"}
    container = {"name": "main", "image": "example.org/main:1", "resources": {"requests": requests}}
    return deployment(name, space, containers=[container], **pod)


def labelled(body: dict[str, Any], *, annotations: bool = False) -> dict[str, Any]:
    """Have the pods of a Deployment refuse a sidecar, by label or by annotation."""
    metadata = body["spec"]["template"]["metadata"]
    metadata.setdefault("annotations" if annotations else "labels", {})["sidecar.istio.io/inject"] = "false"
    return body


def test_pods_in_the_mesh_ask_for_their_sidecars_too() -> None:
    """As much as Istio's own settings say, or its default where they say nothing."""
    found = workloads(MESHED, WEBHOOK, SETTINGS, asking("in"), asking("out", "elsewhere"))
    assert [found[name].sidecar for name in ("in", "out")] == [True, False]
    room = capacity.asked(found["in"].template["spec"])
    assert room.cpu == pytest.approx(0.12)
    assert room.memory == 104 * 2**20
    found = workloads(MESHED, WEBHOOK, asking("in"))
    assert capacity.asked(found["in"].template["spec"]).cpu == pytest.approx(0.2)


@pytest.mark.parametrize(
    "body",
    [
        labelled(asking("label")),
        labelled(asking("annotation"), annotations=True),
        asking("host", hostNetwork=True),
        deployment("gateway", "meshed", containers=[{"name": "istio-proxy", "image": "example.org/p:1"}]),
    ],
    ids=lambda body: body["metadata"]["name"],
)
def test_pods_that_istiod_leaves_alone(body: dict[str, Any]) -> None:
    """It does so although the webhook is called for some of them."""
    (found,) = workloads(MESHED, WEBHOOK, body).values()
    assert not found.sidecar


def test_an_autoscaler_keeps_its_least_replicas() -> None:
    """Whatever the Deployment says: that is left out of what is applied."""
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "scaled", "namespace": "meshed"},
        "spec": {
            "minReplicas": 2,
            "maxReplicas": 5,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "scaled"},
        },
    }
    found = workloads(MESHED, asking("scaled"), asking("other"), scaler)
    assert (found["scaled"].number, found["other"].number) == (2, 1)


def test_which_live_pods_are_of_a_workload() -> None:
    """By its selector, in its namespace."""
    (found,) = workloads(MESHED, asking("one")).values()
    pod = {"metadata": {"namespace": "meshed", "labels": {"app": "one", "more": "x"}}}
    assert found.makes(pod)
    assert not found.makes({"metadata": {"namespace": "other", "labels": {"app": "one"}}})
    assert not found.makes({"metadata": {"namespace": "meshed", "labels": {"app": "two"}}})
    assert not found.makes({"metadata": {"namespace": "meshed"}})


def test_volumes_are_those_of_claims_and_of_stateful_sets() -> None:
    """Each replica claims its own."""
    size = {"resources": {"requests": {"storage": "10Gi"}}}
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "one", "namespace": "meshed"},
        "spec": size,
    }
    stateful = asking("set")
    stateful["kind"] = "StatefulSet"
    stateful["spec"] |= {"replicas": 2, "volumeClaimTemplates": [{"metadata": {"name": "v"}, "spec": size}]}
    found = demand(load([MESHED, claim, stateful]))
    assert (found.volumes, found.volumes_gib) == (3, 30)


def test_the_sample_asks_for_pods_a_daemon_and_a_volume() -> None:
    """What comes and goes, as a CronJob's pods, is not counted."""
    found = demand(load(SAMPLE))
    assert [workload.name for workload in found.workloads if workload.everywhere] == [
        "DaemonSet kube-system/istio-cni-node"
    ]
    assert (found.volumes, found.volumes_gib) == (1, 20)
    assert sum(workload.sidecar for workload in found.workloads) == 4
