"""CA bundles on a real control plane: filled in by whoever does it in reality, and once they run."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.engine_runs import apply
from tests.integration.happening import available, certificate, issuer, moment, now, refusal, secret
from tests.integration.planes import eventually
from tests.unit.engine.objects import custom, definition, deployment, namespace, service, webhook

if TYPE_CHECKING:
    from tideflow.clients.kubernetes import Kubernetes

CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CAINJECTOR = "/apis/apps/v1/namespaces/cert-manager/deployments/cert-manager-cainjector"


def configuration(name: str, to: str = "guard", space: str = "bundles", **annotations: str) -> dict[str, Any]:
    """Return a configuration about a type that nobody has."""
    body = webhook(name, to, resources=["nothing"], groups=["bundles.example.org"], space=space)
    body["metadata"]["annotations"] = annotations
    return body


def bundle(live: dict[str, Any]) -> str:
    """Return the CA bundle of a configuration's first webhook."""
    return str(live["webhooks"][0]["clientConfig"].get("caBundle", ""))


def managers(live: dict[str, Any]) -> set[str]:
    """Return who has written to an object."""
    return {entry["manager"] for entry in live["metadata"]["managedFields"]}


@pytest.fixture(scope="module")
def before(client: Kubernetes, cert_manager: str) -> str:
    """Run cainjector over configurations that wait for it alone; return the version before."""
    apply(
        client,
        [
            namespace("bundles"),
            configuration("from-certificate", **{"cert-manager.io/inject-ca-from": "certificates/early"}),
            configuration(
                "from-secret",
                **{"cert-manager.io/inject-ca-from-secret": "cert-manager/cert-manager-webhook-ca"},
            ),
            configuration("from-nobody"),
        ],
        set_name="configurations",
    )
    assert secret(client, "early")
    assert secret(client, "cert-manager-webhook-ca", "cert-manager")
    since = now(client)
    assert int(since) > int(cert_manager)
    apply(client, [deployment("cert-manager-cainjector", "cert-manager")], set_name="cainjector")
    return since


@pytest.mark.parametrize(
    ("name", "source", "space"),
    [
        ("from-certificate", "early", "certificates"),
        ("from-secret", "cert-manager-webhook-ca", "cert-manager"),
    ],
)
def test_cainjector_fills_in_what_is_asked_for(
    client: Kubernetes, before: str, name: str, source: str, space: str
) -> None:
    """The CA of the Certificate or Secret in the annotation, under cainjector's name, once it runs."""
    runs = moment(client, CAINJECTOR, available, since=before)
    assert moment(client, f"{CONFIGURATIONS}/{name}", bundle, since=before) > runs
    live = client.get(f"{CONFIGURATIONS}/{name}")
    assert base64.b64decode(bundle(live)) == secret(client, source, space)["ca.crt"]
    assert "cert-manager-cainjector" in managers(live)
    assert not bundle(client.get(f"{CONFIGURATIONS}/from-nobody"))


@pytest.mark.parametrize(
    ("space", "name", "manager", "own_rules"),
    [
        ("kubeflow-system", "jobset-webhook-service", "manager", False),
        ("knative-serving", "webhook", "webhook", True),
        ("kubeflow", "training-operator", "training-operator", False),
    ],
)
def test_controllers_fill_in_their_own(
    client: Kubernetes, space: str, name: str, manager: str, *, own_rules: bool
) -> None:
    """Once their pods are ready, under their names; Knative's registers its rules as well."""
    configured = configuration(f"of-{name}", name, space)
    (hook,) = configured["webhooks"]
    if own_rules:
        hook["name"] = "config.webhook.serving.knative.dev"
        hook["objectSelector"] = {"matchLabels": {"nobody": "has-this"}}
        del hook["rules"]
    since = now(client)
    apply(client, [namespace(space), service(name, space), configured], set_name=f"of-{name}", wait=False)
    apply(client, [deployment(name, space)], set_name=name)
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{space}/endpointslices"

    def served(live: dict[str, Any]) -> bool:
        return any(endpoint["conditions"]["ready"] for endpoint in live["endpoints"] or ())

    runs = moment(client, slices, served, since=since, labels=f"kubernetes.io/service-name={name}")
    assert moment(client, f"{CONFIGURATIONS}/of-{name}", bundle, since=since) > runs
    live = client.get(f"{CONFIGURATIONS}/of-{name}")
    assert manager in managers(live)
    resources = [rule["resources"] for rule in live["webhooks"][0]["rules"]]
    assert resources == ([["configmaps", "configmaps/status"]] if own_rules else [["nothing"]])


@pytest.mark.usefixtures("before")
def test_a_conversion_is_called_with_the_bundle_of_its_definition(client: Kubernetes) -> None:
    """An object of one version is read as another, by the webhook of a Service of one's own."""
    converted = definition("Widget", "bundles.example.org")
    (first,) = converted["spec"]["versions"]
    converted["spec"]["versions"].append({**first, "name": "v1beta1", "storage": False})
    converted["spec"]["conversion"] = {
        "strategy": "Webhook",
        "webhook": {
            "conversionReviewVersions": ["v1"],
            "clientConfig": {"service": {"name": "guard", "namespace": "bundles"}},
        },
    }
    converted["metadata"]["annotations"] = {"cert-manager.io/inject-ca-from": "certificates/converter"}
    apply(
        client,
        [
            namespace("bundles"),
            issuer("self", selfSigned={}),
            certificate("converter", "self", dnsNames=["guard.bundles.svc"]),
            converted,
            service("guard", "bundles"),
            deployment("guard", "bundles"),
        ],
        set_name="converter",
    )

    def injected(live: dict[str, Any]) -> str:
        return str(live["spec"]["conversion"]["webhook"]["clientConfig"].get("caBundle", ""))

    moment(client, f"{DEFINITIONS}/widgets.bundles.example.org", injected)
    live = client.get(f"{DEFINITIONS}/widgets.bundles.example.org")
    assert base64.b64decode(injected(live)) == secret(client, "converter")["ca.crt"]
    older, newer = (
        f"/apis/bundles.example.org/{version}/namespaces/bundles/widgets" for version in ("v1beta1", "v1")
    )
    widget = custom("Widget", "w", "bundles", "bundles.example.org")
    widget["apiVersion"] = "bundles.example.org/v1beta1"
    eventually(lambda: refusal(client, older, widget), lambda why: not why)
    client.post(older, {**widget, "spec": {"size": 3}})
    read = client.get(f"{newer}/w")
    assert (read["apiVersion"], read["spec"]) == ("bundles.example.org/v1", {"size": 3})
