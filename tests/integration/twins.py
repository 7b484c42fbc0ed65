"""A twin that really listens, and clients of it whose calls are held against DigitalOcean's description."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pydo
import requests
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.pipeline.transport import RequestsTransport
from openapi_core.contrib.requests import RequestsOpenAPIRequest, RequestsOpenAPIResponse
from tests import description
from tests.integration.planes import eventually

from tideflow.clients.kubernetes import Kubernetes
from tideflow.rehearsal.addresses import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "canary-right-token"
BODY = {
    "name": "pydo",
    "region": "nyc3",
    "version": "1.34",
    "tags": ["one"],
    "node_pools": [{"name": "pool", "size": "s-2vcpu-4gb", "count": 2, "labels": {"a": "b"}}],
}


class Twin:
    """``tideflow twin``, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()

    def command(self, *more: str) -> list[str]:
        """Return how it is started."""
        program = str(Path(sys.executable).parent / "tideflow")
        return [program, "twin", "--port", str(self.port), "--token", TOKEN, *more]

    def start(self) -> None:
        """Start it, and wait until it says that it answers."""
        self.process = subprocess.Popen(
            self.command(), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        with self.process.stdout:
            answers = any(self.endpoint in line for line in self.process.stdout)
        assert answers, f"it ended with {self.process.wait(60)}"

    def fails(self, *more: str) -> str:
        """Return the one line that it says when it cannot start."""
        done = subprocess.run(
            self.command(*more), cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        return done.stderr

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def leading(self, platform: str) -> dict[str, str]:
        """Return the environment in which a real platform is led to it."""
        return {
            "TIDEFLOW_PLATFORM": platform,
            "DIGITALOCEAN_ACCESS_TOKEN": TOKEN,
            "DIGITALOCEAN_END_POINT": f"{self.endpoint}/v2/",
        }

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *args: object) -> None:
        """Stop it; its clusters end with it."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) == 0


def checked(session: requests.Session, calls: set[str]) -> requests.Session:
    """Have all calls of a session held against the description, where it is at hand."""

    def check(response: requests.Response, **_: Any) -> None:
        request = RequestsOpenAPIRequest(response.request)
        call = description.check(request, RequestsOpenAPIResponse(response))
        if call.operation and call.status < 400:
            assert description.unknown(request) == []
            calls.add(call.operation)

    if description.FOLDER:
        session.hooks["response"].append(check)
    return session


class _WithoutTLS(SansIOHTTPPolicy[Any, Any]):
    """Has pydo send its token over HTTP, which it does not do by itself."""

    def on_request(self, request: Any) -> None:
        request.context.options["enforce_https"] = False


@contextmanager
def pydo_client(twin: Twin, token: str, calls: set[str]) -> Iterator[Any]:
    """Yield DigitalOcean's client; Any, since its methods are overloaded beyond use."""
    with (
        checked(requests.Session(), calls) as session,
        pydo.Client(
            token,
            endpoint=twin.endpoint,
            transport=RequestsTransport(session=session),
            per_call_policies=[_WithoutTLS()],
        ) as client,
    ):
        yield client


def running(official: Any, cluster_id: str) -> Any:
    """Return a cluster once it and all of its nodes run."""

    def states(found: Any) -> set[str]:
        nodes = [node for pool in found["node_pools"] for node in pool["nodes"]]
        return {found["status"]["state"], *(node["status"]["state"] for node in nodes)}

    return eventually(
        lambda: official.kubernetes.get_cluster(cluster_id)["kubernetes_cluster"],
        lambda found: states(found) == {"running"},
    )


def nodes(kubeconfig: Path) -> set[str]:
    """Return the names of the nodes that a cluster has."""
    client = Kubernetes.from_kubeconfig(kubeconfig)
    try:
        return {node["metadata"]["name"] for node in client.get("/api/v1/nodes")["items"]}
    finally:
        client.close()


def reached(twin: Twin, cluster_id: str, folder: Path) -> Kubernetes:
    """Return a client of a cluster, with its kubeconfig in a folder; the caller closes it."""
    path = f"{twin.endpoint}/v2/kubernetes/clusters/{cluster_id}/kubeconfig"
    file = folder / "kubeconfig"
    file.write_text(requests.get(path, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60).text)
    return Kubernetes.from_kubeconfig(file)
