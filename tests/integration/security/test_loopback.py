"""What a rehearsal opens is for its user alone: sockets, files, and whatever answers."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests import description
from tests.integration.security.sockets import Listener, listeners, processes_below

from tideflow.rehearsal.control_plane import AUTH_PROXY, NAMES

if TYPE_CHECKING:
    from tests.integration.deploying import Checkout

NOBODY = 65534
GUESSES = (
    None,
    "",
    "Bearer",
    "Bearer ",
    "Bearer token",
    "Bearer undefined",
    "Bearer null",
    "Bearer admin",
    "Bearer $DIGITALOCEAN_TOKEN",
    "Bearer dop_v1_" + 64 * "0",
    "Bearer b7d03a6947b217efb6f3ec3bd3504582",
    "Bearer dop_k8s_" + 64 * "0",
    "Basic YWRtaW46YWRtaW4=",
    "Basic Og==",
)
"""What somebody without a token might say; None says nothing."""

TWIN = (
    ("GET", "/"),
    ("GET", "/static/x"),
    ("GET", "/v2/account"),
    ("GET", "/v2/kubernetes/options"),
    ("GET", "/v2/kubernetes/clusters"),
    ("POST", "/v2/kubernetes/clusters"),
    ("GET", "/v2/kubernetes/clusters/{id}/kubeconfig"),
    ("GET", "/v2/kubernetes/clusters/{id}/credentials"),
    ("DELETE", "/v2/kubernetes/clusters/{id}"),
    ("GET", "/rehearsal/faults"),
    ("PUT", "/rehearsal/faults"),
    ("OPTIONS", "/v2/account"),
)
KUBERNETES = tuple(
    ("GET", path)
    for path in (
        *("/", "/api", "/apis", "/version", "/healthz", "/livez", "/readyz", "/metrics", "/openapi/v2"),
        *("/api/v1/secrets", "/api/v1/namespaces/auth/secrets/dex-passwords", "/debug/pprof/"),
        "/.well-known/openid-configuration",
    )
)


@pytest.fixture(scope="session")
def place(rehearsed: Checkout) -> dict[str, Any]:
    """Return the twin's port, and the id, the port and the folder of the cluster."""
    folder = rehearsed.platform / "rehearsal"
    [cluster] = (folder / "clusters").iterdir()
    return {
        "twin": json.loads((folder / "settings.json").read_text())["port"],
        "id": cluster.name,
        "port": json.loads((cluster / "state.json").read_text())["port"],
        "gateway": json.loads((cluster / "gateway.json").read_text())["port"],
        "cluster": cluster,
    }


def asked(
    port: int, method: str, path: str, headers: dict[str, str], *, tls: bool = False, body: str = "{}"
) -> tuple[int, dict[str, str], str]:
    """Return status, headers and body of an answer; certificates are not looked at."""
    context = ssl._create_unverified_context()  # noqa: S323 - it is who answers that is tested
    connection = (
        http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
        if tls
        else http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    )
    try:
        connection.request(method, path, body=None if method == "GET" else body, headers=headers)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


def guesses() -> list[dict[str, str]]:
    """Return headers with guessed credentials, with what DigitalOcean's description has for examples too."""
    found = list(GUESSES)
    if description.FOLDER:
        text = "".join(file.read_text() for file in Path(description.FOLDER).rglob("*.yml"))
        examples = set(re.findall(r"(?:token|TOKEN)\S*[:=]\s*[\"']?([\w.-]{8,})", text))
        found += [f"Bearer {each}" for each in sorted(examples)]
    return [{} if each is None else {"Authorization": each} for each in found]


def test_every_process_listens_on_loopback_or_in_a_private_folder(rehearsed: Checkout) -> None:
    """All of them, the gateway, the twin and its name server too; what is open to all would be seen."""
    processes = processes_below(rehearsed.folder.resolve())
    assert {"twin", AUTH_PROXY, *NAMES} <= set(processes.values())
    found = {(processes[pid], each) for pid in processes for each in listeners(pid)}
    for name, each in sorted(found, key=str):
        print(f"{name:24} {each.protocol:5} {each.address} {each.port or ''}")  # noqa: T201 - the figures
    assert [pair for pair in found if not pair[1].is_private] == []
    kinds = {(name, each.protocol) for name, each in found}
    assert {
        ("twin", "tcp"),
        ("twin", "udp"),
        ("kube-apiserver", "tcp"),
        ("stand-ins", "tcp"),
        ("stand-ins", "unix"),
        ("etcd", "unix"),
        (AUTH_PROXY, "unix"),
    } <= kinds
    with socket.create_server(("0.0.0.0", 0)), socket.socket(socket.AF_UNIX) as abstract:  # noqa: S104 - seen to be
        abstract.bind("\0tideflow-test")
        abstract.listen()
        flagged = {each for each in listeners(os.getpid()) if not each.is_private}
    assert {each.protocol for each in flagged} == {"tcp", "unix"}
    assert Listener("tcp6", "::", 1).is_private is False


@pytest.mark.parametrize("headers", guesses(), ids=lambda headers: headers.get("Authorization", "nothing"))
def test_no_default_token_is_accepted(place: dict[str, Any], headers: dict[str, str]) -> None:
    """By the twin or by the API server, on no path, and what they refuse with tells nothing."""
    for method, path in TWIN:
        status, _, text = asked(place["twin"], method, path.format(**place), headers)
        assert (status, "unauthorized" in text) == (401, True), f"{method} {path}"
    for method, path in KUBERNETES:
        status, _, text = asked(place["port"], method, path, headers, tls=True)
        assert status == 401, f"{method} {path}"
        assert "Unauthorized" in text


def test_the_right_token_is_accepted(rehearsed: Checkout, place: dict[str, Any]) -> None:
    """So it is the token that was wrong before."""
    token = (rehearsed.platform / "rehearsal" / "token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    for method, path in TWIN:
        if method == "GET" and path.startswith("/v2/"):
            assert asked(place["twin"], method, path.format(**place), headers)[0] == 200
    assert asked(place["port"], "GET", "/version", headers, tls=True)[0] == 401
    assert json.loads(rehearsed.kubectl("get", "--raw", "/version"))["major"] == "1"


def test_what_needs_no_token_tells_nothing(place: dict[str, Any]) -> None:
    """API servers ask the twin about tokens without one: nobody learns more than that a guess is wrong."""
    review = f"/rehearsal/clusters/{place['id']}/tokenreview"
    for token in ("", "token", "dop_k8s_" + 64 * "0"):
        body = json.dumps({"spec": {"token": token}})
        status, _, text = asked(place["twin"], "POST", review, {}, body=body)
        assert status in {200, 422}
        assert '"authenticated":true' not in text.replace(" ", "")
    for path in ("/rehearsal/clusters/", f"/rehearsal/clusters/{place['id']}", f"{review}/../../v2/account"):
        assert asked(place["twin"], "GET", path, {})[0] in {404, 405}


def test_a_page_of_another_origin_learns_nothing(place: dict[str, Any]) -> None:
    """Neither by a name that is made to lead here, nor by asking across origins."""
    there = {"Host": f"evil.example:{place['twin']}", "Origin": "https://evil.example"}
    preflight = {**there, "Access-Control-Request-Method": "GET"}
    servers = ((place["twin"], False), (place["port"], True), (place["gateway"], False))
    for port, tls in servers:
        for method, headers in (("GET", there), ("OPTIONS", preflight)):
            status, told, _ = asked(port, method, "/", headers, tls=tls)
            assert status in {401, 404}
            assert not [name for name in told if name.startswith("access-control-")]


PROBE = """
import json, os, socket, sys
os.setgroups([]); os.setgid({nobody}); os.setuid({nobody})
opened = []
for kind, path in json.load(sys.stdin):
    try:
        if kind == "socket":
            with socket.socket(socket.AF_UNIX) as asked:
                asked.connect(path)
        elif kind == "folder":
            os.listdir(path)
        else:
            open(path, "rb").close()
    except OSError:
        continue
    opened.append(path)
print(json.dumps(opened))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_reads_and_reaches_nothing(rehearsed: Checkout, place: dict[str, Any]) -> None:
    """No file, no folder, no socket, and nothing of a process, though all folders above can be entered."""
    kept = rehearsed.folder.resolve() / ".tideflow"
    files = [
        (("folder" if path.is_dir() else "file"), str(path))
        for path in kept.rglob("*")
        if not path.is_symlink()
    ]
    processes = processes_below(rehearsed.folder.resolve())
    sockets = [
        ("socket", each.address) for pid in processes for each in listeners(pid) if each.protocol == "unix"
    ]
    shared = {str(Path(path).parent) for _, path in sockets}
    about = [("file", f"/proc/{pid}/{what}") for pid in processes for what in ("environ", "maps")]
    assert len(files) > 50
    assert len(sockets) >= 4
    assert len(about) >= 14
    tried = [*files, *sockets, *(("folder", path) for path in shared), *about]
    with tempfile.TemporaryDirectory(prefix="tideflow-test-") as folder:
        Path(folder).chmod(0o755)
        with socket.socket(socket.AF_UNIX) as open_to_all:
            open_to_all.bind(f"{folder}/socket")
            open_to_all.listen()
            Path(f"{folder}/socket").chmod(0o777)
            controls = [("file", str(rehearsed.folder / "inventory.py")), ("socket", f"{folder}/socket")]
            done = subprocess.run(
                [sys.executable, "-c", PROBE.format(nobody=NOBODY)],
                input=json.dumps(tried + controls),
                capture_output=True,
                text=True,
                check=True,
            )
    opened = json.loads(done.stdout)
    print(f"{len(files)} files and folders, {len(sockets)} sockets, {len(processes)} processes")  # noqa: T201 - the figures
    assert opened == [path for _, path in controls]
    assert str(place["cluster"] / "admin.kubeconfig") in [path for _, path in files]
