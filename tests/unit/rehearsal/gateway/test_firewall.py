"""Which NetworkPolicies let whom through."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tideflow.rehearsal.gateway.firewall import OUTSIDE, Party, passes, selects

NAMESPACES = {name: {"kubernetes.io/metadata.name": name} for name in ("edge", "istio-system")}
NGINX = Party("edge", {"app": "nginx"})
GATEWAY = Party("istio-system", {"app": "gateway"}, ports={"http": 8080})
SAME: dict[str, Any] = {"from": [{"podSelector": {}}]}
EDGE = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}}


def policy(
    *ingress: dict[str, Any],
    selector: dict[str, Any] | None = None,
    namespace: str = "istio-system",
    **spec: Any,
) -> dict[str, Any]:
    """Return a policy about the pods of a namespace."""
    return {
        "metadata": {"namespace": namespace},
        "spec": {"podSelector": selector or {}, "ingress": list(ingress), "policyTypes": ["Ingress"], **spec},
    }


def open_to(
    *policies: dict[str, Any], source: Party = NGINX, target: Party = GATEWAY, port: int = 8080
) -> bool:
    """Tell whether these policies let the source through."""
    return passes(policies, NAMESPACES, source=source, target=target, port=port)


def test_without_a_policy_about_a_pod_everybody_reaches_it() -> None:
    """Policies of other namespaces, and about other pods, are nothing to it."""
    assert open_to()
    assert open_to(policy(namespace="edge"), policy(selector={"matchLabels": {"app": "other"}}))
    assert open_to(source=OUTSIDE)


def test_a_policy_about_a_pod_keeps_out_whom_it_does_not_name() -> None:
    """As Kubeflow's own for its namespaces; another one may let in who is not in the first."""
    assert not open_to(policy(SAME))
    assert open_to(policy(SAME), source=Party("istio-system", {"app": "istiod"}))
    assert open_to(policy(SAME), policy({"from": [EDGE]}))
    assert not open_to(policy())


@pytest.mark.parametrize(
    ("ports", "opened"),
    [
        ([{"port": 8080}], True),
        ([{"port": 80}], False),
        ([{"port": "http"}], True),
        ([{"port": "other"}], False),
        ([{"port": 8000, "endPort": 8100}], True),
        ([{"port": 8000, "endPort": 8079}], False),
        ([{"port": 8080, "protocol": "UDP"}], False),
        ([{"protocol": "TCP"}], True),
        ([], True),
    ],
)
def test_the_port_is_the_pods_own(ports: list[dict[str, Any]], *, opened: bool) -> None:
    """Not the Service's; by number, name or range."""
    assert open_to(policy({"from": [EDGE], "ports": ports})) is opened


def test_namespace_and_pods_of_one_peer_must_both_fit() -> None:
    """In two peers, either is enough; and pods without a namespace are of the policy's own."""
    nginx, other = ({"podSelector": {"matchLabels": {"app": name}}} for name in ("nginx", "other"))
    assert open_to(policy({"from": [EDGE | nginx]}))
    assert not open_to(policy({"from": [EDGE | other]}))
    assert open_to(policy({"from": [EDGE, other]}))
    assert not open_to(policy({"from": [nginx]}))
    assert open_to(policy({"from": [{"namespaceSelector": {}}]}))


def test_the_outside_comes_in_only_where_nothing_is_said_of_who_may() -> None:
    """Or where all addresses may; which one a load balancer has is nothing to rely on."""
    assert open_to(policy({"ports": [{"port": 8080}]}), source=OUTSIDE)
    assert not open_to(policy({"ports": [{"port": 9443}]}), source=OUTSIDE)
    assert not open_to(policy({"from": [{"namespaceSelector": {}}]}), source=OUTSIDE)
    assert open_to(policy({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}), source=OUTSIDE)
    assert not open_to(policy({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}), source=OUTSIDE)
    assert not open_to(policy({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}))  # a pod is no address


def test_what_keeps_a_pod_in_counts_too() -> None:
    """The way out of the source's namespace, as well as the way into the target's."""
    closed = policy(namespace="edge", policyTypes=["Egress"])
    assert not open_to(closed)
    way_out = [{"to": [{"namespaceSelector": {}}], "ports": [{"port": 8080}]}]
    assert open_to(closed, policy(namespace="edge", policyTypes=["Egress"], egress=way_out))


def test_pods_of_the_hosts_network_are_not_kept_from_anything() -> None:
    """No policy is about them."""
    assert open_to(policy(), target=Party("istio-system", {"app": "gateway"}, on_host=True))


LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"))
EXPRESSIONS = st.lists(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from("abc"),
            "operator": st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
            "values": st.lists(st.sampled_from("xyz"), min_size=1),
        }
    )
)


@given(labels=LABELS, wanted=LABELS, expressions=EXPRESSIONS)
def test_a_selector_is_the_conjunction_of_its_parts(
    labels: dict[str, str], wanted: dict[str, str], expressions: list[dict[str, Any]]
) -> None:
    """What a label asks for an expression can ask for, and each expression counts by itself."""
    alike = [{"key": key, "operator": "In", "values": [value]} for key, value in wanted.items()]
    whole = {"matchLabels": wanted, "matchExpressions": expressions}
    parts = [{"matchExpressions": [each]} for each in (*alike, *expressions)]
    assert selects(whole, labels) == all(selects(part, labels) for part in parts)


@given(labels=LABELS, expressions=EXPRESSIONS)
def test_an_operator_is_the_opposite_of_its_opposite(
    labels: dict[str, str], expressions: list[dict[str, Any]]
) -> None:
    """In and NotIn, Exists and DoesNotExist."""
    opposite = {"In": "NotIn", "Exists": "DoesNotExist"}
    opposite |= {value: key for key, value in opposite.items()}
    for each in expressions:
        other = each | {"operator": opposite[each["operator"]]}
        assert selects({"matchExpressions": [each]}, labels) != selects({"matchExpressions": [other]}, labels)
