"""The real Dex, started with the same objects, beside the login in its place.

Of Dex, the Go module proxy has no release, but the state of September 2021, which is compiled here. It
differs from the one of today's Kubeflow in two answers: a wrong password gets the form with 200, and a right
one goes over the page for approval, which it leaves at once.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
import yaml
from multidict import CIMultiDict
from tests.integration import gateways

from tideflow.rehearsal.addresses import free_port
from tideflow.rehearsal.gateway.accounts import Accounts
from tideflow.rehearsal.gateway.containers import Start
from tideflow.rehearsal.gateway.issuer import Issuer
from tideflow.rehearsal.gateway.keys import Keys
from tideflow.rehearsal.gateway.messages import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Asking = Callable[[str, str, dict[str, str] | None], tuple[int, str, str]]
    """Asks for a path, with a form or without; returns status, where to, and the body."""

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(
        not (shutil.which("go") and shutil.which("gcc")),
        reason="there is no Go compiler here, or no C compiler",
    ),
]

MODULE = Path(__file__).parent / "dex"
CONFIG = gateways.SAMPLE / "core_v1--ConfigMap" / "auth--dex.yaml"
FILE = "/etc/dex/cfg/config.yaml"
VERIFIER = "v" * 50
ENVIRONMENT = {
    "DEX_USER_PASSWORD": gateways.hashed(gateways.PASSWORD),
    "OIDC_CLIENT_ID": "kubeflow",
    "OIDC_CLIENT_SECRET": "a secret of the tests",
}
ASKED = {
    "client_id": "kubeflow",
    "redirect_uri": "/oauth2/callback",
    "response_type": "code",
    "scope": "openid email profile groups",
    "state": "a state",
    "prompt": "none",
    "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest())
    .decode()
    .rstrip("="),
    "code_challenge_method": "S256",
}
EXCHANGE = {
    "grant_type": "authorization_code",
    "redirect_uri": "/oauth2/callback",
    "client_id": "kubeflow",
    "client_secret": ENVIRONMENT["OIDC_CLIENT_SECRET"],
    "code_verifier": VERIFIER,
}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """Yield the real one, which keeps what it has in memory in the place of the cluster."""
    folder = tmp_path_factory.mktemp("dex")
    environment = {**os.environ, "CGO_ENABLED": "1", "GOTOOLCHAIN": "local"}
    package = "github.com/dexidp/dex/cmd/dex"
    build = ["go", "-C", str(MODULE), "build", "-mod=readonly", "-o", str(folder / "dex"), package]
    subprocess.run(build, env=environment, check=True)
    port = free_port()
    config: dict[str, Any] = yaml.safe_load(yaml.safe_load(CONFIG.read_text())["data"]["config.yaml"])
    config |= {"storage": {"type": "memory"}, "web": {"http": f"127.0.0.1:{port}"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [folder / "dex", "serve", folder / "config.yaml"], env=ENVIRONMENT, stdout=log, stderr=log
        ) as process,
        requests.Session() as session,
    ):
        session.trust_env = False

        def ask(method: str, path: str, form: dict[str, str] | None) -> tuple[int, str, str]:
            answer = session.request(
                method, f"http://127.0.0.1:{port}{path}", data=form, allow_redirects=False, timeout=30
            )
            return answer.status_code, answer.headers.get("Location", ""), answer.text

        try:
            for _ in range(100):
                try:
                    ask("GET", "/dex/healthz", None)
                    break
                except requests.exceptions.ConnectionError:
                    time.sleep(0.1)
            yield ask
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Asking:
    """Return the one in its place."""
    text = yaml.safe_load(CONFIG.read_text())["data"]["config.yaml"]
    start = Start(("dex", "serve", FILE), ENVIRONMENT, {FILE: text})
    issuer = Issuer(Accounts.of(start), Keys(tmp_path_factory.mktemp("keys") / "issuer.key"))

    def ask(method: str, path: str, form: dict[str, str] | None) -> tuple[int, str, str]:
        body = urlencode(form or {}).encode()
        answer = issuer.answer(Request(method=method, target=path, headers=CIMultiDict(), body=body))
        return answer.status, answer.headers.get("Location", ""), answer.body.decode()

    return ask


def form(ask: Asking) -> str:
    """Return the path of the form."""
    status, first, _ = ask("GET", f"/dex/auth?{urlencode(ASKED)}", None)
    assert status == 302
    assert urlsplit(first).path == "/dex/auth/local"
    assert parse_qs(urlsplit(first).query) == {key: [value] for key, value in ASKED.items()}
    status, second, _ = ask("GET", first, None)
    assert status == 302
    assert second.startswith("/dex/auth/local/login?back=&state=")
    status, _, body = ask("GET", second, None)
    assert status == 200
    assert 'name="login"' in body
    assert 'name="password"' in body
    return second


def code(ask: Asking) -> str:
    """Log in, and return the code."""
    status, where, _ = ask("POST", form(ask), {"login": gateways.EMAIL, "password": gateways.PASSWORD})
    assert status == 303
    if where.startswith("/dex/approval"):
        status, where, _ = ask("GET", where, None)
        assert status == 303
    assert where.startswith("/oauth2/callback?")
    query = parse_qs(urlsplit(where).query)
    assert query["state"] == [ASKED["state"]]
    return query["code"][0]


def claims(ask: Asking) -> dict[str, Any]:
    """Return what the token says that a login gets, without what differs each time."""
    status, _, body = ask("POST", "/dex/token", {**EXCHANGE, "code": code(ask)})
    assert status == 200, body
    granted = json.loads(body)
    assert granted["token_type"] == "bearer"
    part = granted["id_token"].split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert found["exp"] - found["iat"] == 24 * 3600
    return {key: value for key, value in found.items() if key not in {"exp", "iat", "at_hash", "c_hash"}}


def test_both_accept_the_login_and_say_the_same_of_who_it_is(real: Asking, ours: Asking) -> None:
    """By the same ConfigMap and Secrets, step by step."""
    assert claims(real) == claims(ours)


def test_both_refuse_a_wrong_password(real: Asking, ours: Asking) -> None:
    """With the form again; a release of today says 401, too."""
    wrong = {"login": gateways.EMAIL, "password": "12341234"}
    for ask, expected in ((real, 200), (ours, 401)):
        status, where, body = ask("POST", form(ask), wrong)
        assert (status, where) == (expected, "")
        assert 'name="password"' in body


@pytest.mark.parametrize(
    "changes",
    [
        {"client_secret": "another"},
        {"code_verifier": "w" * 50},
        {"redirect_uri": "/elsewhere"},
        {"grant_type": "soup"},
        {"code": "soup"},
    ],
)
def test_both_refuse_a_token_for_the_same_reasons(
    real: Asking, ours: Asking, changes: dict[str, str]
) -> None:
    """With the same status and error."""

    def refusal(ask: Asking) -> tuple[int, str]:
        status, _, body = ask("POST", "/dex/token", {**EXCHANGE, "code": code(ask), **changes})
        return status, json.loads(body)["error"]

    assert refusal(real) == refusal(ours)


@pytest.mark.parametrize("changes", [{"client_id": "other"}, {"redirect_uri": "/elsewhere"}])
def test_both_send_nobody_to_where_nothing_is_registered(
    real: Asking, ours: Asking, changes: dict[str, str]
) -> None:
    """With an error in the place of a form."""
    for ask in (real, ours):
        status, where, _ = ask("GET", f"/dex/auth/local?{urlencode({**ASKED, **changes})}", None)
        assert status in {400, 404}
        assert not where
