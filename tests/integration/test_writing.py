"""Writing over what others own, what cannot be changed, and what kubectl applied, on a real API server."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.engine_runs import apply, apply_and_tell
from tests.integration.planes import eventually
from tests.unit.engine.objects import config_map, custom, definition, deployment, namespace

from tideflow.engine.applying import Application, Options
from tideflow.engine.manifests import load
from tideflow.errors import ApplyError

if TYPE_CHECKING:
    from tests.integration.planes import Plane

    from tideflow.clients.kubernetes import Kubernetes

_KUBECTL = Path(sys.executable).with_name("kubectl")


def kubectl(plane: Plane, objects: list[dict[str, Any]], *arguments: str) -> None:
    """Apply objects as a user of kubectl does."""
    manifests = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    kubeconfig = str(plane.control_plane.admin_kubeconfig)
    command = [str(_KUBECTL), "--kubeconfig", kubeconfig, "apply", *arguments, "-f", "-"]
    subprocess.run(command, input=manifests, text=True, check=True, capture_output=True)


def job(space: str, image: str) -> dict[str, Any]:
    """Return a Job."""
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": image}]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j", "namespace": space},
        "spec": {"template": template},
    }


def stateful_set(space: str, service: str) -> dict[str, Any]:
    """Return a StatefulSet."""
    body = deployment("s", space)
    body["kind"] = "StatefulSet"
    body["spec"]["serviceName"] = service
    return body


def claim(space: str, mode: str) -> dict[str, Any]:
    """Return a claim."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "c", "namespace": space},
        "spec": {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}},
    }


def test_fields_of_others_are_taken_left_or_named(cluster: Kubernetes, space: str) -> None:
    """As ``conflicts`` says; the one that stops names manager, field and both values."""
    objects = [namespace(space), deployment("d", space)]
    apply(cluster, objects)
    path = f"/apis/apps/v1/namespaces/{space}/deployments/d"
    cluster.patch(path, {"spec": {"replicas": 3}}, query={"fieldManager": "somebody"})
    with pytest.raises(ApplyError) as caught:
        apply(cluster, objects, conflicts="fail")
    assert "somebody owns .spec.replicas (there 3, wanted 1)" in str(caught.value)
    assert 'conflicts="own"' in str(caught.value)
    assert cluster.get(path)["spec"]["replicas"] == 3
    objects[1]["metadata"]["labels"] = {"x": "1"}
    _, summary = apply_and_tell(cluster, objects, conflicts="yield", wait=False)
    assert summary
    assert summary.notes == (f"Deployment {space}/d: .spec.replicas left to somebody",)
    live = cluster.get(path)
    assert (live["spec"]["replicas"], live["metadata"]["labels"]) == (3, {"x": "1"})
    assert not apply(cluster, objects, conflicts="yield", wait=False).writes
    with pytest.raises(ApplyError, match=r"somebody owns \.spec\.replicas"):
        apply(cluster, objects, conflicts="fail")
    apply(cluster, objects)
    assert cluster.get(path)["spec"]["replicas"] == 1
    assert not apply(cluster, objects, conflicts="yield").writes


def test_a_conflict_over_a_secret_shows_no_value(cluster: Kubernetes, space: str) -> None:
    """Neither theirs nor ours."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": space},
        "stringData": {"k": "canary-ours"},
    }
    objects = [namespace(space), secret]
    apply(cluster, objects)
    theirs = "Y2FuYXJ5LXRoZWlycw=="
    path = f"/api/v1/namespaces/{space}/secrets/s"
    cluster.patch(path, {"data": {"k": theirs}}, query={"fieldManager": "somebody"})
    with pytest.raises(ApplyError, match=r"somebody owns \.data\.k") as caught:
        apply(cluster, objects, conflicts="fail")
    for value in ("canary", theirs, "Y2FuYXJ5LW91cnM="):
        assert value not in str(caught.value)


def _select_more(body: dict[str, Any]) -> None:
    body["spec"]["selector"]["matchLabels"]["x"] = "1"
    body["spec"]["template"]["metadata"]["labels"]["x"] = "1"


SETTLED: dict[str, tuple[str, Any, Any, str, str]] = {
    "Deployment": (
        "/apis/apps/v1/namespaces/{space}/deployments/d",
        lambda space: deployment("d", space),
        _select_more,
        "spec.selector cannot be changed",
        "kubectl delete deployment -n {space} d",
    ),
    "Job": (
        "/apis/batch/v1/namespaces/{space}/jobs/j",
        lambda space: job(space, "x"),
        lambda body: body["spec"]["template"]["spec"]["containers"][0].update(image="y"),
        "spec.template cannot be changed once it is there (field is immutable)",
        'allow it with replace=["Job"]',
    ),
    "StatefulSet": (
        "/apis/apps/v1/namespaces/{space}/statefulsets/s",
        lambda space: stateful_set(space, "one"),
        lambda body: body["spec"].update(serviceName="other"),
        "spec.serviceName cannot be changed",
        'allow it with replace=["StatefulSet"]',
    ),
    "PersistentVolumeClaim": (
        "/api/v1/namespaces/{space}/persistentvolumeclaims/c",
        lambda space: claim(space, "ReadWriteOnce"),
        lambda body: body["spec"].update(accessModes=["ReadWriteMany"]),
        "spec.accessModes cannot be changed",
        "kubectl delete persistentvolumeclaim -n {space} c",
    ),
}


@pytest.mark.parametrize("kind", SETTLED)
def test_what_cannot_be_changed_is_named_and_not_deleted(cluster: Kubernetes, space: str, kind: str) -> None:
    """The message says which field, and how one gets rid of the object."""
    path, make, change, field, hint = SETTLED[kind]
    path = path.format(space=space)
    body = make(space)
    apply(cluster, [namespace(space), body], wait=False)
    uid = cluster.get(path)["metadata"]["uid"]
    changed = copy.deepcopy(body)
    change(changed)
    with pytest.raises(ApplyError) as caught:
        apply(cluster, [namespace(space), changed], wait=False)
    assert field in str(caught.value)
    assert hint.format(space=space) in str(caught.value)
    assert cluster.get(path)["metadata"]["uid"] == uid


def test_a_kind_that_may_be_replaced_is(cluster: Kubernetes, space: str) -> None:
    """A Job is made anew; a StatefulSet too, and its pods go on under the new one."""
    apply(cluster, [namespace(space), job(space, "x"), stateful_set(space, "one")])
    pods = f"/api/v1/namespaces/{space}/pods"
    labels = {"labelSelector": "app=s"}
    before = [pod["metadata"]["uid"] for pod in cluster.get(pods, query=labels)["items"]]
    assert before
    after = [namespace(space), job(space, "y"), stateful_set(space, "other")]
    apply(cluster, after, replace=["Job", "StatefulSet"])
    made = cluster.get(f"/apis/batch/v1/namespaces/{space}/jobs/j")
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "y"
    live = cluster.get(f"/apis/apps/v1/namespaces/{space}/statefulsets/s")
    assert live["spec"]["serviceName"] == "other"
    assert [pod["metadata"]["uid"] for pod in cluster.get(pods, query=labels)["items"]] == before
    assert not apply(cluster, after).writes


@pytest.mark.parametrize("arguments", [(), ("--server-side",)])
def test_what_kubectl_applied_is_taken_over_whole(
    plane: Plane, cluster: Kubernetes, space: str, arguments: tuple[str, ...]
) -> None:
    """What the new manifest leaves out goes, no second manager stays, and a rerun writes nothing."""
    old = deployment("d", space)
    old["metadata"]["labels"] = {"stays": "1", "goes": "1"}
    old["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "OLD", "value": "1"}]
    kubectl(plane, [namespace(space), old, config_map("c", space, kept="1", dropped="1")], *arguments)
    path = f"/apis/apps/v1/namespaces/{space}/deployments/d"
    cluster.patch(path, {"metadata": {"labels": {"theirs": "1"}}}, query={"fieldManager": "somebody"})
    new = deployment("d", space)
    new["metadata"]["labels"] = {"stays": "1"}
    objects = [namespace(space), new, config_map("c", space, kept="1")]
    _, summary = apply_and_tell(cluster, objects)
    assert summary
    assert f"Deployment {space}/d was kubectl's, and is taken over" in summary.notes
    live = cluster.get(path)
    assert live["metadata"]["labels"] == {"stays": "1", "theirs": "1"}
    assert "env" not in live["spec"]["template"]["spec"]["containers"][0]
    assert "kubectl.kubernetes.io/last-applied-configuration" not in live["metadata"]["annotations"]
    managers = [entry["manager"] for entry in live["metadata"]["managedFields"]]
    assert sorted(set(managers)) == ["kube-controller-manager", "somebody", "tideflow-test"]
    assert managers.count("tideflow-test") == 1
    assert cluster.get(f"/api/v1/namespaces/{space}/configmaps/c")["data"] == {"kept": "1"}
    assert not apply(cluster, objects).writes


def test_an_object_that_is_being_deleted_is_waited_for_and_made_anew(cluster: Kubernetes, space: str) -> None:
    """As long as a finalizer holds it the run says so; then what was asked for is there."""
    objects = [namespace(space), config_map("c", space, x="1")]
    apply(cluster, objects)
    path = f"/api/v1/namespaces/{space}/configmaps/c"
    cluster.patch(path, {"metadata": {"finalizers": ["example.org/slow"]}})
    uid = cluster.get(path)["metadata"]["uid"]
    cluster.delete(path)
    with pytest.raises(ApplyError, match=r"is being deleted, and held by the finalizer example\.org/slow"):
        apply(cluster, objects, timeout=2)
    cluster.patch(path, {"metadata": {"finalizers": None}})
    apply(cluster, objects)
    live = cluster.get(path)
    assert live["metadata"]["uid"] != uid
    assert live["data"] == {"x": "1"}


def test_a_namespace_that_is_going_is_waited_for(cluster: Kubernetes, space: str) -> None:
    """Somebody deleted it a moment ago; the run puts it and all that was in it back."""
    objects = [namespace(space), config_map("c", space, x="1"), deployment("d", space)]
    apply(cluster, objects)
    cluster.delete(f"/api/v1/namespaces/{space}")
    apply(cluster, objects)
    found = eventually(lambda: cluster.get(f"/api/v1/namespaces/{space}"))
    assert "deletionTimestamp" not in found["metadata"]
    assert cluster.get(f"/api/v1/namespaces/{space}/configmaps/c")["data"] == {"x": "1"}
    assert not apply(cluster, objects).writes


def test_what_somebody_deletes_while_the_run_goes_on_is_made_again(
    plane: Plane, cluster: Kubernetes, space: str
) -> None:
    """What had been written is there at the end of the run, not only at that of the next."""
    objects = [namespace(space), deployment("d", space), job(space, "x")]
    objects[1]["spec"]["template"]["metadata"]["annotations"] = {"x": "1"}
    own, path = plane.client(), f"/apis/apps/v1/namespaces/{space}/deployments/d"
    deleted: list[str] = []

    def delete_once(_: str) -> None:
        if not deleted:
            deleted.append(own.get(path)["metadata"]["uid"])
            own.delete(path)

    applying = Application(cluster, set_name="test", manifests=load(objects), options=Options(timeout=60))
    summary = applying.run(applying.plan(), progress=delete_once)
    own.close()
    assert deleted
    assert summary.notes == (f"Deployment {space}/d was deleted by somebody meanwhile, and is made again",)
    assert cluster.get(path)["metadata"]["uid"] != deleted[0]
    assert not apply(cluster, objects).writes


def test_an_object_larger_than_an_annotation_may_be_is_applied_and_adopted(
    plane: Plane, cluster: Kubernetes, space: str
) -> None:
    """Nothing keeps a copy of it in an annotation, which may have 262,144 bytes."""
    large = config_map("c", space, x="x" * 600_000)
    objects = [namespace(space), large]
    apply(cluster, objects)
    assert not apply(cluster, objects).writes
    other = config_map("other", space, x="x" * 600_000)
    kubectl(plane, [other], "--server-side")
    apply(cluster, [*objects, other])
    assert not apply(cluster, [*objects, other]).writes


def test_an_object_that_two_sets_apply_is_left_to_the_first(cluster: Kubernetes, space: str) -> None:
    """The digest of what is desired is a field as well, and each set has another."""
    apply(cluster, [namespace(space), config_map("c", space, x="1")])
    second = [config_map("c", space, x="2", y="2")]
    plan, summary = apply_and_tell(cluster, second, set_name="second", conflicts="yield")
    assert summary
    assert ".data.x" in summary.notes[0]
    assert cluster.get(f"/api/v1/namespaces/{space}/configmaps/c")["data"] == {"x": "1", "y": "2"}
    assert not apply(cluster, [namespace(space), config_map("c", space, x="1")]).writes
    assert [key.kind for key in plan.changed] == ["ConfigMap"]


def test_a_kind_that_is_only_called_like_a_replaceable_one_is_not_replaced(
    cluster: Kubernetes, space: str
) -> None:
    """A custom resource's controller may clean up more than pods when it goes."""
    other = definition("Job", "batch.example.org")
    settled = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    settled["x-kubernetes-validations"] = [{"rule": "self == oldSelf", "message": "field is immutable"}]
    schema = {"type": "object", "properties": {"spec": settled}}
    other["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": schema}
    made = custom("Job", "j", space, "batch.example.org")
    try:
        apply(cluster, [namespace(space), other, made])
        path = f"/apis/batch.example.org/v1/namespaces/{space}/jobs/j"
        uid = cluster.get(path)["metadata"]["uid"]
        with pytest.raises(ApplyError, match=r"spec\.x cannot be changed once it is there") as caught:
            apply(cluster, [namespace(space), other, {**made, "spec": {"x": 1}}], replace=["Job"])
        assert "replace=" not in str(caught.value)
        assert cluster.get(path)["metadata"]["uid"] == uid
    finally:
        cluster.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/jobs.batch.example.org")


def test_a_field_that_the_type_does_not_have_is_named_with_the_file(
    plane: Plane, cluster: Kubernetes, space: str
) -> None:
    """It is tried for a moment, since a definition may be new; what is there is not touched."""
    apply(cluster, [namespace(space), config_map("c", space, x="1")], wait=False)
    mark = len(plane.audited())
    misspelt = {**config_map("c", space), "datta": {"x": "2"}}
    with pytest.raises(ApplyError) as caught:
        apply(cluster, [namespace(space), misspelt], wait=False)
    path = f"/api/v1/namespaces/{space}/configmaps/c"
    assert str(caught.value).splitlines() == [
        f"ConfigMap {space}/c failed: PATCH {path} was answered 500: .datta: there is no such field",
        "    it is from object 2",
        "Everything else is applied. Run this step again once that is mended",
    ]
    tries = [event for event in plane.audited()[mark:] if event["requestURI"].startswith(f"{path}?")]
    assert len(tries) == 3
    assert cluster.get(path)["data"] == {"x": "1"}
