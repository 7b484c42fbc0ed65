"""Webhooks that the API server calls before it stores an object, and which objects they are called for.

A webhook whose ``failurePolicy`` is ``Fail`` refuses everything it matches while nobody serves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tideflow.engine.manifests import DEFINITION, Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

GROUP = "admissionregistration.k8s.io"
CONFIGURATIONS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
TYPES = frozenset((GROUP, kind) for kind in CONFIGURATIONS)
"""Groups and kinds of what registers webhooks."""

_ANY = "*"
_WRITES = {"CREATE", "UPDATE", _ANY}


@dataclass(frozen=True, slots=True)
class Service:
    """A Service, by namespace and name."""

    namespace: str
    name: str

    @property
    def key(self) -> Key:
        """The Service as an object."""
        return Key("", "Service", self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook of a configuration, or the conversion webhook of a definition; served by a Service."""

    owner: Key
    name: str
    service: Service

    def __str__(self) -> str:
        """Return it as it is waited for."""
        return f"webhook {self.name} of {self.owner}"


@dataclass(frozen=True)
class Target:
    """What is written, as webhooks' rules and selectors see it.

    ``namespace_labels`` are None for an object that is in no namespace; a Namespace is in itself.
    """

    group: str
    plural: str
    namespaced: bool
    labels: Mapping[str, str]
    namespace_labels: Mapping[str, str] | None


def of_configuration(body: Mapping[str, Any]) -> Iterator[tuple[Webhook, Mapping[str, Any]]]:
    """Yield the webhooks of a configuration that refuse while they are not served, each with its definition.

    Those that are reached by URL are outside the cluster, and nobody's to wait for.
    """
    key = Key(GROUP, body["kind"], "", body["metadata"]["name"])
    for webhook in body.get("webhooks") or ():
        service = (webhook.get("clientConfig") or {}).get("service")
        if service and (webhook.get("failurePolicy") or "Fail") == "Fail":
            yield Webhook(key, webhook["name"], Service(service["namespace"], service["name"])), webhook


def of_definition(body: Mapping[str, Any], version: str) -> Webhook | None:
    """Return the conversion webhook that is called when the version is written; None if none is."""
    spec = body["spec"]
    conversion = spec.get("conversion") or {}
    client = (conversion.get("webhook") or {}).get("clientConfig") or {}
    if conversion.get("strategy") != "Webhook" or not client.get("service"):
        return None
    if any(found["name"] == version and found.get("storage") for found in spec["versions"]):
        return None
    key = Key(*DEFINITION, "", body["metadata"]["name"])
    service = client["service"]
    return Webhook(key, "conversion", Service(service["namespace"], service["name"]))


def bundles(body: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Return, for each webhook of a live configuration or definition, what serving it depends on.

    The first element is its CA bundle; the others are what takes effect only a moment after a change.
    """
    if body["kind"] in CONFIGURATIONS:
        return {
            webhook["name"]: (
                webhook["clientConfig"].get("caBundle"),
                webhook.get("rules"),
                webhook.get("namespaceSelector"),
                webhook.get("objectSelector"),
            )
            for webhook in body.get("webhooks") or ()
        }
    conversion = body["spec"].get("conversion") or {}
    client = (conversion.get("webhook") or {}).get("clientConfig") or {}
    return {"conversion": (client.get("caBundle"),)} if client else {}


def matches(webhook: Mapping[str, Any], target: Target) -> bool:
    """Tell whether the API server calls the webhook when the target is written.

    Conditions in CEL are not looked at: to wait for a webhook that is not called costs time, not to wait for
    one that is costs a failed write. Nor are versions, which ``matchPolicy: Equivalent`` converts.
    """
    if target.group == GROUP:
        return False  # the API server calls no webhook for webhook configurations
    if not any(_rule_matches(rule, target) for rule in webhook.get("rules") or ()):
        return False
    if target.namespace_labels is not None and not selects(
        webhook.get("namespaceSelector"), target.namespace_labels
    ):
        return False
    return selects(webhook.get("objectSelector"), target.labels)


def _rule_matches(rule: Mapping[str, Any], target: Target) -> bool:
    scope = rule.get("scope") or _ANY
    return (
        not _WRITES.isdisjoint(rule.get("operations") or ())
        and _has(rule.get("apiGroups"), target.group)
        and not {_ANY, "*/*", f"{target.plural}/*", target.plural}.isdisjoint(rule.get("resources") or ())
        and (scope == _ANY or (scope == "Namespaced") == target.namespaced)
    )


def _has(values: Iterable[str] | None, value: str) -> bool:
    return not {_ANY, value}.isdisjoint(values or ())


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector selects the labels; one that is empty selects all."""
    if not selector:
        return True
    if any(labels.get(name) != value for name, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression(found, labels) for found in selector.get("matchExpressions") or ())


def _expression(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    name, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return name in labels and labels[name] in values
        case "NotIn":
            return name not in labels or labels[name] not in values
        case "Exists":
            return name in labels
        case _:
            return name not in labels
