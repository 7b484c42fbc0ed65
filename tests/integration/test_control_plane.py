"""A real control plane: private, audited, restarted where it died, and gone when it is stopped."""

from __future__ import annotations

import os
import signal
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.planes import Plane, eventually, processes_that_mention

from tideflow.errors import KubernetesError, RehearsalError
from tideflow.rehearsal.control_plane import NAMES, ControlPlane
from tideflow.rehearsal.processes import MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tideflow.clients.kubernetes import Kubernetes

COMPONENTS = NAMES[:-1]  # without the stand-ins, which have tests of their own
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
NAMESPACES = "/api/v1/namespaces"
NODES = "/api/v1/nodes"
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture
def cluster(plane: Plane) -> Iterator[Kubernetes]:
    """Yield a client with the rehearsal's own certificate."""
    client = plane.client()
    yield client
    client.close()


@pytest.fixture(scope="module", autouse=True)
def nodes(plane: Plane) -> Iterator[None]:
    """Create two nodes, one of which says what it has; other tests find neither them nor what ran there."""
    client = plane.client()
    statuses = {"node-a": {}, "node-b": {"capacity": {"cpu": "2", "memory": "4Gi", "pods": "110"}}}
    for name, status in statuses.items():
        client.post(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": status})
    yield
    for workloads in (DEPLOYMENTS, JOBS):
        client.delete(workloads, query={"propagationPolicy": "Background"})
    for name in statuses:
        client.delete(f"{NODES}/{name}")
    client.close()


def workload(kind: str, name: str, template: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """Return a Deployment or a Job with pods of one container."""
    labels = {"app": name}
    pods = {"containers": [{"name": "main", "image": "main:1"}], **template}
    if kind == "Deployment":
        spec["selector"] = {"matchLabels": labels}
    return {
        "apiVersion": "apps/v1" if kind == "Deployment" else "batch/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {**spec, "template": {"metadata": {"labels": labels}, "spec": pods}},
    }


def pods_of(cluster: Kubernetes, name: str) -> list[dict[str, Any]]:
    """Return the pods of the workload ``name``."""
    found: list[dict[str, Any]] = cluster.get(PODS, query={"labelSelector": f"app={name}"})["items"]
    return found


def ready_replicas(cluster: Kubernetes, name: str) -> int:
    """Return how many pods of a Deployment are ready."""
    return int(cluster.get(f"{DEPLOYMENTS}/{name}")["status"].get("readyReplicas", 0))


def pids(plane: Plane) -> dict[str, int | None]:
    """Return the pid of each component."""
    return {component.name: component.pid for component in plane.control_plane.components()}


def listening_ports(pid: int) -> list[int]:
    """Return the TCP ports on which a process listens, from proc(5)."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = str(descriptor.readlink())
        if target.startswith("socket:["):
            inodes.add(target.removeprefix("socket:[").rstrip("]"))
    ports = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                ports.append(int(fields[1].rpartition(":")[2], 16))
    return ports


def test_everything_runs_and_the_server_says_its_version(plane: Plane, cluster: Kubernetes) -> None:
    """All components run, and the API server reports the version that kubectl needs."""
    assert [component.name for component in plane.control_plane.components()] == list(COMPONENTS)
    assert all(component.running for component in plane.control_plane.components())
    assert cluster.get("/version")["gitVersion"] == "v1.36.3"


def test_nodes_get_ready_and_keep_what_they_said_they_have(cluster: Kubernetes) -> None:
    """A Node object is enough to have a node; each has an address of its own."""
    nodes: list[dict[str, Any]] = eventually(
        lambda: cluster.get(NODES)["items"],
        lambda items: all("addresses" in node["status"] for node in items),
    )
    assert {
        condition["status"]
        for node in nodes
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready"
    } == {"True"}
    assert nodes[1]["status"]["allocatable"]["cpu"] == "2"
    addresses = {node["status"]["addresses"][0]["address"] for node in nodes}
    assert len(addresses) == 2


def test_a_deployment_gets_running_pods_with_their_sidecars(cluster: Kubernetes) -> None:
    """Containers run, init containers have ended, and those that are sidecars run as well."""
    init = [
        {"name": "setup", "image": "setup:1"},
        {"name": "sidecar", "image": "sidecar:1", "restartPolicy": "Always"},
    ]
    cluster.post(DEPLOYMENTS, workload("Deployment", "web", {"initContainers": init}, replicas=3))
    eventually(lambda: ready_replicas(cluster, "web"), lambda ready: ready == 3)
    pods = pods_of(cluster, "web")
    for pod in pods:
        status = pod["status"]
        assert status["phase"] == "Running"
        assert [list(found["state"]) for found in status["initContainerStatuses"]] == [
            ["terminated"],
            ["running"],
        ]
        assert [list(found["state"]) for found in status["containerStatuses"]] == [["running"]]
    addresses = {pod["status"]["podIP"] for pod in pods}
    assert len(addresses) == 3
    assert all(address.startswith("10.244.") for address in addresses)


def test_a_pod_in_the_hosts_network_has_its_nodes_address(cluster: Kubernetes) -> None:
    """What runs in the host's network is reached at the node."""
    cluster.post(DEPLOYMENTS, workload("Deployment", "agent", {"hostNetwork": True}))
    eventually(lambda: ready_replicas(cluster, "agent"), lambda ready: ready == 1)
    (pod,) = pods_of(cluster, "agent")
    node = cluster.get(f"{NODES}/{pod['spec']['nodeName']}")
    assert pod["status"]["podIP"] == node["status"]["addresses"][0]["address"]


def test_a_job_completes(cluster: Kubernetes) -> None:
    """The pods of a Job end well, and so does the Job."""
    cluster.post(JOBS, workload("Job", "once", {"restartPolicy": "Never"}, completions=2))
    status = eventually(
        lambda: cluster.get(f"{JOBS}/once")["status"], lambda status: "completionTime" in status
    )
    assert status["succeeded"] == 2


def test_deleted_pods_go_even_when_a_finalizer_held_them(cluster: Kubernetes) -> None:
    """The Job controller lets go of its pods once their containers have ended; then they are gone."""
    cluster.post(JOBS, workload("Job", "cut-short", {"restartPolicy": "Never"}, backoffLimit=0))
    (pod,) = eventually(lambda: pods_of(cluster, "cut-short"))
    assert pod["metadata"]["finalizers"] == ["batch.kubernetes.io/job-tracking"]
    cluster.delete(f"{PODS}/{pod['metadata']['name']}")
    eventually(
        lambda: [found["metadata"]["uid"] for found in pods_of(cluster, "cut-short")],
        lambda uids: pod["metadata"]["uid"] not in uids,
    )


def test_a_namespace_is_emptied_and_goes(cluster: Kubernetes) -> None:
    """Deleting a namespace deletes what is in it, and ends."""
    cluster.post(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "short-lived"}})
    maps = f"{NAMESPACES}/short-lived/configmaps"
    cluster.post(maps, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held"}})
    cluster.delete(f"{NAMESPACES}/short-lived")
    names = eventually(
        lambda: [found["metadata"]["name"] for found in cluster.get(NAMESPACES)["items"]],
        lambda names: "short-lived" not in names,
    )
    assert "default" in names


def test_a_token_is_good_until_the_webhook_says_no(plane: Plane) -> None:
    """Tokens expire as a cloud's do; the API server remembers a good one for 10 seconds."""
    plane.reviews.users["good-for-now"] = "user@example.com"
    client = plane.platform_client("good-for-now")
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    who = client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)["status"]["userInfo"]
    assert who["username"] == "user@example.com"
    assert client.get(NAMESPACES)["items"]

    del plane.reviews.users["good-for-now"]

    def refusal() -> int:
        try:
            client.get(NAMESPACES)
        except KubernetesError as error:
            return error.status
        return 200

    assert eventually(refusal, lambda status: status != 200) == 401
    client.close()


def test_the_audit_log_has_each_request_of_the_platform_once_and_no_other(plane: Plane) -> None:
    """One line per request made with a token; none for the rehearsal's own, nor for the controllers'."""
    plane.reviews.users["audited"] = "auditor@example.com"
    platform, own = plane.platform_client("audited"), plane.client()
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "counted"}}
    maps = f"{NAMESPACES}/default/configmaps"
    platform.post(maps, config_map)
    platform.get(f"{maps}/counted")
    own.get(f"{maps}/counted")
    own.post(maps, {**config_map, "metadata": {"name": "not-counted"}})
    with pytest.raises(KubernetesError):
        platform.get(f"{maps}/missing")
    platform.delete(f"{maps}/counted")

    def lines() -> list[tuple[str, str, int, str]]:
        return [
            (line["verb"], line["requestURI"], line["responseStatus"]["code"], line["stage"])
            for line in plane.audited()
            if line["user"]["username"] == "auditor@example.com"
        ]

    found = eventually(lines, lambda found: found[-1:] != [] and found[-1][0] == "delete")
    assert found == [
        ("create", maps, 201, "ResponseComplete"),
        ("get", f"{maps}/counted", 200, "ResponseComplete"),
        ("get", f"{maps}/missing", 404, "ResponseComplete"),
        ("delete", f"{maps}/counted", 200, "ResponseComplete"),
    ]
    assert all("tideflow:platform" in line["user"]["groups"] for line in plane.audited())
    assert "tideflow/" in plane.audited()[-1]["userAgent"]
    platform.close()
    own.close()


def test_nobody_else_gets_in(plane: Plane) -> None:
    """Etcd has no TCP port, the API server one; what holds keys or sockets is for its user alone."""
    found = pids(plane)
    ports = {name: listening_ports(pid) for name, pid in found.items() if pid}
    expected = [int(plane.control_plane.endpoint.rpartition(":")[2])]
    assert ports == {name: expected if name == "kube-apiserver" else [] for name in COMPONENTS}
    for folder in (plane.control_plane.folder, plane.control_plane.sockets):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (plane.control_plane.sockets / "localhost:2379").is_socket()
    for file in plane.control_plane.folder.rglob("*"):
        assert not file.stat().st_mode & 0o077 or "/etcd/" in str(file), file


def test_tokens_of_our_environment_do_not_reach_processes_that_stay(plane: Plane) -> None:
    """A component is given a few variables by name, and nothing else of ours."""
    for pid in pids(plane).values():
        names = {line.partition(b"=")[0] for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")}
        assert b"GOMAXPROCS" in names
        ours = {name for name in names if name.startswith((b"TIDEFLOW", b"DIGITALOCEAN", b"PYTEST"))}
        assert ours == {MARKER.encode()}


@pytest.mark.parametrize("name", COMPONENTS)
def test_only_what_died_is_restarted_and_the_data_stays(plane: Plane, cluster: Kubernetes, name: str) -> None:
    """After a kill, the next start brings back that one component, and pods are run as before."""
    maps = f"{NAMESPACES}/default/configmaps"
    cluster.post(maps, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"before-{name}"}})
    cluster.post(DEPLOYMENTS, workload("Deployment", f"before-{name}", {}, replicas=2))
    before = pids(plane)
    killed = before[name]
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: pids(plane)[name] is None)

    plane.start()

    after = pids(plane)
    assert {changed for changed in before if before[changed] != after[changed]} == {name}
    assert cluster.get(f"{maps}/before-{name}")
    cluster.post(DEPLOYMENTS, workload("Deployment", f"after-{name}", {}, replicas=2))
    for deployment in (f"before-{name}", f"after-{name}"):
        eventually(lambda: ready_replicas(cluster, deployment), lambda ready: ready == 2)  # noqa: B023
    log = (plane.control_plane.folder / f"{name}.log").read_text(errors="replace")
    assert pids(plane) == after, log[-3000:]
    addresses = [
        pod["status"]["podIP"]
        for pod in cluster.get(PODS)["items"]
        if pod["status"]["phase"] == "Running" and not pod["spec"].get("hostNetwork")
    ]
    assert len(addresses) == len(set(addresses))


@pytest.mark.soak
def test_kwok_always_goes_on_where_it_was_killed(plane: Plane, cluster: Kubernetes) -> None:
    """Each time with pods that are scheduled just then; one start in two hundred once ended at once."""
    cluster.post(DEPLOYMENTS, workload("Deployment", "standing", {}, replicas=9))
    for number in range(300):
        killed = pids(plane)["kwok"]
        assert killed is not None, (plane.control_plane.folder / "kwok.log").read_text()[:3000]
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: pids(plane)["kwok"] is None)
        plane.start()
        name = f"round-{number}"
        cluster.post(DEPLOYMENTS, workload("Deployment", name, {}, replicas=2))
        eventually(lambda: ready_replicas(cluster, name), lambda ready: ready == 2)  # noqa: B023
        cluster.delete(f"{DEPLOYMENTS}/{name}", query={"propagationPolicy": "Background"})
    cluster.delete(f"{DEPLOYMENTS}/standing", query={"propagationPolicy": "Background"})


def test_a_start_with_nothing_to_do_does_nothing(plane: Plane) -> None:
    """Whatever runs as it should is left alone."""
    before = pids(plane)
    plane.start()
    assert pids(plane) == before


def test_only_what_is_started_otherwise_is_restarted(plane: Plane) -> None:
    """Another time until pods are ready is kwok's business alone."""
    before = pids(plane)
    plane.start(pod_ready_seconds=(0.5, 0.6))
    after = pids(plane)
    assert {name for name in before if before[name] != after[name]} == {"kwok"}
    plane.start()


def test_after_a_stop_no_process_is_left_and_the_next_start_has_the_data(
    scratch: Path, binaries: Path
) -> None:
    """Stop and start, with the machine's reboot in between: sockets gone, and the port somebody else's."""
    with Plane(scratch, binaries) as plane:
        plane.start()
        client = plane.client()
        client.post(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kept"}})
        client.close()
        endpoint = plane.control_plane.endpoint
        assert processes_that_mention(str(scratch))

        plane.control_plane.stop()

        assert processes_that_mention(str(scratch)) == []
        assert not any(component.running for component in plane.control_plane.components())
        assert not plane.control_plane.sockets.exists()
        with socket.create_server(("127.0.0.1", int(endpoint.rpartition(":")[2]))):
            plane.start()
            client = plane.client()
            assert client.get(f"{NAMESPACES}/kept")
            client.close()
            assert plane.control_plane.endpoint != endpoint

        plane.control_plane.delete()
        assert processes_that_mention(str(scratch)) == []
        assert not plane.control_plane.folder.exists()
        assert not plane.control_plane.sockets.exists()


def test_a_start_that_fails_names_the_component_and_leaves_nothing(scratch: Path, binaries: Path) -> None:
    """Damaged data is said with etcd's own words, and what was started for nothing is stopped."""
    with Plane(scratch, binaries) as plane:
        damaged = plane.control_plane.folder / "etcd" / "member" / "snap"
        damaged.mkdir(parents=True)
        (damaged / "db").write_bytes(b"no database" * 10_000)
        with pytest.raises(RehearsalError) as raised:
            plane.start()
        assert raised.value.message.startswith("etcd stopped: ")
        assert len(raised.value.message) < 400
        assert str(plane.control_plane.folder / "etcd.log") in raised.value.hint
        assert processes_that_mention(str(scratch)) == []


def test_stopping_what_was_never_started_is_fine(tmp_path: Path) -> None:
    """Neither stop nor delete minds that there is nothing."""
    control_plane = ControlPlane(tmp_path / "cluster")
    control_plane.stop()
    control_plane.delete()
    assert control_plane.components() == []
    with pytest.raises(RehearsalError, match="has never been started"):
        _ = control_plane.endpoint
