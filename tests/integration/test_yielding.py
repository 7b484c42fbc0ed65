"""Two runs in a row never fight a controller: each writes here as the real one does, and keeps it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.engine_runs import apply
from tests.integration.planes import eventually
from tests.integration.test_writing import kubectl
from tests.unit.engine.objects import definition, deployment, namespace, service, webhook

from tideflow.engine.applying import Application
from tideflow.engine.manifests import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.planes import Plane

    from tideflow.clients.kubernetes import Kubernetes

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
RULES = [
    {"apiGroups": ["example.org"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["none"]}
]


def bundle(cluster: Kubernetes) -> str:
    """Return the certificate of some authority, which the API server checks to be one."""
    path = "/api/v1/namespaces/kube-system/configmaps"
    authority = {"fieldSelector": "metadata.name=kube-root-ca.crt"}  # made a moment after the server's start
    (found,) = eventually(lambda: cluster.get(path, query=authority)["items"])
    return base64.b64encode(found["data"]["ca.crt"].encode()).decode()


def put(cluster: Kubernetes, path: str, change: Callable[[Any], object], manager: str) -> None:
    """Read, change and write an object whole, as most controllers do."""
    live = cluster.get(path)
    change(live)
    cluster.put(path, live, query={"fieldManager": manager})


def autoscaler(space: str) -> dict[str, Any]:
    """Return what scales the Deployment ``d``."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "d", "namespace": space},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            "minReplicas": 1,
            "maxReplicas": 5,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
                }
            ],
        },
    }


def test_what_controllers_fill_in_stays_and_is_not_written_again(cluster: Kubernetes, space: str) -> None:
    """CA bundles by PUT and by PATCH, rules, aggregated roles, replicas, data of a Secret."""
    injected = webhook(f"{space}-injected", "s", resources=["none"], groups=["example.org"], space=space)
    injected["webhooks"][0]["clientConfig"]["caBundle"] = ""
    registered = webhook(f"{space}-registered", "s", resources=["none"], groups=["example.org"], space=space)
    registered["webhooks"][0]["rules"] = []
    registered["webhooks"][0]["clientConfig"]["caBundle"] = "Cg=="
    converted = definition("Widget")
    converted["spec"]["conversion"] = {
        "strategy": "Webhook",
        "webhook": {
            "conversionReviewVersions": ["v1"],
            "clientConfig": {"service": {"name": "s", "namespace": space, "port": 443}},
        },
    }
    aggregated = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"{space}-all"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"example.org/into": space}}]},
        "rules": [],
    }
    part = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"{space}-part", "labels": {"example.org/into": space}},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    }
    filled = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "certs", "namespace": space},
        "data": {},
    }
    objects = [
        namespace(space),
        service("s", space),
        injected,
        registered,
        converted,
        aggregated,
        part,
        deployment("d", space),
        autoscaler(space),
        filled,
    ]
    certificate = bundle(cluster)
    paths = {
        "injected": f"{WEBHOOKS}/{space}-injected",
        "registered": f"{WEBHOOKS}/{space}-registered",
        "converted": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.org",
        "aggregated": f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{space}-all",
        "part": f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{space}-part",
        "deployment": f"/apis/apps/v1/namespaces/{space}/deployments/d",
        "filled": f"/api/v1/namespaces/{space}/secrets/certs",
    }
    try:
        apply(cluster, objects)
        put(
            cluster,
            paths["injected"],
            lambda live: live["webhooks"][0]["clientConfig"].update(caBundle=certificate),
            "cainjector",
        )
        put(
            cluster,
            paths["registered"],
            lambda live: (
                live["webhooks"][0].update(rules=RULES),
                live["webhooks"][0]["clientConfig"].update(caBundle=certificate),
            ),
            "knative-webhook",
        )
        cluster.patch(
            paths["converted"],
            {"spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": certificate}}}}},
            query={"fieldManager": "pvcviewer"},
        )
        cluster.patch(
            f"{paths['deployment']}/scale", {"spec": {"replicas": 3}}, query={"fieldManager": "autoscaler"}
        )
        cluster.patch(paths["filled"], {"data": {"tls.crt": certificate}}, query={"fieldManager": "webhook"})
        eventually(lambda: cluster.get(paths["aggregated"]).get("rules"))
        versions = {
            name: cluster.get(path)["metadata"]["generation"]
            for name, path in paths.items()
            if name in {"injected", "registered", "converted"}
        }
        for _ in range(2):
            assert not apply(cluster, objects).writes
        # Written for another reason, they keep what is theirs.
        for body in objects[2:]:
            body["metadata"].setdefault("labels", {})["example.org/again"] = "1"
        assert len(apply(cluster, objects).changed) == len(objects) - 2
        live = {name: cluster.get(path) for name, path in paths.items()}
        assert live["injected"]["webhooks"][0]["clientConfig"]["caBundle"] == certificate
        assert live["registered"]["webhooks"][0]["clientConfig"]["caBundle"] == certificate
        assert live["registered"]["webhooks"][0]["rules"][0]["resources"] == ["none"]
        assert live["converted"]["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"] == certificate
        assert live["aggregated"]["rules"] == part["rules"]
        assert live["deployment"]["spec"]["replicas"] == 3
        assert live["filled"]["data"] == {"tls.crt": certificate}
        assert {name: live[name]["metadata"]["generation"] for name in versions} == versions
        assert not apply(cluster, objects).writes
    finally:
        for name in ("injected", "registered", "converted", "aggregated", "part"):
            cluster.delete(paths[name])


def test_what_was_scaled_to_nothing_is_scaled_up_though_an_autoscaler_has_the_number(
    cluster: Kubernetes, space: str
) -> None:
    """It leaves such a workload alone, so nobody would; from one on, the number is its own again."""
    objects = [namespace(space), deployment("d", space), autoscaler(space)]
    path = f"/apis/apps/v1/namespaces/{space}/deployments/d"
    apply(cluster, objects)
    cluster.patch(f"{path}/scale", {"spec": {"replicas": 0}}, query={"fieldManager": "kubectl"})
    assert [key.kind for key in apply(cluster, objects).changed] == ["Deployment"]
    assert cluster.get(path)["spec"]["replicas"] == 1
    assert not apply(cluster, objects).writes
    cluster.patch(f"{path}/scale", {"spec": {"replicas": 4}}, query={"fieldManager": "autoscaler"})
    assert not apply(cluster, objects).writes
    # Who is not to be overruled has a reason, and so has an autoscaler that is another controller's.
    cluster.patch(f"{path}/scale", {"spec": {"replicas": 0}}, query={"fieldManager": "kubectl"})
    for conflicts in ("yield", "fail"):
        assert not apply(cluster, objects, conflicts=conflicts).writes
    objects[1]["spec"]["replicas"] = 0
    apply(cluster, objects)
    assert not apply(cluster, objects).writes
    objects[1]["spec"]["replicas"] = 1
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "d", "uid": "1"}
    objects[-1]["metadata"]["ownerReferences"] = [owner]
    apply(cluster, objects)
    assert not apply(cluster, objects).writes
    assert cluster.get(path)["spec"]["replicas"] == 0


@pytest.mark.parametrize("by", ["us", "kubectl"])
def test_an_autoscaler_that_comes_later_finds_the_replicas_that_were_there(
    plane: Plane, cluster: Kubernetes, space: str, by: str
) -> None:
    """They are given up and not taken away, which would leave one pod until the autoscaler has a look."""
    work = deployment("d", space)
    work["spec"]["replicas"] = 3
    objects = [namespace(space), work]
    if by == "us":
        apply(cluster, objects, wait=False)
    else:
        kubectl(plane, objects)
    objects.append(autoscaler(space))
    path = f"/apis/apps/v1/namespaces/{space}/deployments/d"
    applying = Application(cluster, set_name="test", manifests=load(objects))
    plan = applying.plan()
    differences = applying.differences(plan, created=False, progress=lambda _: None)
    told = [
        change.field
        for key, found in differences.items()
        if key.kind == "Deployment"
        for change in found.changes
    ]
    assert not [field for field in told if field.startswith("spec")]
    apply(cluster, objects, wait=False)
    live = cluster.get(path)
    assert live["spec"]["replicas"] == 3
    assert not any(
        "f:replicas" in entry["fieldsV1"].get("f:spec", {})
        for entry in live["metadata"]["managedFields"]
        if entry["manager"] == "tideflow-test"
    )
    assert not apply(cluster, objects, wait=False).writes
