"""Admission webhooks on a real control plane: enforced as in a cluster, and Istio's injector among them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.engine_runs import apply
from tests.integration.happening import certificate, from_sample, issuer, refusal, secret
from tests.integration.planes import eventually
from tests.unit.engine.objects import config_map, deployment, namespace, service, webhook

from tideflow.errors import KubernetesError
from tideflow.rehearsal.certificates import Authority

if TYPE_CHECKING:
    from tideflow.clients.kubernetes import Kubernetes

CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/guarded"
ISTIOS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/istio-sidecar-injector"
CONFIG_MAPS = "/api/v1/namespaces/guarded/configmaps"
DEPLOYMENT = "/apis/apps/v1/namespaces/guarded/deployments/guard"
MERGE = "application/merge-patch+json"
PODS = "/api/v1/namespaces/{}/pods"
REQUESTS = {"cpu": "7m", "memory": "77Mi"}
NO_ENDPOINTS = (
    'failed calling webhook "guarded.example.org": failed to call webhook: '
    'Post "https://guard.guarded.svc:443/?timeout=10s": no endpoints available for service "guard"'
)
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture(scope="module")
def guarded(client: Kubernetes, cert_manager: str) -> dict[str, Any]:
    """Return a ConfigMap that a webhook is called for, whose Service has no pods yet."""
    assert cert_manager
    hook = webhook("guarded", "guard", resources=["configmaps"], groups=[""], space="guarded")
    hook["webhooks"][0]["objectSelector"] = {"matchLabels": {"guarded": "yes"}}
    apply(
        client,
        [
            namespace("guarded"),
            issuer("self", selfSigned={}),
            certificate("guard", "self", dnsNames=["guard.guarded.svc"]),
            service("guard", "guarded"),
            hook,
        ],
        set_name="guarded",
    )
    trust(client, secret(client, "guard")["ca.crt"])
    body = config_map("wanted", "guarded")
    body["metadata"]["labels"] = {"guarded": "yes"}
    return body


def trust(client: Kubernetes, authority: bytes) -> None:
    """Have the webhook's certificate checked with this CA."""
    bundle = base64.b64encode(authority).decode()
    patch = {"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}
    client.patch(CONFIGURATION, [patch], content_type="application/json-patch+json")


def refused(client: Kubernetes, body: dict[str, Any], why: str) -> None:
    """Wait until an object is refused for a reason."""
    eventually(lambda: refusal(client, CONFIG_MAPS, body), lambda found: why in found)


def admitted(client: Kubernetes, body: dict[str, Any]) -> None:
    """Wait until an object would be admitted."""
    eventually(lambda: refusal(client, CONFIG_MAPS, body), lambda found: not found)


def test_a_webhook_is_reached_only_while_its_pods_are_ready(
    client: Kubernetes, guarded: dict[str, Any]
) -> None:
    """Refused without pods in the words that users see, admitted with them, refused when they are gone."""
    refused(client, guarded, NO_ENDPOINTS)
    with pytest.raises(KubernetesError, match="no endpoints available"):
        client.post(CONFIG_MAPS, guarded)
    apply(client, [deployment("guard", "guarded")], set_name="guard")
    admitted(client, guarded)
    client.post(CONFIG_MAPS, guarded)
    client.patch(DEPLOYMENT, {"spec": {"replicas": 0}})
    again = {**guarded, "metadata": {**guarded["metadata"], "name": "again"}}
    refused(client, again, NO_ENDPOINTS)


def test_a_wrong_ca_bundle_is_refused(client: Kubernetes, guarded: dict[str, Any]) -> None:
    """With x509, until somebody fills in the right one."""
    body = {**guarded, "metadata": {**guarded["metadata"], "name": "trusted"}}
    apply(client, [deployment("guard", "guarded")], set_name="guard")
    admitted(client, body)
    trust(client, Authority.new("somebody else").certificate.encode())
    refused(client, body, "x509: certificate signed by unknown authority")
    trust(client, secret(client, "guard")["ca.crt"])
    admitted(client, body)


def test_a_webhook_is_not_reached_through_a_policy_that_lets_nobody_in(
    client: Kubernetes, guarded: dict[str, Any]
) -> None:
    """The API server waits in vain, in the words that users see, until a policy admits its port to all."""
    path = "/apis/networking.k8s.io/v1/namespaces/guarded/networkpolicies/guard"
    hook = client.get(CONFIGURATION)["webhooks"][0]
    client.patch(CONFIGURATION, {"webhooks": [hook | {"timeoutSeconds": 1}]}, content_type=MERGE)
    body = {**guarded, "metadata": {**guarded["metadata"], "name": "kept-out"}}
    apply(client, [deployment("guard", "guarded")], set_name="guard")
    admitted(client, body)
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "guard", "namespace": "guarded"},
        "spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]},
    }
    client.apply(path, policy, field_manager="tests")
    refused(client, body, "context deadline exceeded")
    (port,) = client.get("/api/v1/namespaces/guarded/services/guard")["spec"]["ports"]
    opened = {"ingress": [{"ports": [{"port": port["targetPort"]}]}]}
    client.patch(path, {"spec": opened})
    admitted(client, body)
    client.delete(path)
    client.patch(CONFIGURATION, {"webhooks": [hook]}, content_type=MERGE)


def pod(**spec: Any) -> dict[str, Any]:
    """Return a pod that complies with the strictest PodSecurity level, unless ``spec`` says otherwise."""
    container = {"name": "main", "image": "example.org/main:1", "securityContext": RESTRICTED}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "main", "labels": {"app": "site"}},
        "spec": {"containers": [container], **spec},
    }


def made(client: Kubernetes, body: dict[str, Any], space: str = "mesh") -> dict[str, Any]:
    """Return a pod as it would be made."""
    found: dict[str, Any] = client.post(PODS.format(space), body, query={"dryRun": "All"})
    return found


def names(found: dict[str, Any]) -> list[str]:
    """Return the names of a pod's containers, those that begin first in front."""
    spec = found["spec"]
    return [each["name"] for each in [*spec.get("initContainers", ()), *spec["containers"]]]


@pytest.fixture(scope="module")
def injector(client: Kubernetes) -> None:
    """Run istiod, with the sample's configuration and a release's settings of sidecars."""
    values = {"global": {"hub": "example.org/istio", "proxy": {"resources": {"requests": REQUESTS}}}}
    settings = config_map("istio-sidecar-injector", "istio-system", values=json.dumps(values))
    settings["metadata"]["labels"] = {"app.kubernetes.io/version": "1.29.1"}
    strict = {"pod-security.kubernetes.io/enforce": "restricted"}
    apply(
        client,
        [
            namespace("istio-system"),
            namespace("mesh", **{"istio-injection": "enabled"}, **strict),
            namespace("open-mesh", **{"istio-injection": "enabled"}),
            settings,
            *from_sample(
                "admissionregistration.k8s.io_v1--MutatingWebhookConfiguration",
                "default--istio-sidecar-injector",
            ),
            service("istiod", "istio-system"),
            deployment("istiod", "istio-system"),
        ],
        set_name="istio",
    )
    eventually(lambda: refusal(client, PODS.format("mesh"), pod()), lambda why: not why)
    eventually(lambda: "istio-proxy" in names(made(client, pod())))


@pytest.mark.usefixtures("injector")
def test_a_sidecar_is_added_as_the_release_has_it(client: Kubernetes) -> None:
    """A native one, before all else, with the release's requests and Istio's labels; the rest stays."""
    found = made(client, pod())
    assert names(found) == ["istio-validation", "istio-proxy", "main"]
    _, proxy = found["spec"]["initContainers"]
    assert proxy["restartPolicy"] == "Always"
    assert proxy["resources"] == {"requests": REQUESTS}
    assert proxy["image"] == "example.org/istio/proxyv2:1.29.1"
    assert found["metadata"]["labels"] == {
        "app": "site",
        "security.istio.io/tlsMode": "istio",
        "service.istio.io/canonical-name": "site",
        "service.istio.io/canonical-revision": "latest",
    }
    assert "sidecar.istio.io/status" in found["metadata"]["annotations"]


@pytest.mark.usefixtures("injector")
def test_istiod_fills_in_its_own_bundle(client: Kubernetes) -> None:
    """Into each of its webhooks; without it none of these tests would see a sidecar."""
    live = client.get(ISTIOS)
    assert all(found["clientConfig"].get("caBundle") for found in live["webhooks"])
    assert "pilot-discovery" in {entry["manager"] for entry in live["metadata"]["managedFields"]}


@pytest.mark.usefixtures("injector")
@pytest.mark.parametrize(
    ("labels", "annotations", "spec"),
    [
        ({"sidecar.istio.io/inject": "false"}, {}, {}),
        ({}, {"sidecar.istio.io/inject": "false"}, {}),
        ({}, {}, {"hostNetwork": True}),
        ({}, {}, {"containers": [{"name": "istio-proxy", "image": "auto"}]}),
    ],
)
def test_no_sidecar_where_none_is_wanted(
    client: Kubernetes, labels: dict[str, str], annotations: dict[str, str], spec: dict[str, Any]
) -> None:
    """Nor in the host's network, nor beside a proxy that is there already: a gateway is one itself."""
    body = pod(**spec)
    body["metadata"] |= {"labels": labels, "annotations": annotations}
    found = made(client, body, "open-mesh")
    assert names(found) == names(body)
    assert "sidecar.istio.io/status" not in found["metadata"].get("annotations", {})


@pytest.mark.usefixtures("injector")
def test_the_sidecar_complies_with_the_strictest_level(client: Kubernetes) -> None:
    """A namespace that enforces it refuses other containers, and runs pods with the sidecar."""
    careless = pod(containers=[{"name": "main", "image": "example.org/main:1"}])
    why = refusal(client, PODS.format("mesh"), careless)
    assert 'violates PodSecurity "restricted' in why
    assert "istio-proxy" not in why
    work = deployment("site", "mesh", containers=pod()["spec"]["containers"])
    apply(client, [work], set_name="site")
    (found,) = client.get(PODS.format("mesh"), query={"labelSelector": "app=site"})["items"]
    states = found["status"]["initContainerStatuses"]
    assert [(each["name"], list(each["state"])) for each in states] == [
        ("istio-validation", ["terminated"]),
        ("istio-proxy", ["running"]),
    ]
