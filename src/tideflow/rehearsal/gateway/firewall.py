"""NetworkPolicies: whether somebody reaches a port of a pod.

As DigitalOcean's Cilium has it, blocks of addresses are about the outside of the cluster only. From outside,
only a rule that says nothing of who may come, or a block of all addresses, lets somebody in: which address a
load balancer or the control plane comes from is nothing to rely on.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Object = dict[str, Any]


@dataclass(frozen=True)
class Party:
    """One end of a connection: a pod, by its namespace and labels, or, without a namespace, the outside."""

    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    account: str = ""
    in_mesh: bool = False
    is_gateway: bool = False
    on_host: bool = False
    name: str = ""

    @classmethod
    def of(cls, pod: Object) -> Party:
        """Return what a pod is."""
        spec, metadata = pod["spec"], pod["metadata"]
        containers = [*(spec.get("initContainers") or ()), *spec["containers"]]
        ports = {
            port["name"]: port["containerPort"]
            for container in containers
            for port in container.get("ports") or ()
            if "name" in port
        }
        return cls(
            metadata["namespace"],
            metadata.get("labels") or {},
            ports,
            spec.get("serviceAccountName") or "default",
            any(map(_is_proxy, containers)),
            any(_is_proxy(found) and "router" in (found.get("args") or ()) for found in containers),
            bool(spec.get("hostNetwork")),
            metadata["name"],
        )


def _is_proxy(container: Mapping[str, Any]) -> bool:
    return bool(container["name"] == "istio-proxy")


OUTSIDE = Party()
"""Whoever is not a pod."""


def passes(
    policies: Iterable[Object],
    namespaces: Mapping[str, Mapping[str, str]],
    *,
    source: Party,
    target: Party,
    port: int,
) -> bool:
    """Tell whether ``source`` reaches a TCP port of ``target``; ``namespaces`` has their labels by name."""
    known = list(policies)

    def admits(direction: str, subject: Party, other: Party) -> bool:
        """Tell whether no policy is about the subject, or one of those that are admits the other."""
        if not subject.namespace or subject.on_host:
            return True
        field = "ingress" if direction == "Ingress" else "egress"
        peers = "from" if direction == "Ingress" else "to"
        selected = [
            policy["spec"]
            for policy in known
            if policy["metadata"]["namespace"] == subject.namespace
            and direction in _directions(policy["spec"])
            and selects(policy["spec"].get("podSelector"), subject.labels)
        ]
        return not selected or any(
            _has_port(rule.get("ports"), port, target.ports)
            and _has_peer(rule.get(peers), other, subject.namespace, namespaces)
            for spec in selected
            for rule in spec.get(field) or ()
        )

    return admits("Ingress", target, source) and admits("Egress", source, target)


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector fits; an empty one always does."""
    wanted = (selector or {}).get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _fits(expression, labels) for expression in (selector or {}).get("matchExpressions") or ()
    )


def _fits(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def _directions(spec: Mapping[str, Any]) -> Iterable[str]:
    return spec.get("policyTypes") or ("Ingress", *(("Egress",) if "egress" in spec else ()))


def _has_port(wanted: Iterable[Mapping[str, Any]] | None, port: int, names: Mapping[str, int]) -> bool:
    if not wanted:
        return True
    for each in wanted:
        if each.get("protocol", "TCP") != "TCP":
            continue
        first = each.get("port")
        if first is None:
            return True
        number = names.get(first) if isinstance(first, str) else first
        if number is not None and number <= port <= each.get("endPort", number):
            return True
    return False


def _has_peer(
    wanted: Iterable[Mapping[str, Any]] | None,
    other: Party,
    namespace: str,
    namespaces: Mapping[str, Mapping[str, str]],
) -> bool:
    return not wanted or any(_is_peer(each, other, namespace, namespaces) for each in wanted)


def _is_peer(
    peer: Mapping[str, Any], other: Party, namespace: str, namespaces: Mapping[str, Mapping[str, str]]
) -> bool:
    if not other.namespace or other.on_host:
        block = peer.get("ipBlock") or {}
        return (
            "cidr" in block
            and not block.get("except")
            and ipaddress.ip_network(block["cidr"], strict=False).prefixlen == 0
        )
    if "ipBlock" in peer:
        return False
    if peer.get("namespaceSelector") is None:
        if other.namespace != namespace:
            return False
    elif not selects(peer["namespaceSelector"], namespaces.get(other.namespace, {})):
        return False
    return selects(peer.get("podSelector"), other.labels)
