"""Fixtures of the integration tests: the control plane's programs, and one control plane for all tests."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.planes import Plane

from tideflow.errors import RehearsalError
from tideflow.rehearsal import building

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.rehearsal.control_plane import ControlPlane


@pytest.fixture(scope="session")
def binaries(pytestconfig: pytest.Config) -> Path:
    """Return the folder of the control plane's programs, compiled now if nobody has yet."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def show(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(line, flush=True)  # noqa: T201 - minutes without a word look like a hang

    try:
        return building.binaries(show)
    except RehearsalError as error:
        pytest.skip(f"the control plane cannot be had here: {error}")


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Yield a folder with a short path: sockets may come into it."""
    with tempfile.TemporaryDirectory(prefix="tideflow-test-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def plane(binaries: Path) -> Iterator[Plane]:
    """Yield a control plane of the session's own, with its token webhook and without stand-ins."""
    with (
        tempfile.TemporaryDirectory(prefix="tideflow-test-") as folder,
        Plane(Path(folder), binaries) as plane,
    ):
        plane.start()
        yield plane


@pytest.fixture
def control_plane(plane: Plane) -> ControlPlane:
    """Return the session's control plane."""
    return plane.control_plane


@pytest.fixture(scope="module")
def cluster(plane: Plane) -> Iterator[Kubernetes]:
    """Return a client whose requests are audited, of a cluster with one node."""
    plane.reviews.users["applying"] = "applying@example.org"
    own = plane.client()
    room = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "applying", "labels": {"node.kubernetes.io/instance-type": "s-4vcpu-8gb"}},
        "status": {"capacity": room, "allocatable": room},
    }
    own.post("/api/v1/nodes", node)
    client = plane.platform_client("applying")
    yield client
    own.delete("/api/v1/nodes/applying")
    own.close()
    client.close()


@pytest.fixture
def space(cluster: Kubernetes, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return a namespace's name of the test's own, deleted after it."""
    name = f"t{abs(hash(request.node.name)) % 10**8}"
    yield name
    cluster.delete(f"/api/v1/namespaces/{name}")
