"""Fixtures of the integration tests: clusters on control planes with stand-ins and without."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.engine_runs import apply
from tests.integration.happening import certificate, definitions, issuer, now
from tests.integration.planes import Plane
from tests.integration.processes import Processes
from tests.integration.twins import TOKEN, Twin, checked, pydo_client
from tests.unit.engine.objects import deployment, namespace

from tideflow.clients.digitalocean import DigitalOcean
from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.rehearsal.control_plane import ControlPlane


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
    with contextlib.suppress(KubernetesError):  # what failed may have made none
        cluster.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="session")
def attended(binaries: Path) -> Iterator[Plane]:
    """Yield a control plane with stand-ins, one for all tests of theirs, and one node with room for them.

    Kubernetes' garbage collector looks for new types twice a minute; for a test that waits for it, the type
    is there from the beginning.
    """
    with (
        tempfile.TemporaryDirectory(prefix="tideflow-test-") as folder,
        Plane(Path(folder), binaries) as plane,
    ):
        plane.start(stand_ins=True)
        client = plane.client()
        room = {"cpu": "16", "memory": "64Gi", "pods": "110"}
        client.post(
            "/api/v1/nodes",
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": "attended"},
                "status": {"capacity": room, "allocatable": room},
            },
        )
        apply(client, definitions("profiles.kubeflow.org"), set_name="profiles")
        client.close()
        yield plane


@pytest.fixture(scope="session")
def client(attended: Plane) -> Iterator[Kubernetes]:
    """Yield a client of the control plane with stand-ins."""
    client = attended.client()
    yield client
    client.close()


@pytest.fixture(scope="session")
def cert_manager(client: Kubernetes) -> str:
    """Run cert-manager over an issuer and a Certificate that wait for it; return the version before."""
    since = now(client)
    apply(
        client,
        [
            *definitions(
                "issuers.cert-manager.io", "clusterissuers.cert-manager.io", "certificates.cert-manager.io"
            ),
            namespace("certificates"),
            namespace("cert-manager"),
            issuer("self", selfSigned={}),
            certificate("early", "self", dnsNames=["early.certificates.svc"]),
        ],
        wait=False,
    )
    apply(
        client,
        [deployment(name, "cert-manager") for name in ("cert-manager", "cert-manager-webhook")],
        set_name="cert-manager",
    )
    return since


@pytest.fixture
def processes(plane: Plane, cluster: Kubernetes) -> Iterator[Processes]:
    """Yield what starts runs with that client's kubeconfig, and ends them."""
    assert cluster.host
    with Processes(plane.folder / "platform.kubeconfig") as processes:
        yield processes


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """Yield a twin that answers."""
    with Twin(tmp_path_factory.mktemp("twin")) as twin:
        yield twin


@pytest.fixture
def calls() -> set[str]:
    """Return the operations that succeeded, which grows."""
    return set()


@pytest.fixture
def official(twin: Twin, calls: set[str]) -> Iterator[Any]:
    """Yield DigitalOcean's client, with the right token."""
    with pydo_client(twin, TOKEN, calls) as client:
        yield client


@pytest.fixture
def ours(twin: Twin, calls: set[str]) -> DigitalOcean:
    """Return our client."""
    client = DigitalOcean(TOKEN, endpoint=f"{twin.endpoint}/v2/")
    for session in (client._session, client._impatient):
        checked(session, calls)
    return client
