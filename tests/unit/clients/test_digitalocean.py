"""The client of DigitalOcean's API, against a small server that answers by a script."""

from __future__ import annotations

import json
import logging
import re
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from tests import description
from tests.unit.clients.serving import LoopbackServer, QuietHandler
from urllib3.exceptions import ProtocolError

from tideflow.clients.digitalocean import DigitalOcean
from tideflow.clients.patience import PATIENCE
from tideflow.clients.provided import Size
from tideflow.errors import DigitalOceanError
from tideflow.rehearsal.addresses import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOKEN = "canary-token"
CLUSTERS = "/v2/kubernetes/clusters"
CUT = 0  # no answer: the connection is closed once the request has been read
SILENT = -1  # no answer, and the connection stays
TRIES = 1 + int(PATIENCE.total or 0)  # of what goes on failing


class Server(LoopbackServer):
    """Gives each answer of a script once, in its order, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.script: deque[tuple[int, object, dict[str, str]]] = deque()
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []

    def then(self, status: int, body: object = None, **headers: str) -> None:
        """Add an answer to the script."""
        self.script.append((status, body, headers))


class Handler(QuietHandler):
    """Answers as its server says."""

    server: Server

    def _serve(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.asked.append(f"{self.command} {self.path.partition('?')[0]}")
        self.server.headers.append(dict(self.headers.items()))
        status, body, headers = self.server.script.popleft()
        if status in {CUT, SILENT}:
            self.server.release.wait(10 if status == SILENT else 0)
            self.close_connection = True
            return
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content_length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = "content_length" in headers  # an answer that is cut in its midst

    do_GET = do_POST = do_DELETE = do_PUT = _serve  # noqa: N815 - http.server's names


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve on a free port; the whole script has to be used."""
    with Server().serving() as running:
        yield running
    assert not running.script, "the client did not ask for the rest of the script"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what failed tried again at once, unless the server says when."""
    hasty = PATIENCE.new(backoff_factor=0, backoff_jitter=0)
    monkeypatch.setattr("tideflow.clients.requesting.PATIENCE", hasty)
    monkeypatch.setattr("tideflow.clients.digitalocean._LOOKS_AFTER", (0, 0, 0))


@pytest.fixture
def api(server: Server) -> DigitalOcean:
    """Return a client of the server."""
    return DigitalOcean(TOKEN, endpoint=f"http://127.0.0.1:{server.server_port}/v2/", timeout=5)


ACCOUNT = {"account": {"email": "a@example.com", "droplet_limit": 25, "status": "active"}}
BUSY = {"id": "too_many_requests", "message": "API rate limit exceeded."}
FAILED = {"id": "server_error", "message": "Unexpected server-side error", "request_id": "r-1"}


def described(cluster_id: str = "c-1", *, name: str = "ml", region: str = "nyc3") -> dict[str, Any]:
    """Return a cluster as the API would describe what ``create`` asks for."""
    return {
        "id": cluster_id,
        "name": name,
        "region": region,
        "version": "1.34.1-do.2",
        "status": {"state": "provisioning"},
        "node_pools": [{"id": "p", "name": f"{name}-pool", "size": "s-4vcpu-8gb", "count": 3}],
    }


def listed(*clusters: dict[str, Any]) -> dict[str, Any]:
    """Return a list of clusters."""
    return {"kubernetes_clusters": list(clusters), "links": {}}


def create(api: DigitalOcean, **fields: object) -> str:
    """Have a cluster made, with more fields of the API's, and return its id."""
    return api.create_cluster(
        name="ml", region="nyc3", version="1.34.1-do.2", size="s-4vcpu-8gb", count=3, fields=fields
    ).id


@pytest.mark.parametrize("failure", [CUT, 429, 500, 502, 503, 504])
def test_what_fails_for_a_while_is_asked_again(server: Server, api: DigitalOcean, failure: int) -> None:
    """A read does no harm."""
    server.then(failure, FAILED)
    server.then(failure, FAILED)
    server.then(200, ACCOUNT)
    assert api.account().droplet_limit == 25
    assert server.asked == ["GET /v2/account"] * 3


def test_the_pauses_grow() -> None:
    """Up to a bound."""
    patience, pauses = PATIENCE, []
    for _ in range(6):
        patience = patience.increment("GET", "/", error=ProtocolError())
        pauses.append(patience.pause(None))
    assert pauses == [0.5, 1, 2, 4, 8, 16]


def test_what_is_refused_is_not_asked_again(server: Server, api: DigitalOcean) -> None:
    """It would be refused again."""
    server.then(401, {"id": "unauthorized", "message": "Unable to authenticate you."})
    with pytest.raises(DigitalOceanError, match="401 unauthorized to GET /v2/account: Unable to auth"):
        api.account()


def test_what_goes_on_failing_is_one_line(server: Server, api: DigitalOcean) -> None:
    """With the status, id, message and request id of the last answer."""
    for _ in range(TRIES):
        server.then(500, FAILED)
    with pytest.raises(DigitalOceanError) as caught:
        api.account()
    assert (caught.value.status, caught.value.id, caught.value.request_id) == (500, "server_error", "r-1")
    assert str(caught.value) == (
        "DigitalOcean answered 500 server_error to GET /v2/account: "
        "Unexpected server-side error (request r-1)"
    )


def test_a_burst_is_waited_for_as_long_as_the_server_says(server: Server, api: DigitalOcean) -> None:
    """By retry-after; by ratelimit-reset, when nothing remains and there is no retry-after."""
    server.then(429, BUSY, retry_after="1", ratelimit_remaining="0", ratelimit_reset="99999999999")
    server.then(429, BUSY, ratelimit_remaining="0", ratelimit_reset=str(int(time.time()) + 2))
    server.then(200, ACCOUNT)
    began = time.monotonic()
    api.account()
    assert 1 < time.monotonic() - began < 5


def test_the_limit_of_an_hour_is_not_waited_for(server: Server, api: DigitalOcean) -> None:
    """The error says when it ends."""
    reset = int(time.time()) + 1800
    server.then(429, BUSY, ratelimit_remaining="0", ratelimit_reset=str(reset))
    with pytest.raises(DigitalOceanError) as caught:
        api.account()
    assert len(server.asked) == 1
    assert caught.value.status == 429
    assert caught.value.retry_after == pytest.approx(1800, abs=5)
    at = time.strftime("%H:%M:%S", time.gmtime(reset))
    assert f"run again after {at} UTC, in 30 minutes" in str(caught.value)


def test_a_wait_that_is_too_long_together_ends(
    server: Server, api: DigitalOcean, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the server promises to be ready soon."""
    monkeypatch.setattr("tideflow.clients.patience.LONGEST", 1.5)
    server.then(429, BUSY, retry_after="1")
    server.then(429, BUSY, retry_after="1")
    with pytest.raises(DigitalOceanError, match="429 too_many_requests"):
        api.account()


def test_a_create_that_was_not_carried_out_is_sent_again(server: Server, api: DigitalOcean) -> None:
    """A request over the limit is not; nobody has to look."""
    server.then(200, listed())
    server.then(429, BUSY, retry_after="0")
    server.then(201, {"kubernetes_cluster": described()})
    assert create(api) == "c-1"
    assert server.asked == [f"GET {CLUSTERS}", f"POST {CLUSTERS}", f"POST {CLUSTERS}"]


LOST: list[tuple[int, object, dict[str, str]]] = [
    (CUT, None, {}),
    (500, FAILED, {}),
    (504, b"<html>", {}),
    (201, {}, {}),
    (201, b'{"kubernetes_cl', {"content_length": "999"}),
]


@pytest.mark.parametrize(("status", "body", "headers"), LOST)
def test_a_create_whose_answer_is_lost_is_found(
    server: Server, api: DigitalOcean, status: int, body: object, headers: dict[str, str]
) -> None:
    """A cluster of another name, or of that name before, is not it."""
    others = described("c-0"), described("c-2", name="other")
    server.then(200, listed(*others))
    server.then(status, body, **headers)
    server.then(200, listed(*others, described()))
    assert create(api) == "c-1"
    assert server.asked == [f"GET {CLUSTERS}", f"POST {CLUSTERS}", f"GET {CLUSTERS}"]


@pytest.mark.parametrize(("status", "body", "headers"), LOST)
def test_a_create_that_did_not_happen_is_sent_again(
    server: Server, api: DigitalOcean, status: int, body: object, headers: dict[str, str]
) -> None:
    """After a look that found nothing."""
    server.then(200, listed())
    server.then(status, body, **headers)
    server.then(200, listed())
    server.then(201, {"kubernetes_cluster": described()})
    assert create(api) == "c-1"
    assert server.asked == [f"GET {CLUSTERS}", f"POST {CLUSTERS}"] * 2


def test_a_create_that_is_not_answered_in_time_is_looked_for(server: Server) -> None:
    """It may well have happened."""
    api = DigitalOcean(TOKEN, endpoint=f"http://127.0.0.1:{server.server_port}/v2/", timeout=0.3)
    server.then(200, listed())
    server.then(SILENT)
    server.then(200, listed(described()))
    assert create(api) == "c-1"


def test_a_create_that_happened_late_is_found(server: Server, api: DigitalOcean) -> None:
    """When its repetition is refused because the name is taken."""
    server.then(200, listed())
    server.then(CUT)
    server.then(200, listed())
    server.then(422, {"id": "unprocessable_entity", "message": "a cluster with this name already exists"})
    server.then(200, listed(described()))
    assert create(api) == "c-1"


def test_a_create_that_is_refused_is_not_looked_for(server: Server, api: DigitalOcean) -> None:
    """Nothing was made."""
    server.then(200, listed())
    server.then(422, {"id": "unprocessable_entity", "message": "droplet limit exceeded"})
    with pytest.raises(DigitalOceanError, match="droplet limit exceeded"):
        create(api)


@pytest.mark.parametrize(
    "appeared", [[described(region="fra1")], [described("c-1"), described("c-2")]], ids=["another", "two"]
)
def test_a_cluster_that_need_not_be_ours_is_not_adopted(
    server: Server, api: DigitalOcean, appeared: list[dict[str, Any]]
) -> None:
    """And no other is made beside it."""
    server.then(200, listed())
    server.then(CUT)
    server.then(200, listed(*appeared))
    with pytest.raises(DigitalOceanError, match="c-1") as caught:
        create(api)
    assert "what is new is not the one asked for" in str(caught.value)


def test_a_create_that_nobody_knows_of_ends(server: Server, api: DigitalOcean) -> None:
    """With the failure, and what to do."""
    server.then(200, listed())
    for _ in range(3):
        server.then(500, FAILED)
        server.then(200, listed())
    with pytest.raises(DigitalOceanError, match=r"r-1.*look for a cluster named ml"):
        create(api)


def test_a_create_is_not_repeated_blindly(server: Server, api: DigitalOcean) -> None:
    """When nobody can look, it ends."""
    server.then(200, listed())
    server.then(CUT)
    server.then(401, {"id": "unauthorized", "message": "no"})
    with pytest.raises(DigitalOceanError, match=r"POST .*look for a cluster named ml"):
        create(api)
    assert server.asked.count(f"POST {CLUSTERS}") == 1


@pytest.mark.parametrize("failure", [CUT, 500, 503])
def test_a_1_click_is_not_installed_twice(server: Server, api: DigitalOcean, failure: int) -> None:
    """Nothing tells whether it has begun, so the error says where to look."""
    server.then(failure, FAILED, retry_after="0")
    with pytest.raises(DigitalOceanError, match=r"may have begun: .*ingress-nginx") as caught:
        api.install_one_clicks("c-1", ["ingress-nginx"])
    assert caught.value.unsure
    assert server.asked == ["POST /v2/1-clicks/kubernetes"]


def test_a_1_click_that_was_not_begun_is_asked_for_again(server: Server, api: DigitalOcean) -> None:
    """A request over the limit is not carried out."""
    server.then(429, BUSY, retry_after="0")
    server.then(200, {"message": "Successfully kicked off addon job."})
    api.install_one_clicks("c-1", ["ingress-nginx"])


def test_what_was_never_sent_is_sent_once_there_is_a_server(api: DigitalOcean, server: Server) -> None:
    """A refused connection proves that nothing was begun, so even a POST is repeated, and fails as such."""
    away = DigitalOcean(TOKEN, endpoint=f"http://127.0.0.1:{free_port()}/v2/")
    with pytest.raises(DigitalOceanError, match="cannot be reached for POST") as caught:
        away.install_one_clicks("c-1", ["ingress-nginx"])
    assert not caught.value.unsure
    assert caught.value.status == 0
    server.then(200, {"message": ""})
    away.end_point = api.end_point
    away.install_one_clicks("c-1", ["ingress-nginx"])


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("http://127.0.0.1:1/v2/", "the connection was refused"),
        ("http://nowhere.invalid/v2/", "its name cannot be resolved"),
        ("https://127.0.0.1:{port}/v2/", "its certificate is not to be trusted, or it speaks no TLS"),
        ("http://127.0.0.1:{port}/v2/", "the connection was cut"),
    ],
)
def test_why_there_is_no_answer(server: Server, endpoint: str, why: str) -> None:
    """In words of ours; those of libraries hold addresses of objects."""
    server.script.extend([(CUT, None, {})] * (TRIES if why.endswith("cut") else 0))
    with pytest.raises(DigitalOceanError, match=rf"cannot be reached for GET /v2/account \({why}\)"):
        DigitalOcean(TOKEN, endpoint=endpoint.format(port=server.server_port)).account()


@pytest.mark.parametrize("failure", [CUT, 500])
def test_what_was_deleted_by_a_lost_request_is_gone(server: Server, api: DigitalOcean, failure: int) -> None:
    """The repetition does not find it any more."""
    server.then(failure, FAILED)
    server.then(404, {"id": "not_found", "message": "not found"})
    api.delete_cluster("c-1")
    assert server.asked == [f"DELETE {CLUSTERS}/c-1"] * 2


@pytest.mark.parametrize("before", [[], [429]])
def test_what_was_never_there_is_not_deleted(server: Server, api: DigitalOcean, before: list[int]) -> None:
    """Neither when only a request that was not carried out came before."""
    for status in before:
        server.then(status, BUSY, retry_after="0")
    server.then(404, {"id": "not_found", "message": "not found"})
    with pytest.raises(DigitalOceanError, match="404 not_found"):
        api.delete_cluster("c-1")


def test_an_answer_that_is_cut_in_its_midst_is_asked_for_again(server: Server, api: DigitalOcean) -> None:
    """By then it counts as received; a deletion that was answered so has happened."""
    server.then(200, ACCOUNT, content_length="5000")
    server.then(200, ACCOUNT)
    assert api.account().droplet_limit == 25
    server.then(200, {}, content_length="5000")
    server.then(404, {"id": "not_found", "message": "not found"})
    api.delete_cluster("c-1")
    server.then(200, ACCOUNT, content_length="5000")
    server.then(200, ACCOUNT, content_length="5000")
    with pytest.raises(DigitalOceanError, match="the connection was cut"):
        api.account()


def test_a_change_is_asked_for_again(server: Server, api: DigitalOcean) -> None:
    """It says what is to be, so that twice is no more than once."""
    server.then(CUT)
    server.then(202, {})
    api.update_node_pool("c-1", "p", name="pool", count=5)
    assert server.asked == [f"PUT {CLUSTERS}/c-1/node_pools/p"] * 2


def test_a_server_that_is_silent_is_given_up(server: Server) -> None:
    """Each time after the time-out."""
    api = DigitalOcean(TOKEN, endpoint=f"http://127.0.0.1:{server.server_port}/v2/", timeout=0.1)
    for _ in range(TRIES):
        server.then(SILENT)
    with pytest.raises(DigitalOceanError, match="did not answer GET /v2/account") as caught:
        api.account()
    assert caught.value.status == 0


CALLS: dict[str, tuple[str, Callable[[DigitalOcean], object]]] = {
    "GET /v2/account": ("account:read", DigitalOcean.account),
    "GET /v2/kubernetes/options": ("kubernetes:read", DigitalOcean.options),
    f"GET {CLUSTERS}": ("kubernetes:read", DigitalOcean.clusters),
    f"GET {CLUSTERS}/c": ("kubernetes:read", lambda api: api.cluster("c")),
    f"GET {CLUSTERS}/c/credentials": (
        "kubernetes:access_cluster",
        lambda api: api.credentials("c", expiry_seconds=60),
    ),
    f"PUT {CLUSTERS}/c/node_pools/p": (
        "kubernetes:update",
        lambda api: api.update_node_pool("c", "p", name="pool", count=5),
    ),
    f"PUT {CLUSTERS}/c": (
        "kubernetes:update",
        lambda api: api.update_cluster("c", name="ml", fields={"ha": True}),
    ),
    f"DELETE {CLUSTERS}/c": ("kubernetes:delete", lambda api: api.delete_cluster("c")),
    "GET /v2/sizes": ("sizes:read", DigitalOcean.sizes),
    "GET /v2/droplets": ("droplet:read", DigitalOcean.droplets),
    "GET /v2/load_balancers/b": ("load_balancer:read", lambda api: api.load_balancer("b")),
    "POST /v2/1-clicks/kubernetes": (
        "kubernetes:update and addon:create",
        lambda api: api.install_one_clicks("c", ["x"]),
    ),
}
FORBIDDEN = {"id": "forbidden", "message": "You are not authorized to perform this operation"}


@pytest.mark.parametrize("call", CALLS)
def test_a_token_that_lacks_a_scope(server: Server, api: DigitalOcean, call: str) -> None:
    """The error names the call, and the scope as DigitalOcean's description does."""
    scope, make = CALLS[call]
    server.then(403, FORBIDDEN)
    with pytest.raises(DigitalOceanError) as caught:
        make(api)
    assert f"{call} needs the scope {scope}" in str(caught.value).replace("scopes", "scope")


@description.needed
def test_scopes_are_those_of_the_description() -> None:
    """For each call that a token can lack a scope for."""
    called = {"{cluster_id}": "c", "{node_pool_id}": "p", "{lb_id}": "b"}
    described = {
        re.sub(r"{\w+}", lambda found: called.get(found[0], found[0]), call): " and ".join(scopes)
        for call, scopes in description.scopes().items()
    }
    ours = {call: scope for call, (scope, _) in CALLS.items()} | {f"POST {CLUSTERS}": "kubernetes:create"}
    for call in ("GET /v2/sizes", "GET /v2/droplets"):
        del ours[call]  # which the part of the description at hand leaves out
    assert ours.items() <= described.items()


def test_a_token_that_may_not_create(server: Server, api: DigitalOcean) -> None:
    """Looking is allowed by another scope; tags and a VPC take scopes of their own."""
    server.then(200, listed())
    server.then(403, FORBIDDEN)
    with pytest.raises(DigitalOceanError, match=f"POST {CLUSTERS} needs the scope kubernetes:create"):
        create(api)
    server.then(200, listed())
    server.then(403, FORBIDDEN)
    needed = "needs the scopes kubernetes:create and vpc:read and tag:read and tag:create"
    with pytest.raises(DigitalOceanError, match=f"POST {CLUSTERS} {needed}"):
        create(api, vpc_uuid="v", tags=["tideflow"])
    server.then(403, FORBIDDEN)
    with pytest.raises(DigitalOceanError, match="kubernetes:update and tag:read and tag:create"):
        api.update_cluster("c", name="ml", fields={"tags": []})


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"null", b"{}", b'{"account": {"email": 1}}', b""])
def test_an_answer_of_another_shape(server: Server, api: DigitalOcean, body: bytes) -> None:
    """It is an error of ours, with the call it was the answer to."""
    server.then(200, body)
    with pytest.raises(DigitalOceanError, match="answer to GET /v2/kubernetes/options"):
        api.options()


def test_pages_are_asked_for_until_there_are_no_more(server: Server, api: DigitalOcean) -> None:
    """One request for each page."""
    server.then(200, {**listed(described("c-1")), "links": {"pages": {"next": "there"}}})
    server.then(200, listed(described("c-2")))
    assert [found.id for found in api.clusters()] == ["c-1", "c-2"]


def test_sizes_and_droplets(server: Server, api: DigitalOcean) -> None:
    """A size that nobody can have now is in no region; of droplets only the number is asked for."""
    size = {"slug": "s-1", "vcpus": 2, "memory": 4096, "regions": ["nyc3"], "available": True}
    server.then(200, {"sizes": [size, size | {"slug": "s-2", "available": False}]})
    server.then(200, {"droplets": [{}], "meta": {"total": 17}})
    assert api.sizes() == [Size("s-1", 2, 4096, ("nyc3",)), Size("s-2", 2, 4096, ())]
    assert api.droplets() == 17


def test_a_cluster_is_read_with_all_that_settings_are_about(server: Server, api: DigitalOcean) -> None:
    """Its own tags apart from those that DigitalOcean adds; what is missing is off, or not known."""
    full = described() | {
        "vpc_uuid": "v",
        "tags": ["k8s", "k8s:c-1", "k8s-like", "tideflow"],
        "ha": True,
        "auto_upgrade": True,
        "surge_upgrade": True,
        "maintenance_policy": {"day": "sunday", "start_time": "02:00", "duration": "4h0m0s"},
    }
    full["node_pools"][0] |= {"auto_scale": True, "min_nodes": 3, "max_nodes": 6}
    server.then(200, listed(full, described()))
    found, bare = api.clusters()
    assert (found.vpc, found.tags, found.maintenance_window) == (
        "v",
        ("k8s-like", "tideflow"),
        "sunday 02:00",
    )
    assert (found.ha, found.auto_upgrade, found.surge_upgrade) == (True, True, True)
    pool = found.node_pools[0]
    assert (pool.auto_scale, pool.min_nodes, pool.max_nodes) == (True, 3, 6)
    assert (bare.vpc, bare.tags, bare.maintenance_window, bare.ha) == ("", (), "", False)


def test_the_token_is_in_no_text(server: Server, api: DigitalOcean, caplog: pytest.LogCaptureFixture) -> None:
    """No repr, log or error has it, whatever happens."""
    caplog.set_level(logging.DEBUG)
    server.then(CUT)
    server.then(429, BUSY, retry_after="0")
    server.then(401, {"id": "unauthorized", "message": "Unable to authenticate you"})
    broken = DigitalOcean(f"{TOKEN}\n", endpoint=api.end_point)
    odd = DigitalOcean(f"{TOKEN}ü€", endpoint=api.end_point)
    away = DigitalOcean(TOKEN, endpoint=f"http://127.0.0.1:{free_port()}/v2/")
    texts = [repr(api), str(api)]
    for client in (api, broken, odd, away):
        with pytest.raises(DigitalOceanError) as caught:
            client.account()
        texts += [str(caught.value), repr(caught.value), str(caught.getrepr(style="native"))]
    assert "/v2/account" in caplog.text
    assert TOKEN not in caplog.text + "".join(texts)


def test_a_netrc_does_not_replace_the_token(
    server: Server, api: DigitalOcean, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As requests would have it."""
    (tmp_path / "netrc").write_text("default login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.then(200, ACCOUNT)
    api.account()
    assert server.headers[0]["Authorization"] == f"Bearer {TOKEN}"


CLUSTER = f"{CLUSTERS}/c-1"


def cluster_with(*pools: str, **changed: Any) -> dict[str, Any]:
    """Return the answer to a look at a cluster with pools of these names."""
    listed = [{"id": name, "name": name, "size": "s-4vcpu-8gb", "count": 3} for name in pools]
    return {"kubernetes_cluster": {**described(), "node_pools": listed, **changed}}


def make_pool(api: DigitalOcean) -> None:
    """Have another pool made."""
    api.create_node_pool("c-1", name="new", size="s-4vcpu-8gb", count=3)


def test_a_pool_is_looked_for_before_it_is_asked_for_again(
    server: Server, api: DigitalOcean, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice would be paid for twice; a refusal after a lost answer may be because of what that one made."""
    monkeypatch.setattr("tideflow.clients.pools._LOOKS_AFTER", (0, 0, 0))
    server.then(CUT)
    server.then(200, cluster_with("ml-pool", "new"))
    make_pool(api)
    server.then(500, FAILED)
    server.then(200, cluster_with("ml-pool"))
    server.then(422, {"id": "unprocessable_entity", "message": "name is already in use"})
    server.then(200, cluster_with("ml-pool", "new"))
    make_pool(api)
    asked = server.asked
    assert asked.count(f"POST {CLUSTER}/node_pools") == 3
    server.then(422, {"id": "unprocessable_entity", "message": "droplet limit"})
    with pytest.raises(DigitalOceanError, match="droplet limit"):
        make_pool(api)
    assert server.asked[-1] == f"POST {CLUSTER}/node_pools"  # what is refused is not looked for


def test_an_upgrade_that_was_not_answered_may_have_begun(
    server: Server, api: DigitalOcean, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster's state shows it, or its version if all is done by then."""
    monkeypatch.setattr("tideflow.clients.pools._LOOKS_AFTER", (0, 0, 0))
    for changed in ({"status": {"state": "upgrading"}}, {"version": "1.34.2-do.0"}):
        server.then(CUT)
        server.then(200, cluster_with("ml-pool", **changed))
        api.upgrade("c-1", "1.34.2-do.0")
    assert server.asked == [f"POST {CLUSTER}/upgrade", f"GET {CLUSTER}"] * 2


def test_what_a_cluster_can_be_upgraded_to(server: Server, api: DigitalOcean) -> None:
    """The API says null where there is nothing."""
    server.then(200, {"available_upgrade_versions": [{"slug": "1.34.2-do.0"}]})
    server.then(200, {"available_upgrade_versions": None})
    assert [api.upgrades("c-1"), api.upgrades("c-1")] == [["1.34.2-do.0"], []]


def test_nodes_and_pools_are_deleted_once(server: Server, api: DigitalOcean) -> None:
    """What is gone when an answer was lost is what was asked for."""
    server.then(CUT)
    server.then(404, {"id": "not_found", "message": "it is not there"})
    api.delete_node("c-1", "p-1", "n-1")
    server.then(204)
    api.delete_node_pool("c-1", "p-1")
    assert server.asked[-1] == f"DELETE {CLUSTER}/node_pools/p-1"
