"""A control plane that fails while a set is applied: the run waits for it, and ends as if it had not."""

from __future__ import annotations

import gc
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.engine_runs import apply, apply_and_tell
from tests.integration.planes import Plane
from tests.unit.engine.objects import config_map, custom, definition, deployment, namespace

from tideflow.engine.manifests import load
from tideflow.rehearsal.addresses import port_is_free

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tideflow.clients.kubernetes import Kubernetes

# Python leaves a connection that is reset before its handshake to the garbage collector, which warns of it.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")

STALL = 10.0  # seconds

SETTINGS = 150


@pytest.fixture
def own_plane(binaries: Path, scratch: Path) -> Iterator[Plane]:
    """Yield a control plane that a test may harm."""
    with Plane(scratch, binaries) as plane:
        plane.start()
        client = plane.client()
        room = {"cpu": "4", "memory": "8Gi", "pods": "110"}
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "n"},
            "status": {"capacity": room, "allocatable": room},
        }
        client.post("/api/v1/nodes", node)
        client.close()
        yield plane


@pytest.fixture
def cluster(own_plane: Plane) -> Iterator[Kubernetes]:
    """Return a client of it."""
    client = own_plane.client()
    yield client
    client.close()


def objects() -> list[dict[str, Any]]:
    """Return a set that takes some seconds: definitions, their resources, settings and a workload."""
    kinds = [f"Kind{at}" for at in range(5)]
    return [
        namespace("a"),
        *map(definition, kinds),
        *(custom(kind, f"c{at}") for kind in kinds for at in range(10)),
        *(config_map(f"c{at}", x="1") for at in range(SETTINGS)),
        deployment("d"),
    ]


def harmed_in_the_middle(cluster: Kubernetes, harm: Callable[[], None]) -> None:
    """Apply the set, do harm once some of it is written, and look at what there is in the end."""
    begun = threading.Event()

    def wait_and_harm() -> None:
        assert begun.wait(60)
        harm()

    send = cluster._send

    def counting(method: str, path: str, **more: Any) -> Any:
        answer = send(method, path, **more)
        if method == "PATCH" and path.endswith(f"/configmaps/c{SETTINGS // 3}"):
            begun.set()
        return answer

    cluster._send = counting  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as pool:
        harmed = pool.submit(wait_and_harm)
        plan, summary = apply_and_tell(cluster, objects(), timeout=180)
        harmed.result()
    gc.collect()  # of such connections, before the next test is blamed for them
    assert summary
    assert summary.created == len(plan.created) == len(objects())
    resources = cluster.resources(refresh=True)
    for manifest in load(objects()):
        resource = resources.of_kind(manifest.key.group, manifest.key.kind)
        assert resource
        cluster.get(resource.path(manifest.key.namespace, manifest.key.name))
    assert not apply(cluster, objects()).writes


def pid_of(plane: Plane, name: str) -> int:
    """Return the process of a component."""
    pid = next(found.pid for found in plane.control_plane.components() if found.name == name)
    assert pid is not None
    return pid


def test_an_api_server_that_is_killed_is_waited_for(own_plane: Plane, cluster: Kubernetes) -> None:
    """Started again, it gets what it had not got, and watches go on."""

    def harm() -> None:
        port = int(own_plane.control_plane.endpoint.rpartition(":")[2])
        os.kill(pid_of(own_plane, "kube-apiserver"), signal.SIGKILL)
        # Started while the killed one's last threads have the port, it would get another.
        assert port_is_free(port, patience=60)
        own_plane.start()

    harmed_in_the_middle(cluster, harm)


def test_a_store_that_stalls_is_waited_for(own_plane: Plane, cluster: Kubernetes) -> None:
    """The API server answers that it has timed out, or not at all, and nothing is lost by it."""
    etcd = pid_of(own_plane, "etcd")
    timer = threading.Timer(STALL, os.kill, (etcd, signal.SIGCONT))

    def harm() -> None:
        os.kill(etcd, signal.SIGSTOP)
        timer.start()

    try:
        harmed_in_the_middle(cluster, harm)
    finally:
        timer.join()
