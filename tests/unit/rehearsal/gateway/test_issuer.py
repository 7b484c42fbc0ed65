"""The login in Dex's place: what it answers, and whom it gives a token."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import bcrypt
import pytest
import yaml
from multidict import CIMultiDict

from tideflow.rehearsal.gateway.accounts import Accounts
from tideflow.rehearsal.gateway.containers import Start, UnstartableError
from tideflow.rehearsal.gateway.issuer import Issuer
from tideflow.rehearsal.gateway.keys import Keys
from tideflow.rehearsal.gateway.messages import Request

if TYPE_CHECKING:
    from pathlib import Path

    from tideflow.rehearsal.gateway.messages import Answer

PASSWORD, VERIFIER = "a password", "a verifier"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
ASKED = {
    "client_id": "kubeflow",
    "redirect_uri": "/oauth2/callback",
    "response_type": "code",
    "scope": "openid email",
    "state": "s&=",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
ENVIRONMENT = {"DEX_USER_PASSWORD": HASH, "OIDC_CLIENT_ID": "kubeflow", "OIDC_CLIENT_SECRET": "a secret"}
CONFIG: dict[str, Any] = {
    "issuer": "http://dex.auth.svc.cluster.local:5556/dex",
    "enablePasswordDB": True,
    "staticPasswords": [
        {"email": "User@example.com", "hashFromEnv": "DEX_USER_PASSWORD", "username": "user", "userID": "7"}
    ],
    "staticClients": [
        {"idEnv": "OIDC_CLIENT_ID", "secretEnv": "OIDC_CLIENT_SECRET", "redirectURIs": ["/oauth2/callback"]}
    ],
}


def accounts(config: Any = None, **environment: str) -> Accounts:
    """Return what Dex knows with such a configuration and environment."""
    text = yaml.safe_dump(CONFIG if config is None else config)
    return Accounts.of(
        Start(
            ("dex", "serve", "/etc/dex/cfg/config.yaml"),
            {**ENVIRONMENT, **environment},
            {"/etc/dex/cfg/config.yaml": text},
        )
    )


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Return a key, which takes a moment to be made."""
    return Keys(tmp_path_factory.mktemp("keys") / "issuer.key")


@pytest.fixture
def issuer(keys: Keys) -> Issuer:
    """Return an issuer with one user and one client."""
    return Issuer(accounts(), keys)


def ask(issuer: Issuer, target: str, form: dict[str, str] | None = None, **headers: str) -> Answer:
    """GET, or POST a form."""
    return issuer.answer(
        Request(
            method="GET" if form is None else "POST",
            target=target,
            headers=CIMultiDict(headers),
            body=urlencode(form or {}).encode(),
        )
    )


def code(issuer: Issuer, **asked: str) -> str:
    """Log in, and return the code."""
    login = ask(issuer, f"/dex/auth/local?{urlencode({**ASKED, **asked})}").headers["Location"]
    answer = ask(issuer, login, {"login": "user@EXAMPLE.com", "password": PASSWORD})
    assert answer.status == 303
    query = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert query["state"] == [ASKED["state"]]
    return query["code"][0]


def token(issuer: Issuer, **changes: str) -> tuple[int, dict[str, Any]]:
    """Exchange a code for a token, as oauth2-proxy does."""
    form = {
        "grant_type": "authorization_code",
        "redirect_uri": "/oauth2/callback",
        "client_id": "kubeflow",
        "client_secret": "a secret",
        "code_verifier": VERIFIER,
        **changes,
    }
    answer = ask(issuer, "/dex/token", form)
    return answer.status, json.loads(answer.body)


def test_the_way_to_the_form(issuer: Issuer) -> None:
    """Two redirects, relative to the host; then a form that goes to where it came from."""
    query = urlencode(ASKED)
    first = ask(issuer, f"/dex/auth?{query}")
    assert (first.status, first.headers["Location"]) == (302, f"/dex/auth/local?{query}")
    second = ask(issuer, first.headers["Location"])
    assert second.status == 302
    assert second.headers["Location"].startswith("/dex/auth/local/login?back=&state=")
    form = ask(issuer, second.headers["Location"])
    assert form.status == 200
    assert b'name="login"' in form.body


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"client_id": "<other>"}, 404),
        ({"redirect_uri": "https://example.org/"}, 400),
        ({"response_type": "token"}, 400),
    ],
)
def test_who_asks_wrongly_is_told_and_not_sent_anywhere(
    issuer: Issuer, changes: dict[str, str], status: int
) -> None:
    """An address that is not registered gets nothing, at either step; and nothing is quoted raw."""
    for path in ("/dex/auth", "/dex/auth/local"):
        answer = ask(issuer, f"{path}?{urlencode({**ASKED, **changes})}")
        assert answer.status == status
        assert "Location" not in answer.headers
        assert b"<other>" not in answer.body


@pytest.mark.parametrize(
    ("name", "password"),
    [("user@example.com", "12341234"), ("other@example.com", PASSWORD), ("user@example.com", ""), ("", "")],
)
def test_a_wrong_password_gets_the_form_again(issuer: Issuer, name: str, password: str) -> None:
    """With the status 401, and the right one still gets in."""
    login = ask(issuer, f"/dex/auth/local?{urlencode(ASKED)}").headers["Location"]
    refused = ask(issuer, login, {"login": name, "password": password})
    assert refused.status == 401
    assert b'name="password"' in refused.body
    assert ask(issuer, login, {"login": "user@example.com", "password": PASSWORD}).status == 303


def test_a_password_longer_than_bcrypt_looks_at_is_refused_like_others(issuer: Issuer) -> None:
    """And not with an error."""
    login = ask(issuer, f"/dex/auth/local?{urlencode(ASKED)}").headers["Location"]
    assert ask(issuer, login, {"login": "user@example.com", "password": "x" * 200}).status == 401


def test_a_login_that_nobody_began_is_an_error(issuer: Issuer) -> None:
    """As is one that is over."""
    assert ask(issuer, "/dex/auth/local/login?state=x").status == 400
    assert ask(issuer, "/dex/elsewhere").status == 404
    assert ask(issuer, "/elsewhere").status == 404


def test_a_code_is_good_for_one_token_that_says_who_it_is(issuer: Issuer, keys: Keys) -> None:
    """Signed by the key that is published."""
    once = code(issuer)
    status, granted = token(issuer, code=once)
    assert status == 200
    claims = keys.claims(granted["id_token"])
    assert claims is not None
    assert claims["email"] == "User@example.com"
    assert claims["aud"] == "kubeflow"
    assert claims["iss"] == CONFIG["issuer"]
    assert base64.urlsafe_b64decode(claims["sub"] + "==") == b"\n\x017\x12\x05local"
    assert token(issuer, code=once) == (
        400,
        {"error": "invalid_grant", "error_description": "Invalid or expired code parameter."},
    )
    published = json.loads(ask(issuer, "/dex/keys").body)["keys"]
    assert [set(key) & {"d", "p", "q"} for key in published] == [set()]
    assert json.loads(ask(issuer, "/dex/userinfo", Authorization=f"Bearer {granted['access_token']}").body)[
        "email"
    ]
    assert ask(issuer, "/dex/userinfo", Authorization="Bearer x").status == 403


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"client_secret": "another"}, 401),
        ({"client_id": "other"}, 401),
        ({"code_verifier": "another"}, 400),
        ({"code_verifier": ""}, 400),
        ({"redirect_uri": "/elsewhere"}, 400),
        ({"grant_type": "password"}, 400),
        ({"code": "x"}, 400),
    ],
)
def test_no_token_without_all_that_belongs_to_it(
    issuer: Issuer, changes: dict[str, str], status: int
) -> None:
    """Secret, verifier, address and code."""
    assert token(issuer, **{"code": code(issuer), **changes})[0] == status


def test_a_client_may_show_its_secret_in_a_header(issuer: Issuer) -> None:
    """Encoded twice, as the standard has it."""
    basic = base64.b64encode(b"kubeflow:a+secret").decode()
    form = {"grant_type": "authorization_code", "redirect_uri": "/oauth2/callback", "code_verifier": VERIFIER}
    answer = ask(issuer, "/dex/token", {**form, "code": code(issuer)}, Authorization=f"Basic {basic}")
    assert answer.status == 200
    assert ask(issuer, "/dex/token", form, Authorization="Basic !").status == 401


def test_a_token_of_another_key_or_another_time_is_none_of_ours(keys: Keys, tmp_path: Path) -> None:
    """Keys are kept, and others are not known."""
    file = tmp_path / "issuer.key"
    other = Keys(file)
    signed = other.signed({"iss": "x", "exp": 1 << 40})
    assert keys.claims(signed) is None
    assert Keys(file).claims(signed) is not None
    assert other.claims(other.signed({"iss": "x", "exp": 1})) is None
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("damaged")
    assert Keys(file).claims(signed) is None


@pytest.mark.parametrize(
    "config",
    [
        {**CONFIG, "staticPasswords": [{"email": "user@example.com", "hash": "12341234"}]},
        {**CONFIG, "staticPasswords": [{"email": "user@example.com", "hashFromEnv": "ABSENT"}]},
        {**CONFIG, "staticClients": [{"idEnv": "ABSENT", "secret": "x"}]},
        {key: value for key, value in CONFIG.items() if key != "issuer"},
        "a text",
        {**CONFIG, "staticPasswords": 5},
    ],
)
def test_what_dex_would_end_with_is_an_error(config: Any) -> None:
    """It does not start, and nobody logs in."""
    with pytest.raises(UnstartableError):
        accounts(config)


def test_without_the_password_database_nobody_has_a_password(keys: Keys) -> None:
    """Whatever the rest of the configuration says."""
    issuer = Issuer(accounts({**CONFIG, "enablePasswordDB": False}), keys)
    login = ask(issuer, f"/dex/auth/local?{urlencode(ASKED)}").headers["Location"]
    assert ask(issuer, login, {"login": "user@example.com", "password": PASSWORD}).status == 401


def test_a_hash_may_be_encoded_once_more() -> None:
    """Dex takes base64 from the environment too."""
    encoded = base64.b64encode(HASH.encode()).decode()
    assert accounts(DEX_USER_PASSWORD=encoded).users["user@example.com"].has(PASSWORD)
