"""AuthorizationPolicies: what may pass to a workload of the mesh, and who is asked about it.

https://istio.io/latest/docs/reference/config/security/authorization-policy/ has the rules. What is not
modelled (addresses, and conditions other than those below) never matches.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tideflow.rehearsal.gateway.firewall import selects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tideflow.rehearsal.gateway.firewall import Object, Party
    from tideflow.rehearsal.gateway.messages import Request

ROOT = "istio-system"
"""Istio's root namespace, whose policies are about the workloads of all namespaces."""

_HEADER = re.compile(r"request\.headers\[(.+)\]")
_CLAIM = re.compile(r"request\.auth\.claims\[(.+)\]")


@dataclass(frozen=True)
class Facts:
    """What is known of a request: who sends it, by the mesh's certificates, and whose token it has."""

    request: Request
    port: int
    source: Party | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)

    @property
    def principal(self) -> str:
        """Who sends it; nothing for who is not in the mesh."""
        if self.source is None or not self.source.in_mesh:
            return ""
        return f"cluster.local/ns/{self.source.namespace}/sa/{self.source.account}"

    @property
    def request_principal(self) -> str:
        """Whose token it has; nothing without one."""
        return f"{self.claims['iss']}/{self.claims.get('sub', '')}" if "iss" in self.claims else ""


def about(objects: Iterable[Object], workload: Party) -> list[Object]:
    """Return those policies, of any kind of Istio's, that are about a workload."""
    return [
        found
        for found in objects
        if found["metadata"]["namespace"] in {ROOT, workload.namespace}
        and selects((found.get("spec") or {}).get("selector"), workload.labels)
    ]


def providers(policies: Iterable[Object], facts: Facts) -> list[str]:
    """Return the names of those that have to be asked."""
    return [
        policy["spec"].get("provider", {}).get("name", "")
        for policy in _of(policies, "CUSTOM")
        if _matches(policy, facts)
    ]


def allows(policies: Sequence[Object], facts: Facts) -> bool:
    """Tell whether nothing denies the request, and something allows it if anything allows at all."""
    if any(_matches(policy, facts) for policy in _of(policies, "DENY")):
        return False
    allowing = _of(policies, "ALLOW")
    return not allowing or any(_matches(policy, facts) for policy in allowing)


def _of(policies: Iterable[Object], action: str) -> list[Object]:
    return [found for found in policies if (found.get("spec") or {}).get("action", "ALLOW") == action]


def _matches(policy: Object, facts: Facts) -> bool:
    return any(_fits(rule, facts) for rule in (policy.get("spec") or {}).get("rules") or ())


def _fits(rule: Mapping[str, Any], facts: Facts) -> bool:
    sources, operations = rule.get("from"), rule.get("to")
    return (
        (not sources or any(_all(each.get("source") or {}, _source(facts)) for each in sources))
        and (
            not operations or any(_all(each.get("operation") or {}, _operation(facts)) for each in operations)
        )
        and all(_condition(each, facts) for each in rule.get("when") or ())
    )


def _all(wanted: Mapping[str, Sequence[str]], values: Mapping[str, str]) -> bool:
    """Tell whether each field fits: one of its patterns, or none for those that are called ``not…``."""
    for name, patterns in wanted.items():
        is_not = name.startswith("not")
        plain = name[3:4].lower() + name[4:] if is_not else name
        if plain not in values:
            return False
        if any(matches(pattern, values[plain]) for pattern in patterns) == is_not:
            return False
    return True


def _source(facts: Facts) -> dict[str, str]:
    source = facts.source if facts.principal else None
    return {
        "principals": facts.principal,
        "requestPrincipals": facts.request_principal,
        "namespaces": source.namespace if source else "",
        "serviceAccounts": f"{source.namespace}/{source.account}" if source else "",
    }


def _operation(facts: Facts) -> dict[str, str]:
    request = facts.request
    return {
        "hosts": request.authority.lower(),
        "ports": str(facts.port),
        "methods": request.method,
        "paths": request.path,
    }


def _condition(condition: Mapping[str, Any], facts: Facts) -> bool:
    value = _value(condition["key"], facts)
    if value is None:
        return False
    values, others = condition.get("values"), condition.get("notValues")
    return (not values or any(matches(each, value) for each in values)) and not (
        others and any(matches(each, value) for each in others)
    )


def _value(key: str, facts: Facts) -> str | None:
    """Return what a condition is about; None if it is not modelled."""
    if found := _HEADER.fullmatch(key):
        return str(facts.request.headers.get(found[1], ""))
    if found := _CLAIM.fullmatch(key):
        return str(facts.claims.get(found[1], ""))
    known: dict[str, Callable[[], str]] = {
        "source.namespace": lambda: facts.source.namespace if facts.source and facts.principal else "",
        "source.principal": lambda: facts.principal,
        "request.auth.principal": lambda: facts.request_principal,
        "request.auth.audiences": lambda: str(facts.claims.get("aud", "")),
        "destination.port": lambda: str(facts.port),
    }
    return known[key]() if key in known else None


def matches(pattern: str, value: str) -> bool:
    """Tell whether a value is as a pattern has it: whole, or with a star before, after, or alone."""
    if pattern == "*":
        return bool(value)
    if pattern.startswith("*"):
        return value.endswith(pattern[1:])
    if pattern.endswith("*"):
        return value.startswith(pattern[:-1])
    return value == pattern
