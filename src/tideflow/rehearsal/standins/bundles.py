"""CA bundles: who fills them in in reality does so here, once its pods run, and under its name.

All webhook configurations ship without one, and until it is there every call fails with x509.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from tideflow.rehearsal.standins.issuing import NAMESPACE
from tideflow.rehearsal.standins.world import Pass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tideflow.rehearsal.certificates import Authority
    from tideflow.rehearsal.standins.world import World

_REGISTRATION = "admissionregistration.k8s.io"
_CONFIGURATIONS = (
    (_REGISTRATION, "MutatingWebhookConfiguration"),
    (_REGISTRATION, "ValidatingWebhookConfiguration"),
)
_DEFINITION = ("apiextensions.k8s.io", "CustomResourceDefinition")
_SECRET = ("", "Secret")
_CERTIFICATE = ("cert-manager.io", "Certificate")
_SLICE = ("discovery.k8s.io", "EndpointSlice")
_FROM_CERTIFICATE = "cert-manager.io/inject-ca-from"
_FROM_SECRET = "cert-manager.io/inject-ca-from-secret"  # noqa: S105 - an annotation

SELF_SERVED = {
    # Each makes a CA of its own when it starts, and patches its own configurations with it.
    ("istio-system", "istiod"): "pilot-discovery",
    ("knative-serving", "webhook"): "webhook",
    ("knative-serving", "net-istio-webhook"): "webhook",
    ("kubeflow", "spark-operator-webhook-svc"): "spark-operator",
    ("kubeflow", "training-operator"): "training-operator",
    ("kubeflow-system", "jobset-webhook-service"): "manager",
    ("kubeflow-system", "kubeflow-trainer-controller-manager"): "manager",
}
"""Services whose controllers fill in the bundle themselves, with the field manager they do it under."""

_OWN_RULES = {
    # Knative registers the rules of these configurations too, which are shipped without any.
    "config.webhook.serving.knative.dev": [("", "v1", "configmaps")],
    "config.webhook.istio.networking.internal.knative.dev": [("", "v1", "configmaps")],
    "webhook.istio.networking.internal.knative.dev": [
        ("networking.internal.knative.dev", "v1alpha1", "ingresses"),
        ("networking.internal.knative.dev", "v1alpha1", "serverlessservices"),
    ],
}


def bundles(authority: Authority) -> Pass:
    """Return the pass; ``authority`` is the CA of all controllers that make one of their own."""

    def work(world: World) -> None:
        for type_ in _CONFIGURATIONS:
            for configuration in world.all(*type_):
                _configuration(world, configuration, type_, authority)
        for definition in world.all(*_DEFINITION):
            _definition(world, definition, authority)

    types = (*_CONFIGURATIONS, _DEFINITION, _SECRET, _CERTIFICATE, _SLICE, ("apps", "Deployment"))
    return Pass("CA bundles", types, work)


def _configuration(
    world: World, configuration: dict[str, Any], type_: tuple[str, str], authority: Authority
) -> None:
    patches: list[dict[str, Any]] = []
    manager = ""
    for index, webhook in enumerate(configuration.get("webhooks") or ()):
        found = _bundle(world, configuration["metadata"], webhook["clientConfig"], authority)
        if found is None:
            continue
        manager, bundle = found
        if webhook["clientConfig"].get("caBundle") != bundle:
            patches.append({"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": bundle})
        rules = list(_rules(webhook))
        if rules:
            patches.append({"op": "add", "path": f"/webhooks/{index}/rules", "value": rules})
    _patch(world, world.path(configuration, *type_), patches, manager)


def _definition(world: World, definition: dict[str, Any], authority: Authority) -> None:
    client = (definition["conversion"].get("webhook") or {}).get("clientConfig")
    found = client and _bundle(world, definition["metadata"], client, authority)
    if client and found and client.get("caBundle") != found[1]:
        path = "/spec/conversion/webhook/clientConfig/caBundle"
        patch = {"op": "add", "path": path, "value": found[1]}
        _patch(world, world.path(definition, *_DEFINITION), [patch], found[0])


def _bundle(
    world: World, metadata: Mapping[str, Any], client: Mapping[str, Any], authority: Authority
) -> tuple[str, str] | None:
    """Return who fills in the bundle, and the bundle; None while nobody does."""
    annotations = metadata.get("annotations") or {}
    source: dict[str, Any] | None = None
    if _FROM_CERTIFICATE in annotations or _FROM_SECRET in annotations:
        if not world.runs(NAMESPACE, "cert-manager-cainjector"):
            return None
        if _FROM_SECRET in annotations:
            namespace, _, name = annotations[_FROM_SECRET].partition("/")
        else:
            namespace, _, name = annotations[_FROM_CERTIFICATE].partition("/")
            certificate = world.get(*_CERTIFICATE, namespace, name)
            name = certificate["spec"]["secretName"] if certificate else ""
        source = world.get(*_SECRET, namespace, name)
        bundle = ((source or {}).get("data") or {}).get("ca.crt")
        return ("cert-manager-cainjector", bundle) if bundle else None
    service = client.get("service") or {}
    place = (service.get("namespace", ""), service.get("name", ""))
    if place in SELF_SERVED and any(world.endpoints(*place)):
        return SELF_SERVED[place], base64.b64encode(authority.certificate.encode()).decode()
    return None


def _rules(webhook: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if webhook.get("rules"):
        return
    for group, version, plural in _OWN_RULES.get(webhook["name"], ()):
        yield {
            "apiGroups": [group],
            "apiVersions": [version],
            "operations": ["CREATE", "UPDATE"],
            "resources": [plural, f"{plural}/status"],
            "scope": "*",
        }


def _patch(world: World, path: str, patches: list[dict[str, Any]], manager: str) -> None:
    if patches:
        world.cluster.patch(
            path,
            patches,
            content_type="application/json-patch+json",
            query={"fieldManager": manager},
        )
