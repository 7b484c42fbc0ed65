"""RequestAuthentications: whose token passes, and what is told of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from multidict import CIMultiDict

from tideflow.rehearsal.gateway.accounts import Accounts
from tideflow.rehearsal.gateway.authentication import Refusal, authenticated
from tideflow.rehearsal.gateway.issuer import Issuer
from tideflow.rehearsal.gateway.keys import Keys

if TYPE_CHECKING:
    from pathlib import Path

URL = "http://dex.auth.svc.cluster.local:5556/dex"
TOLD = {"header": "kubeflow-userid", "claim": "email"}
POLICY = {"spec": {"jwtRules": [{"issuer": URL, "outputClaimToHeaders": [TOLD]}]}}
CLAIMS = {"iss": URL, "email": "user@example.com", "exp": time.time() + 3600}


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    """Return an issuer with a key of its own."""
    return Issuer(Accounts(URL, {}, {}, 60), Keys(tmp_path_factory.mktemp("keys") / "issuer.key"))


def look(issuer: Issuer | None, token: str) -> tuple[dict[str, Any], CIMultiDict[str]]:
    """Look at a request with a token, which says already who it is of."""
    headers = CIMultiDict({"kubeflow-userid": "somebody", "X-Other": "kept"})
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return authenticated([POLICY], headers, issuer)


def test_a_token_of_the_issuer_that_runs_tells_who_it_is(issuer: Issuer) -> None:
    """By the issuer's own keys: others, made beside them, were a race between two threads."""
    claims, headers = look(issuer, issuer.keys.signed(CLAIMS))
    assert claims == CLAIMS
    assert headers["kubeflow-userid"] == "user@example.com"
    assert headers["X-Other"] == "kept"


def test_nobody_says_by_a_header_who_they_are(issuer: Issuer) -> None:
    """Without a token, what only tokens tell is taken away."""
    claims, headers = look(issuer, "")
    assert not claims
    assert "kubeflow-userid" not in headers


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exp": 1}, "expired"),
        ({"iss": "https://example.org"}, "not configured"),
    ],
)
def test_a_token_that_is_no_good_is_refused(issuer: Issuer, changes: dict[str, Any], said: str) -> None:
    """And what is answered says why."""
    with pytest.raises(Refusal, match=said):
        look(issuer, issuer.keys.signed({**CLAIMS, **changes}))


def test_a_token_signed_by_others_is_refused(issuer: Issuer, tmp_path: Path) -> None:
    """Whatever it says; and so is every token while no issuer runs that could be asked."""
    with pytest.raises(Refusal, match="verification fails"):
        look(issuer, Keys(tmp_path / "others.key").signed(CLAIMS))
    with pytest.raises(Refusal, match="fetch is failed"):
        look(None, issuer.keys.signed(CLAIMS))
    with pytest.raises(Refusal, match="not in the form"):
        look(issuer, "token")
