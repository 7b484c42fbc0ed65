"""The charts of 1-click applications: the objects that each makes, as far as others have to do with them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tideflow.rehearsal.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tideflow.clients.kubernetes import Kubernetes

_NGINX = "ingress-nginx"
_METRICS = "metrics-server"
_RBAC = "rbac.authorization.k8s.io"
_REGISTRATION = "apiregistration.k8s.io"
_API = "metrics.k8s.io"


@dataclass(frozen=True)
class Chart:
    """A chart's version, and that of the application in it."""

    version: str
    application: str


OWNER = "meta.helm.sh/release-name"
"""The annotation by which Helm knows what is its own."""

CHARTS = {_NGINX: Chart("4.13.3", "1.13.3"), _METRICS: Chart("3.13.0", "0.8.0")}
"""The chart that each slug stands for; release and namespace have the slug's name."""


def objects(slug: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and object of all that the chart's manifest has."""
    for path, body in _nginx() if slug == _NGINX else _metrics():
        body["metadata"]["annotations"] = {OWNER: slug, "meta.helm.sh/release-namespace": slug}
        yield path, body


def made_by_hooks(slug: str, cluster: Kubernetes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and object of what jobs of the chart make beside its manifest."""
    if slug == _NGINX:
        yield from _nginx_webhook(cluster)


def _object(api_version: str, kind: str, name: str, namespace: str = "", **fields: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def _labelled(body: dict[str, Any], slug: str, component: str) -> dict[str, Any]:
    body["metadata"]["labels"] = _labels(slug, component) | {"app.kubernetes.io/managed-by": "Helm"}
    return body


def _labels(slug: str, component: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/instance": slug,
        "app.kubernetes.io/name": slug,
    }


def _nginx() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and object: two controllers behind a load balancer, and the class of their Ingresses."""
    core, name = f"/api/v1/namespaces/{_NGINX}", "ingress-nginx-controller"
    yield f"{core}/serviceaccounts/{_NGINX}", _object("v1", "ServiceAccount", _NGINX, _NGINX)
    watched = ["get", "list", "watch"]
    core_kinds = ["configmaps", "endpoints", "nodes", "pods", "secrets", "services"]
    yield _role(
        _NGINX,
        {"apiGroups": [""], "resources": core_kinds, "verbs": watched},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "ingressclasses"], "verbs": watched},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses/status"], "verbs": ["update"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": watched},
    )
    yield _binding(_NGINX, _NGINX, role=_NGINX)
    yield f"{core}/configmaps/{name}", _object("v1", "ConfigMap", name, _NGINX, data={})
    yield (
        "/apis/networking.k8s.io/v1/ingressclasses/nginx",
        _object("networking.k8s.io/v1", "IngressClass", "nginx", spec={"controller": "k8s.io/ingress-nginx"}),
    )
    image = f"registry.k8s.io/ingress-nginx/controller:v{CHARTS[_NGINX].application}"
    yield (
        f"/apis/apps/v1/namespaces/{_NGINX}/deployments/{name}",
        _labelled(
            _deployment(_NGINX, name, image, cpu="100m", memory="90Mi", replicas=2), _NGINX, "controller"
        ),
    )
    ports = [
        {"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http", "appProtocol": "http"},
        {"name": "https", "port": 443, "protocol": "TCP", "targetPort": "https", "appProtocol": "https"},
    ]
    spec = {"type": "LoadBalancer", "selector": _labels(_NGINX, "controller"), "ports": ports}
    yield (
        f"{core}/services/{name}",
        _labelled(_object("v1", "Service", name, _NGINX, spec=spec), _NGINX, "controller"),
    )


def _nginx_webhook(cluster: Kubernetes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield nginx's admission webhook, with the CA that a job of the chart makes."""
    name, core = "ingress-nginx-admission", f"/api/v1/namespaces/{_NGINX}"
    service = "ingress-nginx-controller-admission"
    spec = {
        "selector": _labels(_NGINX, "controller"),
        "ports": [{"name": "https-webhook", "port": 443, "targetPort": "webhook"}],
    }
    yield f"{core}/services/{service}", _object("v1", "Service", service, _NGINX, spec=spec)
    kept = [found for found in cluster.get(f"{core}/secrets")["items"] if found["metadata"]["name"] == name]
    if kept:
        data = kept[0]["data"]
    else:
        authority = Authority.new(name)
        certificate, key = authority.issue(service, dns_names=[f"{service}.{_NGINX}.svc"])
        pems = {"ca": authority.certificate, "cert": certificate, "key": key}
        data = {field: base64.b64encode(pem.encode()).decode() for field, pem in pems.items()}
        yield f"{core}/secrets/{name}", _object("v1", "Secret", name, _NGINX, data=data)
    webhook = {
        "name": "validate.nginx.ingress.kubernetes.io",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {
            "caBundle": data["ca"],
            "service": {"name": service, "namespace": _NGINX, "path": "/networking/v1/ingresses"},
        },
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "rules": [
            {
                "apiGroups": ["networking.k8s.io"],
                "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"],
                "resources": ["ingresses"],
            }
        ],
        "sideEffects": "None",
    }
    group = "admissionregistration.k8s.io"
    yield (
        f"/apis/{group}/v1/validatingwebhookconfigurations/{name}",
        _object(f"{group}/v1", "ValidatingWebhookConfiguration", name, webhooks=[webhook]),
    )


def _metrics() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and object: the server, what it may read, and the API that it adds to the cluster's."""
    core = f"/api/v1/namespaces/{_METRICS}"
    yield f"{core}/serviceaccounts/{_METRICS}", _object("v1", "ServiceAccount", _METRICS, _METRICS)
    watched = ["get", "list", "watch"]
    path, reader = _role(
        "system:metrics-server-aggregated-reader",
        {"apiGroups": [_API], "resources": ["pods", "nodes"], "verbs": watched},
    )
    aggregated = ("admin", "edit", "view")
    reader["metadata"]["labels"] = {f"{_RBAC}/aggregate-to-{role}": "true" for role in aggregated}
    yield path, reader
    yield _role(
        "system:metrics-server",
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["configmaps", "namespaces", "nodes", "pods"], "verbs": watched},
    )
    yield _binding("system:metrics-server", _METRICS, role="system:metrics-server")
    yield _binding("metrics-server:system:auth-delegator", _METRICS, role="system:auth-delegator")
    name = "metrics-server-auth-reader"
    yield (
        f"/apis/{_RBAC}/v1/namespaces/kube-system/rolebindings/{name}",
        _object(
            f"{_RBAC}/v1",
            "RoleBinding",
            name,
            "kube-system",
            roleRef={"apiGroup": _RBAC, "kind": "Role", "name": "extension-apiserver-authentication-reader"},
            subjects=[{"kind": "ServiceAccount", "name": _METRICS, "namespace": _METRICS}],
        ),
    )
    image = f"registry.k8s.io/metrics-server/metrics-server:v{CHARTS[_METRICS].application}"
    yield (
        f"/apis/apps/v1/namespaces/{_METRICS}/deployments/{_METRICS}",
        _labelled(
            _deployment(_METRICS, _METRICS, image, cpu="100m", memory="200Mi", replicas=1),
            _METRICS,
            "metrics",
        ),
    )
    spec: dict[str, Any] = {
        "selector": _labels(_METRICS, "metrics"),
        "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": "https"}],
    }
    yield (
        f"{core}/services/{_METRICS}",
        _labelled(_object("v1", "Service", _METRICS, _METRICS, spec=spec), _METRICS, "metrics"),
    )
    spec = {
        "group": _API,
        "version": "v1beta1",
        "service": {"name": _METRICS, "namespace": _METRICS, "port": 443},
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
    }
    yield (
        f"/apis/{_REGISTRATION}/v1/apiservices/v1beta1.{_API}",
        _object(f"{_REGISTRATION}/v1", "APIService", f"v1beta1.{_API}", spec=spec),
    )


def _role(name: str, *rules: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    body = _object(f"{_RBAC}/v1", "ClusterRole", name, rules=list(rules))
    return f"/apis/{_RBAC}/v1/clusterroles/{name}", body


def _binding(name: str, account: str, *, role: str) -> tuple[str, dict[str, Any]]:
    """Return the binding of a role to an account that is named as its namespace is."""
    body = _object(
        f"{_RBAC}/v1",
        "ClusterRoleBinding",
        name,
        roleRef={"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        subjects=[{"kind": "ServiceAccount", "name": account, "namespace": account}],
    )
    return f"/apis/{_RBAC}/v1/clusterrolebindings/{name}", body


def _deployment(slug: str, name: str, image: str, *, cpu: str, memory: str, replicas: int) -> dict[str, Any]:
    labels = _labels(slug, "controller" if slug == _NGINX else "metrics")
    container: dict[str, Any] = {
        "name": "controller",
        "image": image,
        "resources": {"requests": {"cpu": cpu, "memory": memory}},
    }
    if slug == _NGINX:
        container["ports"] = [
            {"name": "http", "containerPort": 80},
            {"name": "https", "containerPort": 443},
            {"name": "webhook", "containerPort": 8443},
        ]
    else:
        container["ports"] = [{"name": "https", "containerPort": 10250}]
    spec: dict[str, Any] = {"containers": [container], "serviceAccountName": slug}
    return _object(
        "apps/v1",
        "Deployment",
        name,
        slug,
        spec={
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    )
