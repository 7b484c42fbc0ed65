"""Credentials that upstream ships never reach a cluster."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.unit.engine.objects import key, manifests

from tideflow.operations.credentials import ORIGIN, Credentials, generated
from tideflow.vendoring.pins import Credential


def secret(name: str, space: str = "auth", **data: str) -> dict[str, Any]:
    """Return a Secret as upstream ships it."""
    encoded = {field: base64.b64encode(text.encode()).decode() for field, text in data.items()}
    metadata = {"name": name, "namespace": space}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}


PASSWORDS = secret("dex-passwords", DEX_USER_PASSWORD="default", other="kept")
CLIENT = secret("dex-oidc-client", OIDC_CLIENT_SECRET="default", OIDC_CLIENT_ID="kept")
PROXY = secret(
    "oauth2-proxy-5t94", "oauth2-proxy", **{"client-secret": "default", "cookie-secret": "default"}
)

STATED = [
    Credential(kind="Secret", namespace="auth", name="dex-passwords", key="DEX_USER_PASSWORD", form="bcrypt"),
    Credential(
        kind="Secret",
        namespace="auth",
        name="dex-oidc-client",
        key="OIDC_CLIENT_SECRET",
        form="password",
        group="client",
    ),
    Credential(
        kind="Secret",
        namespace="oauth2-proxy",
        name="oauth2-proxy-*",
        key="client-secret",
        form="password",
        group="client",
    ),
    Credential(
        kind="Secret", namespace="oauth2-proxy", name="oauth2-proxy-*", key="cookie-secret", form="cookie"
    ),
]


def test_what_is_shipped_is_taken_out_and_what_is_no_credential_stays() -> None:
    """From the moment of loading no default can be written."""
    loaded = manifests(PASSWORDS, CLIENT, PROXY, secret("other", plain="text"))
    credentials = Credentials(loaded, STATED)
    assert set(credentials.keys) == {key(PASSWORDS), key(CLIENT), key(PROXY)}
    assert loaded[0].body["data"] == {"other": base64.b64encode(b"kept").decode()}
    assert loaded[0].body["metadata"]["annotations"] == {ORIGIN: "generated"}
    assert loaded[3].body["data"] == {"plain": base64.b64encode(b"text").decode()}


def test_those_of_a_group_share_one_value() -> None:
    """Dex and its client agree; every other value is its own."""
    loaded = manifests(PASSWORDS, CLIENT, PROXY)
    credentials = Credentials(loaded, STATED)
    credentials.fill(credentials.keys, lambda _: None, known={})
    client, proxy = loaded[1].body["data"], loaded[2].body["data"]
    assert client["OIDC_CLIENT_SECRET"] == proxy["client-secret"]
    assert proxy["cookie-secret"] != proxy["client-secret"]
    assert base64.b64decode(loaded[0].body["data"]["DEX_USER_PASSWORD"]).startswith(b"$2b$")


def test_a_missing_half_takes_the_value_of_the_half_that_is_live() -> None:
    """Whichever of the two was deleted, they agree again."""
    loaded = manifests(CLIENT, PROXY)
    credentials = Credentials(loaded, STATED)
    live = secret("dex-oidc-client", OIDC_CLIENT_SECRET="the live one")
    credentials.fill([key(PROXY)], {key(CLIENT): live}.get, known={})
    assert base64.b64decode(loaded[1].body["data"]["client-secret"]) == b"the live one"
    assert "OIDC_CLIENT_SECRET" not in loaded[0].body["data"]


@pytest.mark.parametrize(
    ("form", "length"), [("password", 32), ("access-key", 20), ("cookie", 44), ("bcrypt", 60)]
)
def test_generated_values_are_new_and_of_their_form(form: str, length: int) -> None:
    """No two are alike; a cookie secret decodes to the 32 bytes that oauth2-proxy wants."""
    one, other = generated(form), generated(form)
    assert one != other
    assert len(one) == length
    if form == "cookie":
        assert len(base64.urlsafe_b64decode(one)) == 32
    elif form != "bcrypt":
        assert one.isalnum()
