"""The proof on a real API server: what breaks it, what does not, and what a killed run leaves of it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.engine_runs import apply
from tests.integration.planes import eventually
from tests.unit.engine.objects import config_map, custom, definition, deployment, namespace, service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.planes import Plane

    from tideflow.clients.kubernetes import Kubernetes

ARGUMENTS = [{"name": "main", "image": "example.org/main:1", "args": ["a", "b"]}]


def objects_of(space: str) -> list[dict[str, Any]]:
    """Return a small set: a Deployment, its Service and settings."""
    work = deployment("d", space, containers=ARGUMENTS)
    work["metadata"]["labels"] = {"ours": "1"}
    ports = service("s", space, app="d")
    ports["spec"]["ports"] = [{"name": "web", "port": 80}, {"name": "metrics", "port": 9090}]
    return [namespace(space), work, ports, config_map("c", space, x="1", y="2")]


def _applied_by_another(cluster: Kubernetes, path: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"x": "theirs"}}
    cluster.apply(path, body, field_manager="another")


def _made_anew(cluster: Kubernetes, path: str) -> None:
    live = cluster.get(path)
    cluster.delete(path)
    metadata = {key: live["metadata"][key] for key in ("name", "annotations")}
    cluster.post(path.rpartition("/")[0], {**live, "metadata": metadata})


def _without_managers(cluster: Kubernetes, path: str) -> None:
    live = cluster.get(path)
    live["metadata"]["managedFields"] = [{}]
    cluster.put(path, live)


def _patch(body: Any, *, subresource: str = "", **query: str) -> Callable[[Kubernetes, str], None]:
    return lambda cluster, path: cluster.patch(path + subresource, body, query=query) and None


_OTHER_IMAGE = [{"name": "main", "image": "example.org/other:1"}]
_FEWER_ARGUMENTS = [{"name": "main", "image": "example.org/main:1", "args": ["a"]}]

BREAKS: dict[str, tuple[str, Callable[[Kubernetes, str], None]]] = {
    "a field changed": ("deployment", _patch({"spec": {"template": {"spec": {"containers": _OTHER_IMAGE}}}})),
    "a field of an atomic list changed": (
        "deployment",
        _patch({"spec": {"template": {"spec": {"containers": _FEWER_ARGUMENTS}}}}),
    ),
    "scaled by the subresource": ("deployment", _patch({"spec": {"replicas": 3}}, subresource="/scale")),
    "a label removed": ("deployment", _patch({"metadata": {"labels": {"ours": None}}})),
    "our annotation forged": (
        "deployment",
        _patch({"metadata": {"annotations": {"tideflow.dev/applied": "forged"}}}),
    ),
    "a key removed": ("config", _patch({"data": {"y": None}})),
    "all data removed": ("config", _patch({"data": None})),
    "an item of a keyed list removed": (
        "service",
        _patch({"spec": {"ports": [{"name": "web", "port": 80}]}}),
    ),
    "taken over by another manager": ("config", _applied_by_another),
    "deleted": ("config", lambda cluster, path: cluster.delete(path) and None),
    "deleted and made anew, all the same": ("config", _made_anew),
    "all managers forgotten": ("config", _without_managers),
}

_SAME = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"x": "1"}}

KEEPS: dict[str, tuple[str, Callable[[Kubernetes, str], None]]] = {
    "annotations and labels of others": (
        "deployment",
        _patch({"metadata": {"labels": {"theirs": "1"}, "annotations": {"theirs": "1"}}}),
    ),
    "a key of others": ("config", _patch({"data": {"theirs": "1"}})),
    "status": (
        "deployment",
        _patch(
            {"status": {"conditions": [{"type": "Theirs", "status": "True", "reason": "x", "message": "x"}]}},
            subresource="/status",
        ),
    ),
    "the same value, by a patch": ("config", _patch({"data": {"x": "1"}})),
    "the same value, applied": (
        "config",
        lambda cluster, path: cluster.apply(path, _SAME, field_manager="another") and None,
    ),
    "a finalizer of others": ("config", _patch({"metadata": {"finalizers": ["example.org/theirs"]}})),
}


def paths_of(space: str) -> dict[str, str]:
    """Return where the objects are."""
    return {
        "deployment": f"/apis/apps/v1/namespaces/{space}/deployments/d",
        "service": f"/api/v1/namespaces/{space}/services/s",
        "config": f"/api/v1/namespaces/{space}/configmaps/c",
    }


def essence(live: dict[str, Any]) -> dict[str, Any]:
    """Return what we asked for of a live object: not how it got there."""
    spec = {name: value for name, value in (live.get("spec") or {}).items() if name != "clusterIP"}
    return {"data": live.get("data"), "spec": spec, "labels": live["metadata"].get("labels")}


@pytest.mark.parametrize("how", BREAKS)
def test_whatever_others_do_to_what_is_ours_is_undone(cluster: Kubernetes, space: str, how: str) -> None:
    """Exactly that object is written, is again as it was, and is proven again."""
    objects, paths = objects_of(space), paths_of(space)
    which, change = BREAKS[how]
    apply(cluster, objects, wait=False)
    before = essence(cluster.get(paths[which]))
    change(cluster, paths[which])
    plan = apply(cluster, objects, wait=False)
    kinds = {"deployment": "Deployment", "service": "Service", "config": "ConfigMap"}
    assert [key.kind for key in (*plan.created, *plan.changed)] == [kinds[which]]
    assert essence(cluster.get(paths[which])) == before
    assert not apply(cluster, objects, wait=False).writes


@pytest.mark.parametrize("how", KEEPS)
def test_what_others_do_beside_it_is_left_alone(cluster: Kubernetes, space: str, how: str) -> None:
    """Nothing is written, and what they did stays."""
    objects, paths = objects_of(space), paths_of(space)
    which, change = KEEPS[how]
    apply(cluster, objects, wait=False)
    change(cluster, paths[which])
    after = cluster.get(paths[which])["metadata"]["resourceVersion"]
    try:
        assert not apply(cluster, objects, wait=False).writes
        if which == "config":
            assert cluster.get(paths[which])["metadata"]["resourceVersion"] == after
    finally:
        cluster.patch(paths[which], {"metadata": {"finalizers": None}})


def test_without_records_definitions_and_what_waits_for_them_are_applied_again(
    cluster: Kubernetes, space: str
) -> None:
    """A write that changes nothing is seen by no watch, and is not waited for."""
    objects = [namespace(space), definition("Turbine"), custom("Turbine", "t", space)]
    apply(cluster, objects)
    cluster.delete("/api/v1/namespaces/tideflow/configmaps/test-0")
    assert len(apply(cluster, objects).changed) == len(objects)
    assert not apply(cluster, objects).writes


def test_events_are_nobodys_change(cluster: Kubernetes, space: str) -> None:
    """Neither are endpoints, pods and all else that controllers make of our objects."""
    objects = objects_of(space)
    apply(cluster, objects)
    eventually(lambda: cluster.get(f"/api/v1/namespaces/{space}/events")["items"])
    assert not apply(cluster, objects).writes


def test_records_of_another_cluster_prove_nothing(cluster: Kubernetes, space: str) -> None:
    """A UID is of one object in one cluster; all is written once more, changes nothing, and is proven."""
    objects = objects_of(space)
    apply(cluster, objects, wait=False)
    path = "/api/v1/namespaces/tideflow/configmaps/test-0"
    lines = json.loads(cluster.get(path)["data"]["objects"])
    foreign = [[*line[:4], "00000000-0000-4000-8000-000000000000", line[5]] for line in lines]
    cluster.patch(path, {"data": {"objects": json.dumps(foreign)}})
    assert len(apply(cluster, objects, wait=False).changed) == len(objects)
    assert not apply(cluster, objects, wait=False).writes
    text = cluster.get(path)["data"]["objects"]
    cluster.patch(path, {"data": {"objects": text[: len(text) // 2]}})
    assert len(apply(cluster, objects, wait=False).changed) == len(objects)
    assert not apply(cluster, objects, wait=False).writes


_RUN = """
import json, sys
from pathlib import Path
from tideflow.clients.kubernetes import Kubernetes
from tideflow.engine import lease
from tideflow.engine.applying import Application
from tideflow.engine.manifests import load
lease.DURATION = 2  # seconds that the next run has to wait for
cluster = Kubernetes.from_kubeconfig(Path(sys.argv[1]))
applying = Application(cluster, set_name="test", manifests=load(json.load(sys.stdin)))
plan = applying.plan()
print("planned", flush=True)
applying.run(plan, progress=print)
"""


def kill_in_the_middle(kubeconfig: Path, objects: list[dict[str, Any]], seconds: float) -> int:
    """Apply a set in a process of its own, and kill it some time after it has planned."""
    command = [sys.executable, "-c", _RUN, str(kubeconfig)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(objects))
        process.stdin.close()
        assert process.stdout.readline() == "planned\n"
        time.sleep(seconds)
        process.kill()
        process.stdout.read()
    return process.returncode


def version(space: str, number: int) -> list[dict[str, Any]]:
    """Return the set as of some version: definitions, their resources, workloads and settings."""
    objects = [
        namespace(space),
        definition("Turbine"),
        *(custom("Turbine", f"t{at}", space) for at in range(5)),
        *(config_map(f"c{at}", space, version=str(number)) for at in range(25)),
    ]
    for body in objects[2:7]:
        body["spec"] = {"version": number}
    volumes = [{"name": "v", "configMap": {"name": "c0"}}]
    work = deployment("d", space, volumes=volumes)
    work["spec"]["template"]["metadata"]["annotations"] = {"version": str(number)}
    return [*objects, work]


_IDLE = b'apiserver_current_inflight_requests{request_kind="mutating"} 0\n'


def _kills(plane: Plane, cluster: Kubernetes, space: str, *, times: int, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    killed = 0
    for attempt in range(times):
        killed += (
            kill_in_the_middle(
                plane.control_plane.admin_kubeconfig, version(space, attempt), chance.uniform(0, 1.0)
            )
            < 0
        )
        # What the killed process had sent is still being worked on.
        eventually(lambda: _IDLE in cluster._send("GET", "/metrics", accept="*/*", timeout=10).data)
        wanted = chance.choice([attempt, max(0, attempt - 1)])  # the same manifests, or older ones
        apply(cluster, version(space, wanted))
        assert not apply(cluster, version(space, wanted)).writes
        live = cluster.get(f"/api/v1/namespaces/{space}/configmaps")["items"]
        ours = {found["data"]["version"] for found in live if found["metadata"]["name"].startswith("c")}
        assert ours == {str(wanted)}
        turbines = cluster.get(f"/apis/example.org/v1/namespaces/{space}/turbines")["items"]
        assert [found["spec"]["version"] for found in turbines] == [wanted] * 5
    assert killed, "no run was killed before it had ended"


def test_killed_at_any_moment_the_next_run_ends_in_what_was_asked_for(
    plane: Plane, cluster: Kubernetes, space: str
) -> None:
    """With the same manifests or with older ones, and with nothing done by hand in between."""
    _kills(plane, cluster, space, times=3, seed=1)


@pytest.mark.soak
def test_killed_many_times_it_is_the_same(plane: Plane, cluster: Kubernetes, space: str) -> None:
    """At twenty random moments."""
    _kills(plane, cluster, space, times=20, seed=2)
