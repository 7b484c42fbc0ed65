"""What AuthorizationPolicies let pass, Kubeflow's own among them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from tideflow.rehearsal.gateway.authorization import Facts, about, allows, matches, providers
from tideflow.rehearsal.gateway.firewall import Party
from tideflow.rehearsal.gateway.messages import Request

OPEN = ["/dex/*", "/dex/**", "/oauth2/*"]
GATEWAY = Party("istio-system", {"app": "istio-ingressgateway"}, account="gateway", in_mesh=True)
CLAIMS = {"iss": "http://dex", "sub": "1"}


def policy(
    action: str = "ALLOW", *rules: dict[str, Any], namespace: str = "istio-system", **spec: Any
) -> Any:
    """Return a policy."""
    return {"metadata": {"namespace": namespace}, "spec": {"action": action, "rules": list(rules), **spec}}


def facts(
    path: str = "/", *, claims: Any = None, source: Party | None = None, user: str = "", token: str = ""
) -> Facts:
    """Return what is known of a request."""
    headers = CIMultiDict({"Host": "kubeflow.example.org", "Kubeflow-Userid": user, "Authorization": token})
    request = Request(method="GET", target=path, headers=headers)
    return Facts(request, 8080, source, claims or {})


REQUIRE_JWT = policy(
    "DENY",
    {
        "from": [{"source": {"notRequestPrincipals": ["*"]}}],
        "to": [{"operation": {"notPaths": OPEN}}],
    },
)
ASK = policy(
    "CUSTOM",
    {
        "to": [{"operation": {"notPaths": OPEN}}],
        "when": [{"key": "request.headers[authorization]", "notValues": ["*"]}],
    },
    provider={"name": "oauth2-proxy"},
)


@pytest.mark.parametrize(
    ("path", "claims", "passed"),
    [
        ("/", {}, False),
        ("/", CLAIMS, True),
        ("/dex/auth?x=/", {}, True),
        ("/oauth2/start", {}, True),
        ("/dexter", {}, False),
        ("/pipeline?p=/dex/", {}, False),
    ],
)
def test_without_a_token_only_the_login_passes(path: str, claims: dict[str, str], *, passed: bool) -> None:
    """Kubeflow's policy that denies the rest."""
    assert allows([REQUIRE_JWT, policy("ALLOW", {})], facts(path, claims=claims)) is passed


def test_who_has_a_token_or_logs_in_is_not_asked_about() -> None:
    """Kubeflow's policy that has oauth2-proxy asked."""
    assert providers([ASK], facts("/")) == ["oauth2-proxy"]
    assert providers([ASK], facts("/dex/auth")) == []
    assert providers([ASK], facts("/", token="Bearer x")) == []


def test_a_policy_that_allows_nothing_denies_all_but_what_another_allows() -> None:
    """Kubeflow's own for the whole mesh has no rules at all."""
    nothing: dict[str, Any] = {"metadata": {"namespace": "istio-system"}, "spec": {}}
    assert allows([], facts())
    assert not allows([nothing], facts())
    assert allows([nothing, policy("ALLOW", {})], facts())
    assert not allows([policy("DENY", {}), policy("ALLOW", {})], facts())


def test_who_sends_is_known_by_the_mesh_only() -> None:
    """Who is not in it has no principal, whatever namespace it is in."""
    rule = {"from": [{"source": {"principals": ["cluster.local/ns/istio-system/sa/gateway"]}}]}
    assert allows([policy("ALLOW", rule)], facts(source=GATEWAY))
    assert not allows([policy("ALLOW", rule)], facts(source=Party("istio-system", {}, account="gateway")))
    assert not allows([policy("ALLOW", rule)], facts())
    within = {"from": [{"source": {"namespaces": ["istio-system"]}}]}
    assert allows([policy("ALLOW", within)], facts(source=GATEWAY))
    assert not allows([policy("ALLOW", within)], facts())


def test_rules_that_are_not_modelled_never_match() -> None:
    """Nothing is let through by a condition that nobody has looked at."""
    for rule in (
        {"from": [{"source": {"ipBlocks": ["10.0.0.0/8"]}}]},
        {"when": [{"key": "source.ip", "values": ["10.0.0.0/8"]}]},
    ):
        assert not allows([policy("ALLOW", rule)], facts())


def test_headers_and_claims_decide_too() -> None:
    """As in a Profile's namespace, whose owner gets in."""
    owner = {"when": [{"key": "request.headers[kubeflow-userid]", "values": ["user@example.com"]}]}
    assert allows([policy("ALLOW", owner)], facts(user="user@example.com"))
    assert not allows([policy("ALLOW", owner)], facts(user="other@example.com"))
    claim = {"when": [{"key": "request.auth.claims[iss]", "values": ["http://*"]}]}
    assert allows([policy("ALLOW", claim)], facts(claims=CLAIMS))


def test_policies_of_the_root_namespace_are_about_all() -> None:
    """Others are about their own; and a selector narrows either."""
    everywhere, here, elsewhere = (policy(namespace=name) for name in ("istio-system", "kubeflow", "auth"))
    chosen = policy(namespace="kubeflow", selector={"matchLabels": {"app": "ui"}})
    ui, other = (Party("kubeflow", {"app": name}) for name in ("ui", "other"))
    assert about([everywhere, here, elsewhere, chosen], ui) == [everywhere, here, chosen]
    assert about([everywhere, here, elsewhere, chosen], other) == [everywhere, here]


@given(st.text("ab/*", max_size=6), st.text("ab/", max_size=6))
def test_a_star_stands_for_anything_at_one_end_only(pattern: str, value: str) -> None:
    """As Istio has it: before, after, or alone, where there has to be something."""
    if matches(pattern, value):
        stem = pattern.removeprefix("*") if pattern.startswith("*") else pattern.removesuffix("*")
        assert stem in value
        assert value or not pattern.count("*") or pattern != "*"
    if "*" not in pattern:
        assert matches(pattern, value) == (pattern == value)
