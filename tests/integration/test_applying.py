"""The engine on a real API server: one pass, nothing written twice, everything put back."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.aggregating import GROUP, Aggregated
from tests.integration.engine_runs import WRITES, apply
from tests.integration.planes import eventually
from tests.unit.engine.objects import (
    config_map,
    custom,
    definition,
    deployment,
    namespace,
    service,
    webhook,
)

from tideflow.engine.applying import Application, Options
from tideflow.engine.manifests import load
from tideflow.errors import ApplyError, GraphError, ManifestError

if TYPE_CHECKING:
    from tests.integration.planes import Plane

    from tideflow.clients.kubernetes import Kubernetes

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"


def test_a_set_is_applied_in_one_pass_and_a_rerun_writes_nothing(
    plane: Plane, cluster: Kubernetes, space: str
) -> None:
    """Definitions and their resources, workloads and what they name, in any order, without one refusal."""
    volumes = [{"name": "v", "configMap": {"name": "settings"}}]
    objects = [
        custom("Gadget", "g", space),
        deployment("d", space, volumes=volumes),
        definition("Gadget"),
        config_map("settings", space, x="1"),
        namespace(space),
    ]
    before = len(plane.audited())
    assert len(apply(cluster, objects).created) == 5
    eventually(
        lambda: plane.audited()[before:], lambda events: any("configmaps/test-0" in str(e) for e in events)
    )
    refused = [
        event
        for event in plane.audited()[before:]
        if event["verb"] in WRITES and event["responseStatus"]["code"] >= 400
    ]
    assert refused == []
    before = len(plane.audited())
    assert len(apply(cluster, objects).unchanged) == 5
    assert not any(event["verb"] in WRITES for event in plane.audited()[before:])


def test_what_others_change_is_put_back_and_what_is_theirs_stays(cluster: Kubernetes, space: str) -> None:
    """Image, replicas, a label taken away, an object deleted; not status, annotations or labels of others."""
    objects = [namespace(space), deployment("d", space), config_map("c", space, x="1")]
    objects[1]["metadata"]["labels"] = {"ours": "1"}
    apply(cluster, objects)
    path = f"/apis/apps/v1/namespaces/{space}/deployments/d"
    cluster.patch(path, {"metadata": {"labels": {"theirs": "1"}, "annotations": {"theirs": "1"}}})
    assert not apply(cluster, objects).writes
    other = [{"name": "main", "image": "example.org/other:1"}]
    for change in (
        {"spec": {"template": {"spec": {"containers": other}}}},
        {"spec": {"replicas": 3}},
        {"metadata": {"labels": {"ours": None}}},
        {"metadata": {"annotations": {"tideflow.dev/applied": "forged"}}},
    ):
        cluster.patch(path, change)
        assert [key.kind for key in apply(cluster, objects).changed] == ["Deployment"]
        live = cluster.get(path)
        assert live["spec"]["replicas"] == 1
        assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "example.org/main:1"
        assert live["metadata"]["labels"] == {"ours": "1", "theirs": "1"}
        assert not apply(cluster, objects).writes
    cluster.delete(f"/api/v1/namespaces/{space}/configmaps/c")
    assert [key.kind for key in apply(cluster, objects).created] == ["ConfigMap"]


def test_killed_between_a_write_and_its_record_an_older_manifest_still_wins(
    plane: Plane, cluster: Kubernetes, space: str
) -> None:
    """The annotation is part of the write, so the record of the older state proves nothing."""
    older = [namespace(space), config_map("c", space, x="old")]
    newer = copy.deepcopy(older)
    newer[1]["data"]["x"] = "new"
    apply(cluster, older)
    script = """
import json, os, sys
from pathlib import Path
from tideflow.clients.kubernetes import Kubernetes
from tideflow.engine.applying import Application
from tideflow.engine.manifests import load
from tideflow.engine import lease
from tideflow.engine.release import Release
lease.DURATION = 1
run = Release.run
Release.run = lambda self: (run(self), os._exit(9))
cluster = Kubernetes.from_kubeconfig(Path(sys.argv[1]))
applying = Application(cluster, set_name="test", manifests=load(json.load(sys.stdin)))
applying.run(applying.plan(), progress=print)
"""
    kubeconfig = plane.control_plane.admin_kubeconfig
    done = subprocess.run(
        [sys.executable, "-c", script, str(kubeconfig)], input=json.dumps(newer), text=True, check=False
    )
    assert done.returncode == 9
    path = f"/api/v1/namespaces/{space}/configmaps/c"
    assert cluster.get(path)["data"]["x"] == "new"
    assert [key.kind for key in apply(cluster, older).changed] == ["ConfigMap"]
    assert cluster.get(path)["data"]["x"] == "old"


@pytest.mark.parametrize("data", [None, {}, {"objects": "["}, {"objects": "[[1]]"}, {"objects": "7"}])
def test_records_that_are_gone_or_damaged_only_cost_an_apply(
    cluster: Kubernetes, space: str, data: dict[str, str] | None
) -> None:
    """Everything is written once more, changes nothing, and is proven afterwards."""
    objects = [namespace(space), config_map("c", space, x="1")]
    apply(cluster, objects)
    record = "/api/v1/namespaces/tideflow/configmaps/test-0"
    version = cluster.get(f"/api/v1/namespaces/{space}/configmaps/c")["metadata"]["resourceVersion"]
    if data is None:
        cluster.delete(record)
    else:
        cluster.patch(
            record,
            [{"op": "replace", "path": "/data", "value": data}],
            content_type="application/json-patch+json",
        )
    assert len(apply(cluster, objects).changed) == 2
    live = cluster.get(f"/api/v1/namespaces/{space}/configmaps/c")
    assert live["metadata"]["resourceVersion"] == version
    assert not apply(cluster, objects).writes


def test_a_credential_is_created_once(cluster: Kubernetes, space: str) -> None:
    """Whoever changes it afterwards is right."""
    made = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": space},
        "stringData": {"k": "generated"},
    }
    objects = [namespace(space), made]
    once = {manifest.key for manifest in load([made])}
    apply(cluster, objects, create_once=once)
    path = f"/api/v1/namespaces/{space}/secrets/s"
    cluster.patch(path, {"data": {"k": "Y2hvc2Vu"}})
    assert not apply(cluster, objects, create_once=once).writes
    assert cluster.get(path)["data"] == {"k": "Y2hvc2Vu"}
    cluster.delete(path)
    assert [key.kind for key in apply(cluster, objects, create_once=once).created] == ["Secret"]


def test_one_objects_failure_stops_only_what_needs_it(cluster: Kubernetes, space: str) -> None:
    """The error says what failed and why, and what was skipped because of it; the rest is applied."""
    broken = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "p", "namespace": space},
        "spec": {"accessModes": ["Nonsense"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "p"}}]
    objects = [
        namespace(space),
        broken,
        deployment("d", space, volumes=volumes),
        config_map("c", space, x="1"),
    ]
    with pytest.raises(ApplyError) as caught:
        apply(cluster, objects)
    text = str(caught.value)
    assert f"PersistentVolumeClaim {space}/p failed: " in text
    assert "Nonsense" in text
    assert f"Deployment {space}/d was not written, since it needs PersistentVolumeClaim {space}/p" in text
    assert cluster.get(f"/api/v1/namespaces/{space}/configmaps/c")["data"] == {"x": "1"}


def test_what_needs_a_webhook_that_cannot_be_served_is_skipped(cluster: Kubernetes, space: str) -> None:
    """Its only workload was refused: nobody waits for it until the timeout."""
    hook = webhook(space, "broken", resources=["gadgets"], groups=["example.org"], space=space)
    objects = [
        namespace(space),
        definition("Gadget"),
        hook,
        service("broken", space),
        deployment("broken", space, containers=[{"name": "main"}]),
        custom("Gadget", "g", space),
        config_map("c", space, x="1"),
    ]
    started = time.monotonic()
    try:
        with pytest.raises(ApplyError) as caught:
            apply(cluster, objects, timeout=60)
    finally:
        cluster.delete(f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{space}")
    assert f"Gadget {space}/g was not written, since it needs Deployment {space}/broken" in str(caught.value)
    assert time.monotonic() - started < 30
    assert cluster.get(f"/api/v1/namespaces/{space}/configmaps/c")["data"] == {"x": "1"}


def test_what_waits_says_for_what(cluster: Kubernetes, space: str) -> None:
    """A webhook that nobody serves holds what it is called for, and the timeout tells which and why."""
    hook = webhook(space, "nobody", resources=["gizmos"], groups=["example.org"], space=space)
    objects = [namespace(space), definition("Gizmo"), hook, custom("Gizmo", "g", space)]
    try:
        with pytest.raises(ApplyError, match="it has no CA bundle yet") as caught:
            apply(cluster, objects, timeout=3)
        assert f"Gizmo {space}/g could not be written: it waits for webhook {space}.example.org" in str(
            caught.value
        )
    finally:
        cluster.delete(f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{space}")


def test_a_webhook_that_is_live_holds_until_it_is_served_or_gone(
    plane: Plane, cluster: Kubernetes, space: str
) -> None:
    """Somebody else's counts as one of the set does; when it is taken away, nothing waits for it."""
    hook = webhook(space, "nobody", resources=["configmaps"], groups=[""], space=space)
    hook["webhooks"][0]["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": space}}
    objects = [namespace(space), config_map("c", space, x="1")]
    own, path = plane.client(), f"{WEBHOOKS}/{space}"
    own.post(WEBHOOKS, hook)
    said: list[str] = []

    def take_away(line: str) -> None:
        if not said:
            own.delete(path)
        said.append(line)

    applying = Application(cluster, set_name="test", manifests=load(objects), options=Options(timeout=60))
    before = len(plane.audited())
    applying.run(applying.plan(), progress=take_away)
    own.close()
    assert f"waits for webhook {space}.example.org" in said[0]
    assert "it has no CA bundle yet" in said[0]
    assert not any(event["responseStatus"]["code"] >= 500 for event in plane.audited()[before:])
    assert cluster.get(f"/api/v1/namespaces/{space}/configmaps/c")["data"] == {"x": "1"}


def test_pods_without_a_place_end_with_the_number_of_nodes(cluster: Kubernetes, space: str) -> None:
    """Nothing but another node helps, so nobody waits for the timeout."""
    large = [{"name": "main", "image": "x", "resources": {"requests": {"memory": "3Gi"}}}]
    work = deployment("d", space, containers=large)
    work["spec"]["replicas"] = 5
    with pytest.raises(ApplyError, match="Insufficient memory") as caught:
        apply(cluster, [namespace(space), work], timeout=120)
    assert "There are 1 nodes of s-4vcpu-8gb; 3 would hold everything" in str(caught.value)


@pytest.mark.parametrize(
    ("objects", "error", "expected"),
    [
        ([config_map("c", "nowhere")], GraphError, "ConfigMap nowhere/c is in the namespace nowhere"),
        (
            [config_map("c", "default"), config_map("c", "")],
            ManifestError,
            "ConfigMap default/c is there twice, once without its namespace",
        ),
        (
            [custom("Unknown", "u", "default")],
            ManifestError,
            "Unknown default/u is of a type that nobody defines",
        ),
        (
            [
                webhook("one", "first", resources=["pods"], groups=[""], space="default"),
                webhook("two", "second", resources=["pods"], groups=[""], space="default"),
                service("first", "default"),
                service("second", "default"),
                deployment("first", "default"),
                deployment("second", "default"),
            ],
            GraphError,
            "these objects wait for each other",
        ),
    ],
)
def test_what_cannot_be_applied_is_refused_before_anything_is_written(
    plane: Plane,
    cluster: Kubernetes,
    objects: list[dict[str, Any]],
    error: type[Exception],
    expected: str,
) -> None:
    """Planning finds it."""
    before = len(plane.audited())
    with pytest.raises(error, match=expected):
        apply(cluster, objects)
    assert not any(event["verb"] in WRITES for event in plane.audited()[before:])


def test_a_conversion_webhook_that_is_away_stops_only_what_it_converts(
    cluster: Kubernetes, space: str
) -> None:
    """What is stored in another version cannot be listed then; all that does not need it is applied."""
    converted = definition("Sprocket")
    (first,) = converted["spec"]["versions"]
    converted["spec"]["versions"].append({**first, "name": "v2", "storage": False})
    sprocket = custom("Sprocket", "s", space)
    apply(cluster, [namespace(space), converted, sprocket])
    converted["spec"]["conversion"] = {
        "strategy": "Webhook",
        "webhook": {
            "conversionReviewVersions": ["v1"],
            "clientConfig": {"service": {"name": "away", "namespace": space}},
        },
    }
    apply(cluster, [namespace(space), converted, sprocket])
    objects = [
        namespace(space),
        converted,
        {**sprocket, "apiVersion": "example.org/v2"},
        config_map("c", space, x="1"),
    ]
    try:
        with pytest.raises(ApplyError) as caught:
            apply(cluster, objects, timeout=3)
        assert f"Sprocket {space}/s could not be written: it waits for webhook conversion" in str(
            caught.value
        )
        assert cluster.get(f"/api/v1/namespaces/{space}/configmaps/c")["data"] == {"x": "1"}
    finally:
        del converted["spec"]["conversion"]
        apply(cluster, objects)


def api_service(group: str, space: str) -> dict[str, Any]:
    """Return the registration of an API that the Service ``server`` serves."""
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"v1.{group}"},
        "spec": {
            "group": group,
            "version": "v1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": "server", "namespace": space},
        },
    }


def test_an_aggregated_api_comes_with_objects_of_its_own(
    plane: Plane, cluster: Kubernetes, space: str
) -> None:
    """They are written once its pods serve it, in the same run; until then nobody knows of their type."""
    objects = [
        custom("Flask", "f", space, GROUP),
        api_service(GROUP, space),
        service("server", space),
        deployment("server", space),
        namespace(space),
    ]
    with Aggregated(plane.control_plane.sockets / "egress.sock") as aggregated:
        try:
            assert len(apply(cluster, objects).created) == len(objects)
            assert list(aggregated.objects) == [f"/apis/{GROUP}/v1/namespaces/{space}/flasks/f"]
        finally:
            cluster.delete(f"{API_SERVICES}/v1.{GROUP}")


def test_an_aggregated_api_that_nothing_will_serve_is_given_up(cluster: Kubernetes, space: str) -> None:
    """Its only workload was refused: neither it nor what is of its types is waited for until the timeout."""
    group = "unserved.example.org"
    objects = [
        namespace(space),
        custom("Flask", "f", space, group),
        api_service(group, space),
        service("server", space),
        deployment("server", space, containers=[{"name": "main"}]),
    ]
    started = time.monotonic()
    try:
        with pytest.raises(ApplyError) as caught:
            apply(cluster, objects, timeout=60)
    finally:
        cluster.delete(f"{API_SERVICES}/v1.{group}")
    lines = str(caught.value).splitlines()
    served = f"APIService v1.{group}"
    assert f"{served} failed: Deployment {space}/server, which is to serve it, is not there" in lines
    assert f"Flask {space}/f was not written, since it needs {served}" in lines
    assert time.monotonic() - started < 30


def test_an_aggregated_api_is_served_by_what_was_there_before(
    plane: Plane, cluster: Kubernetes, space: str
) -> None:
    """A change of its workload is refused: the workload as it was goes on, and so does what needs the API."""
    served = api_service(GROUP, space)
    objects = [namespace(space), served, service("server", space), deployment("server", space)]
    with Aggregated(plane.control_plane.sockets / "egress.sock") as aggregated:
        try:
            apply(cluster, objects)
            broken = deployment("server", space, containers=[{"name": "main"}])
            for number in range(3):
                served["spec"]["versionPriority"] = 10 + number
                flask = custom("Flask", f"f{number}", space, GROUP)
                with pytest.raises(ApplyError) as caught:
                    apply(cluster, [*objects[:3], broken, flask])
                assert str(caught.value).startswith(f"Deployment {space}/server failed: ")
                assert "was not written" not in str(caught.value)
            assert len(aggregated.objects) == 3
        finally:
            cluster.delete(f"{API_SERVICES}/v1.{GROUP}")


def test_an_aggregated_api_that_is_away_stops_only_its_own_objects(cluster: Kubernetes, space: str) -> None:
    """Somebody else's, which does not answer: nobody can say what its types are."""
    group = "away.example.org"
    cluster.post(API_SERVICES, api_service(group, space))
    try:
        eventually(lambda: group in cluster.resources(refresh=True).away)
        with pytest.raises(ApplyError) as caught:
            apply(
                cluster,
                [namespace(space), custom("Flask", "f", space, group), config_map("c", space, x="1")],
                timeout=3,
            )
        assert f"Flask {space}/f could not be written" in str(caught.value)
        assert "the server has no Flask in away.example.org/v1" in str(caught.value)
        assert cluster.get(f"/api/v1/namespaces/{space}/configmaps/c")["data"] == {"x": "1"}
    finally:
        cluster.delete(f"{API_SERVICES}/v1.{group}")
        eventually(lambda: group not in cluster.resources(refresh=True).away)
