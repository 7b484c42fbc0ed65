"""The client of the API server, against a small server that answers as it is told."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.unit.clients.serving import LoopbackServer, QuietHandler

from tideflow import __version__
from tideflow.clients.guarding import Guarded
from tideflow.clients.kubernetes import _READS, Kubernetes
from tideflow.clients.refusals import MISFIT
from tideflow.clients.resources import Resources, away, from_discovery
from tideflow.errors import Cause, KubernetesError, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "canary-token"


class Server(LoopbackServer):
    """Answers each path with what ``answers`` holds for it, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.answers: dict[str, tuple[int, bytes, dict[str, str]]] = {}
        self.seen: list[tuple[str, str, dict[str, str], Any]] = []
        self.accepted: str | None = None  # the one token that is good; all are if it is None

    def answer(self, path: str, body: object, *, status: int = 200, **headers: str) -> None:
        """Have a path answered with JSON, or with bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[path] = (status, data, headers)


class Handler(QuietHandler):
    """Answers as its server says."""

    server: Server

    def _serve(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.seen.append((self.command, self.path, dict(self.headers.items()), body))
        status, data, headers = self.server.answers[self.path]
        accepted = self.server.accepted
        if accepted is not None and self.headers["authorization"] != f"Bearer {accepted}":
            status, data, headers = 401, b'{"kind": "Status", "reason": "Unauthorized"}', {}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "watch=true" in self.path:
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()
            self.server.release.wait(10)
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _serve  # noqa: N815 - http.server's names


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve on a free port."""
    with Server().serving() as running:
        yield running


@pytest.fixture
def cluster(server: Server, tmp_path: Path) -> Iterator[Kubernetes]:
    """Return a client of the server."""
    opened = Kubernetes.from_kubeconfig(kubeconfig(tmp_path, f"http://127.0.0.1:{server.server_port}"))
    yield opened
    opened.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what failed tried again at once."""
    monkeypatch.setattr("tideflow.clients.kubernetes._READS", _READS.new(backoff_factor=0, backoff_jitter=0))


def kubeconfig(folder: Path, server: str) -> Path:
    """Write a kubeconfig of one context."""
    path = folder / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "one",
                "clusters": [{"name": "one", "cluster": {"server": server}}],
                "users": [{"name": "one", "user": {"token": TOKEN}}],
                "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
            }
        )
    )
    return path


def test_a_request_says_who_asks(server: Server, cluster: Kubernetes) -> None:
    """The audit log tells Tideflow's requests by their User-Agent."""
    server.answer("/version", {"major": "1"})
    assert cluster.get("/version") == {"major": "1"}
    _, _, headers, _ = server.seen[0]
    assert headers["user-agent"] == f"tideflow/{__version__}"
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in repr(cluster)


def test_applying_is_a_patch_under_a_manager(server: Server, cluster: Kubernetes) -> None:
    """Server-side apply names its field manager and takes fields by force unless told otherwise."""
    path = "/api/v1/namespaces/a/configmaps/b"
    server.answer(f"{path}?fieldManager=tideflow-test&force=true", {})
    cluster.apply(path, {"data": {"ü": "1"}}, field_manager="tideflow-test")
    method, _, headers, body = server.seen[0]
    assert (method, body) == ("PATCH", {"data": {"ü": "1"}})
    assert headers["content-type"] == "application/apply-patch+yaml"


def renewing(server: Server, path: Path, *tokens: str) -> tuple[Kubernetes, list[int]]:
    """Return a client that can renew its credentials, and how often it did."""
    renewed: list[int] = []
    old = (TOKEN, *tokens)

    def renew() -> None:
        path.write_text(path.read_text().replace(old[len(renewed)], tokens[len(renewed)]))
        renewed.append(1)

    kubeconfig(path.parent, f"http://127.0.0.1:{server.server_port}")
    return Kubernetes.from_kubeconfig(path, renew=renew), renewed


def test_credentials_that_have_expired_are_renewed_once(server: Server, tmp_path: Path) -> None:
    """By whichever of several threads is refused first; all of them go on, and watches too."""
    path = tmp_path / "kubeconfig"
    cluster, renewed = renewing(server, path, "fresh")
    server.accepted = "fresh"
    server.answer("/version", {"major": "1"})
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: cluster.get("/version"), range(24)))
    assert answers == [{"major": "1"}] * 24
    assert renewed == [1]
    cluster.close()


def test_credentials_expire_more_than_once_in_a_long_run(server: Server, tmp_path: Path) -> None:
    """What was renewed, and accepted, is renewed again when it is refused at last."""
    path = tmp_path / "kubeconfig"
    cluster, renewed = renewing(server, path, "first", "second")
    server.answer("/version", {"major": "1"})
    for accepted in ("first", "second"):
        server.accepted = accepted
        assert cluster.get("/version") == {"major": "1"}
    assert len(renewed) == 2
    cluster.close()


def test_credentials_that_are_refused_again_are_an_error(server: Server, tmp_path: Path) -> None:
    """And are not renewed for each request."""
    cluster, renewed = renewing(server, tmp_path / "kubeconfig", "no better")
    server.accepted = "another"
    server.answer("/version", {})
    for _ in range(2):
        with pytest.raises(KubernetesError) as caught:
            cluster.get("/version")
        assert caught.value.status == 401
        assert "no better" not in str(caught.value)
    assert renewed == [1]
    cluster.close()


def test_a_refusal_names_its_causes(server: Server, cluster: Kubernetes) -> None:
    """Those of another shape than the API's are left out."""
    cause = {"reason": "FieldManagerConflict", "field": ".spec.replicas", "message": 'conflict with "x"'}
    server.answer("/a", {"reason": "Conflict", "details": {"causes": [cause, "?"]}}, status=409)
    server.answer("/b", {"reason": "Conflict", "details": []}, status=409)
    with pytest.raises(KubernetesError) as caught:
        cluster.get("/a")
    assert caught.value.causes == (Cause("FieldManagerConflict", ".spec.replicas", 'conflict with "x"'),)
    with pytest.raises(KubernetesError) as caught:
        cluster.get("/b")
    assert caught.value.causes == ()


def test_a_refusal_carries_the_servers_words(server: Server, cluster: Kubernetes) -> None:
    """Status, reason, message and Retry-After are what callers decide by."""
    server.answer(
        "/x", {"kind": "Status", "reason": "TooManyRequests", "message": "later"}, status=429, retry_after="3"
    )
    with pytest.raises(KubernetesError, match="GET /x was answered 429: later") as caught:
        cluster.get("/x")
    assert (caught.value.status, caught.value.reason, caught.value.retry_after) == (429, "TooManyRequests", 3)


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (
            500,
            ".data.k: expected string, got &value.valueUnstructured{Value:canary}",
            "Invalid, because of data.k",
        ),
        (422, 'data.k: Invalid value: "canary"', "Invalid, because of data.k"),
        (
            500,
            "Internal error occurred: failed calling webhook x: no endpoints",
            "failed calling webhook x: no endpoints",
        ),
        (404, 'namespaces "x" not found', 'namespaces "x" not found'),
    ],
)
def test_a_refused_secret_is_not_quoted(
    server: Server, cluster: Kubernetes, status: int, message: str, expected: str
) -> None:
    """The server's words are kept only where they cannot hold what was sent."""
    path = "/api/v1/namespaces/x/secrets/s"
    details = {"causes": [{"reason": "FieldValueInvalid", "field": "data.k", "message": message}]}
    refusal = {"kind": "Status", "reason": "Invalid", "message": message, "details": details}
    server.answer(f"{path}?fieldManager=m&force=true", refusal, status=status)
    with pytest.raises(KubernetesError) as caught:
        cluster.apply(path, {"data": {"k": "canary"}}, field_manager="m")
    assert expected in str(caught.value)
    assert "canary" not in str(caught.value)


def test_only_who_lacks_a_right_is_told_so(server: Server, cluster: Kubernetes) -> None:
    """Quotas, PodSecurity and namespaces that go answer 403 too; a denied right quotes no Secret."""
    path = "/api/v1/namespaces/x/secrets/s"
    lacking = 'secrets "s" is forbidden: User "ada" cannot patch resource "secrets" in API group ""'
    for message, told in (
        (lacking, True),
        ('pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0', False),
        ('pods "p" is forbidden: error looking up service account x/y: not found', False),
    ):
        refusal = {"kind": "Status", "reason": "Forbidden", "message": message}
        server.answer(f"{path}?fieldManager=m&force=true", refusal, status=403)
        with pytest.raises(KubernetesError) as caught:
            cluster.apply(path, {}, field_manager="m")
        assert ("lacks that right" in caught.value.hint) is told
        assert (lacking in caught.value.message) is told


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "failed to create typed patch object (a/b; /v1, Kind=X): .datta: field not declared in schema",
            ".datta: there is no such field",
        ),
        (
            (
                'failed to create typed patch object (a/b; apps/v1, Kind=X): errors:\n  .a[name="b"].c: '
                "field not declared in schema\n  .d: expected numeric, got &value.valueUnstructured{Value:1}"
            ),
            '.a[name="b"].c: there is no such field; .d: expected numeric',
        ),
        (
            "failed to convert new object (a/b; apps/v1, Kind=X) to proper version: quantities must be",
            "quantities must be",
        ),
    ],
)
def test_what_a_type_does_not_know_is_told_by_field(
    server: Server, cluster: Kubernetes, message: str, expected: str
) -> None:
    """Server-side apply answers 500 to it, with its program's own way to hold values."""
    server.answer("/x?fieldManager=m&force=true", {"kind": "Status", "message": message}, status=500)
    with pytest.raises(KubernetesError) as caught:
        cluster.apply("/x", {}, field_manager="m")
    assert caught.value.message == f"PATCH /x was answered 500: {expected}"
    assert caught.value.reason == MISFIT


def test_what_the_type_of_a_secret_does_not_know_is_told_without_values(
    server: Server, cluster: Kubernetes
) -> None:
    """Words about types hold no data; whatever else the server says of a Secret may."""
    path = "/api/v1/namespaces/x/secrets/s"
    told = (
        "failed to create typed patch object (x/s; /v1, Kind=Secret): errors:\n  .data.k: expected string, "
    )
    for last, expected in (
        (".datta: field not declared in schema", ".data.k: expected string; .datta: there is no such field"),
        ('.list: duplicate entries for key [name="canary"]', "Misfit, because of .data.k, .list"),
    ):
        message = f"{told}got &value.valueUnstructured{{Value:canary}}\n  {last}"
        server.answer(f"{path}?fieldManager=m&force=true", {"message": message}, status=500)
        with pytest.raises(KubernetesError) as caught:
            cluster.apply(path, {}, field_manager="m")
        assert expected in str(caught.value)
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"[]", b"", b"\xff" * 5000])
def test_a_refusal_that_is_no_status_is_still_one_line(
    server: Server, cluster: Kubernetes, body: bytes
) -> None:
    """A proxy between us and the API server answers in its own way."""
    server.answer("/x", body, status=502)
    with pytest.raises(KubernetesError) as caught:
        cluster.get("/x")
    assert caught.value.status == 502
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("method", ["GET", "PATCH"])
@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1", "the connection was refused or cut"),
        ("http://nowhere.invalid", "its name cannot be resolved"),
        ("https://127.0.0.1", "its certificate is not the one the kubeconfig expects"),
    ],
)
@pytest.mark.usefixtures("hasty")
def test_a_server_that_is_away(
    tmp_path: Path, request: pytest.FixtureRequest, method: str, url: str, why: str
) -> None:
    """No answer is an error of status 0 that names the server and why, and holds no credentials.

    What is tried again is told in the same words.
    """
    if url.startswith("https"):
        url += f":{request.getfixturevalue('server').server_port}"  # which speaks no TLS
    away = Kubernetes.from_kubeconfig(kubeconfig(tmp_path, url))
    with pytest.raises(KubernetesError) as caught:
        away.request(method, "/version", body={} if method == "PATCH" else None)
    assert caught.value.message == (
        f"the Kubernetes API server {url} cannot be reached for {method} /version: {why}"
    )
    assert caught.value.status == 0
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_guarded_client_asks_before_it_writes(server: Server, cluster: Kubernetes) -> None:
    """Reads are not asked about; a write that is refused is never sent; what is discovered is shared."""
    for path in ("/thing", "/api", "/apis"):
        server.answer(path, {"items": []})
    allowed = [True]
    asked: list[bool] = []

    def check() -> None:
        asked.append(allowed[0])
        if not allowed[0]:
            raise KubernetesError("not now")

    guarded = Guarded(cluster, check)
    guarded.get("/thing")
    assert guarded.resources() is cluster.resources()
    assert asked == []
    guarded.patch("/thing", {})
    allowed[0] = False
    sent = len(server.seen)
    for write in (guarded.delete, lambda path: guarded.post(path, {}), lambda path: guarded.put(path, {})):
        with pytest.raises(KubernetesError, match="not now"):
            write("/thing")
    assert len(server.seen) == sent
    cluster.patch("/thing", {})
    assert asked == [True, False, False, False]


def test_pages_are_asked_for_until_there_are_no_more(server: Server, cluster: Kubernetes) -> None:
    """One request for each page."""
    server.answer("/items?limit=2", {"metadata": {"continue": "more"}, "items": [1, 2]})
    server.answer("/items?limit=2&continue=more", {"metadata": {}, "items": [3]})
    assert [page["items"] for page in cluster.pages("/items", limit=2)] == [[1, 2], [3]]


WATCH = "/items?watch=true&allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=300"


def test_a_watch_is_ended_from_another_thread(server: Server, cluster: Kubernetes) -> None:
    """Whoever waits for events can be stopped while none comes."""
    server.answer(WATCH, b'{"type":"ADDED","object":{}}\n')
    watch = cluster.watch("/items", resource_version="7")
    events: list[object] = []
    got_one, ended = threading.Event(), threading.Event()

    def read() -> None:
        for event in watch:
            events.append(event)
            got_one.set()
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    assert got_one.wait(5)
    watch.close()
    assert ended.wait(5)
    assert events == [{"type": "ADDED", "object": {}}]


def test_a_watch_that_is_too_old(server: Server, cluster: Kubernetes) -> None:
    """The server's ERROR event becomes an error with its status: list again."""
    server.answer(WATCH, b'{"type":"ERROR","object":{"code":410,"reason":"Expired","message":"too old"}}\n')
    with pytest.raises(KubernetesError, match="too old") as caught:
        list(cluster.watch("/items", resource_version="7"))
    assert (caught.value.status, caught.value.reason) == (410, "Expired")


@pytest.mark.parametrize("text", ["", "[", "a: 1", "current-context: nowhere\ncontexts: []"])
def test_a_kubeconfig_that_will_not_do(tmp_path: Path, text: str) -> None:
    """One line names the file and not its content."""
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(SettingError, match="is not usable"):
        Kubernetes.from_kubeconfig(path)


def test_discovery() -> None:
    """A type is found by its version, or in the version the server prefers; what is stale is not there."""
    answer = {
        "items": [
            {
                "metadata": {"name": "apps"},
                "versions": [
                    {
                        "version": version,
                        "freshness": freshness,
                        "resources": [
                            {
                                "resource": "deployments",
                                "responseKind": {"kind": "Deployment"},
                                "scope": "Namespaced",
                                "verbs": ["list"],
                            },
                            {"resource": "broken", "responseKind": {}, "scope": "Cluster"},
                        ],
                    }
                    for version, freshness in (("v2", "Stale"), ("v1", "Current"), ("v1beta1", "Current"))
                ],
            }
        ]
    }
    resources = Resources(from_discovery(answer))
    assert resources.find("apps", "v2", "Deployment") is None
    preferred = resources.of_kind("apps", "Deployment")
    assert preferred is resources.find("apps", "v1", "Deployment")
    assert preferred is not None
    assert preferred.path("auth", "dex") == "/apis/apps/v1/namespaces/auth/deployments/dex"
    assert preferred.collection() == "/apis/apps/v1/deployments"
    assert len(list(resources)) == 2
    assert list(away(answer)) == ["apps"]
