"""A twin that really listens, as DigitalOcean's own client (pydo) and ours know it.

Each call is held against DigitalOcean's description, the requests as well as the answers.
"""

from __future__ import annotations

import inspect
import signal
import subprocess
import sys
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pydo
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError, DecodeError, HttpResponseError
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.pipeline.transport import RequestsTransport
from openapi_core.contrib.requests import RequestsOpenAPIRequest, RequestsOpenAPIResponse
from tests import description
from tests.integration.planes import eventually

from tideflow.clients.digitalocean import DigitalOcean
from tideflow.clients.kubernetes import Kubernetes
from tideflow.errors import DigitalOceanError
from tideflow.rehearsal.addresses import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [description.needed, pytest.mark.usefixtures("binaries")]

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

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *args: object) -> None:
        """Stop it; its clusters end with it."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) == 0


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """Yield a twin that answers."""
    with Twin(tmp_path_factory.mktemp("twin")) as twin:
        yield twin


@pytest.fixture
def calls() -> set[str]:
    """Return the operations that succeeded, which grows."""
    return set()


def checked(session: requests.Session, calls: set[str]) -> requests.Session:
    """Have all calls of a session held against the description."""

    def check(response: requests.Response, **_: Any) -> None:
        request = RequestsOpenAPIRequest(response.request)
        call = description.check(request, RequestsOpenAPIResponse(response))
        if call.status < 400:
            assert description.unknown(request) == []
            calls.add(call.operation)

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


@pytest.fixture
def official(twin: Twin, calls: set[str]) -> Iterator[Any]:
    """Yield DigitalOcean's client, with the right token."""
    with pydo_client(twin, TOKEN, calls) as client:
        yield client


@pytest.fixture
def ours(twin: Twin, calls: set[str]) -> DigitalOcean:
    """Return our client."""
    client = DigitalOcean(TOKEN, endpoint=f"{twin.endpoint}/v2/")
    checked(client._session, calls)
    return client


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


def test_the_life_of_a_cluster_with_pydo(official: Any, twin: Twin, calls: set[str], tmp_path: Path) -> None:
    """Created, reached, scaled, found again by a twin whose predecessor was killed, and deleted."""
    api = official.kubernetes
    assert official.account.get()["account"]["status"] == "active"
    assert "nyc3" in {region["slug"] for region in api.list_options()["options"]["regions"]}
    cluster_id = api.create_cluster(BODY)["kubernetes_cluster"]["id"]
    cluster = running(official, cluster_id)
    pool = cluster["node_pools"][0]
    assert api.list_clusters(per_page=1)["meta"]["total"] == 1
    kubeconfig = tmp_path / "kubeconfig"
    # It reads no YAML, the real API's neither: https://github.com/digitalocean/pydo/issues/264
    with pytest.raises(DecodeError):
        api.get_kubeconfig(cluster_id)
    path = f"{twin.endpoint}/v2/kubernetes/clusters/{cluster_id}/kubeconfig"
    kubeconfig.write_text(requests.get(path, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60).text)
    assert nodes(kubeconfig) == {node["name"] for node in pool["nodes"]}
    assert api.get_credentials(cluster_id, expiry_seconds=60)["server"] == cluster["endpoint"]
    slugs = [offer["slug"] for offer in official.one_clicks.list(type="kubernetes")["1_clicks"]]
    official.one_clicks.install_kubernetes({"addon_slugs": slugs[:1], "cluster_uuid": cluster_id})

    added = api.add_node_pool(cluster_id, {"name": "more", "size": "s-1vcpu-2gb", "count": 1})["node_pool"]
    scaled = api.update_node_pool(cluster_id, added["id"], {"name": "more", "count": 2})["node_pool"]
    assert api.get_node_pool(cluster_id, added["id"])["node_pool"]["count"] == 2
    assert len(api.list_node_pools(cluster_id)["node_pools"]) == 2
    four = {node["name"] for node in [*pool["nodes"], *scaled["nodes"]]}
    eventually(lambda: nodes(kubeconfig), lambda found: found == four)
    api.delete_node_pool(cluster_id, added["id"])
    assert api.update_cluster(cluster_id, {"name": "renamed"})["kubernetes_cluster"]["name"] == "renamed"

    twin.process.kill()
    assert twin.process.wait(60) == -signal.SIGKILL
    twin.start()
    assert running(official, cluster_id) | {"name": "pydo", "updated_at": ""} == cluster | {"updated_at": ""}
    eventually(lambda: nodes(kubeconfig), lambda found: found == {node["name"] for node in pool["nodes"]})
    api.delete_cluster(cluster_id)
    assert api.list_clusters()["kubernetes_clusters"] == []
    eventually(lambda: not list((twin.folder / ".tideflow" / "twin" / "clusters").iterdir()))
    assert calls == {
        "account_get",
        "oneClicks_install_kubernetes",
        "oneClicks_list",
        *(f"kubernetes_{what}_cluster" for what in ("create", "delete", "get", "update")),
        *(f"kubernetes_{what}_nodePool" for what in ("add", "delete", "get", "update")),
        *(f"kubernetes_list_{what}" for what in ("clusters", "nodePools", "options")),
        *(f"kubernetes_get_{what}" for what in ("credentials", "kubeconfig")),
    }


def test_pydo_understands_refusals(official: Any, twin: Twin) -> None:
    """Unknown things, bodies that cannot be, and a wrong token."""
    assert official.kubernetes.get_cluster(str(uuid.uuid4()))["id"] == "not_found"
    body = BODY | {"node_pools": [{"name": "pool", "size": "huge", "count": 1}]}
    with pytest.raises(HttpResponseError, match=r"node_pools\.0\.size is not one of those") as refused:
        official.kubernetes.create_cluster(body)
    assert refused.value.status_code == 422
    with pydo_client(twin, "canary-wrong-token", set()) as other, pytest.raises(ClientAuthenticationError):
        other.account.get()


def test_our_client_sends_what_the_description_allows(ours: DigitalOcean, calls: set[str]) -> None:
    """With each of its methods; one that this does not call fails the test."""
    made = ours.create_cluster(
        name="ours",
        region="nyc3",
        version="1.34",
        size="s-2vcpu-4gb",
        count=1,
        fields={"tags": ["tideflow"], "maintenance_policy": {"day": "sunday", "start_time": "02:00"}},
        pool={"auto_scale": True, "min_nodes": 1, "max_nodes": 3},
    )
    used: dict[str, Callable[[], object]] = {
        "account": ours.account,
        "options": ours.options,
        "clusters": ours.clusters,
        "create_cluster": lambda: None,
        "one_clicks": ours.one_clicks,
        "install_one_clicks": lambda: ours.install_one_clicks(made.id, ours.one_clicks()),
        "cluster": lambda: eventually(lambda: ours.cluster(made.id).state, lambda state: state == "running"),
        "update_cluster": lambda: ours.update_cluster(made.id, name=made.name, fields={"ha": True}),
        "update_node_pool": lambda: ours.update_node_pool(
            made.id, made.node_pools[0].id, name=made.node_pools[0].name, count=2
        ),
        "credentials": lambda: ours.credentials(made.id, expiry_seconds=60),
        "delete_cluster": lambda: ours.delete_cluster(made.id),
    }
    methods = {
        name
        for name, _ in inspect.getmembers(DigitalOcean, inspect.isfunction)
        if name in vars(DigitalOcean) and not name.startswith("_")
    }
    assert used.keys() == methods - {"droplets", "sizes"}  # which the twin does not have
    for use in used.values():
        use()
    assert len(calls) == len(used)


def test_our_client_reads_refusals(ours: DigitalOcean) -> None:
    """With their status, id and request id."""
    with pytest.raises(DigitalOceanError) as refused:
        ours.cluster(str(uuid.uuid4()))
    assert (refused.value.status, refused.value.id) == (404, "not_found")
    assert refused.value.request_id


def test_what_keeps_a_twin_from_starting_is_one_line(twin: Twin, tmp_path: Path) -> None:
    """A port or a folder that another twin has, and a state that cannot be read; the other goes on."""
    assert f"port {twin.port} is in use by another program" in twin.fails("--folder", str(tmp_path))
    assert "another twin serves .tideflow/twin" in twin.fails()
    (tmp_path / "state.json").write_text('{"clusters": [')
    elsewhere = "--folder", str(tmp_path), "--port", str(free_port())
    assert f"cannot be read from {tmp_path}/state.json" in twin.fails(*elsewhere)
    assert requests.get(f"{twin.endpoint}/v2/account", timeout=60).status_code == 401
