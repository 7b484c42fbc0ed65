"""1-click applications: the objects that DigitalOcean's installer leaves, Helm's release included."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import json
from typing import TYPE_CHECKING, Any

from tideflow.errors import RehearsalError
from tideflow.rehearsal.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tideflow.clients.kubernetes import Kubernetes

_MANAGER = "Helm"
_NGINX = "ingress-nginx"
_METRICS = "metrics-server"
# The chart and the version of the application that each slug stands for.
_CHARTS = {_NGINX: ("4.13.3", "1.13.3"), _METRICS: ("3.13.0", "0.8.0")}


def install(cluster: Kubernetes, slug: str) -> None:
    """Write the objects of a 1-click; raises ``RehearsalError`` for one that nobody stands in for."""
    if slug not in _CHARTS:
        raise RehearsalError(f"the rehearsal has no 1-click {slug}", hint="it has " + ", ".join(_CHARTS))
    objects = dict(_nginx() if slug == _NGINX else _metrics())
    if slug == _NGINX:
        objects |= dict(_nginx_webhook(cluster))
    namespace = f"/api/v1/namespaces/{slug}"
    cluster.apply(namespace, _object("v1", "Namespace", slug), field_manager=_MANAGER)
    for path, body in objects.items():
        cluster.apply(path, body, field_manager=_MANAGER)
    # Helm writes the release before the objects, as pending; that it is deployed it says at the end.
    cluster.apply(f"{namespace}/secrets/sh.helm.release.v1.{slug}.v1", _release(slug), field_manager=_MANAGER)


def roll_back(cluster: Kubernetes, slug: str) -> None:
    """Leave what an installation leaves that did not get ready in time: the namespace, and nothing in it."""
    cluster.apply(f"/api/v1/namespaces/{slug}", _object("v1", "Namespace", slug), field_manager=_MANAGER)


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
    rbac = "rbac.authorization.k8s.io"
    yield f"{core}/serviceaccounts/{_NGINX}", _object("v1", "ServiceAccount", _NGINX, _NGINX)
    watched = ["get", "list", "watch"]
    core_kinds = ["configmaps", "endpoints", "nodes", "pods", "secrets", "services"]
    rules = [
        {"apiGroups": [""], "resources": core_kinds, "verbs": watched},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "ingressclasses"], "verbs": watched},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses/status"], "verbs": ["update"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": watched},
    ]
    yield f"/apis/{rbac}/v1/clusterroles/{_NGINX}", _object(f"{rbac}/v1", "ClusterRole", _NGINX, rules=rules)
    yield (
        f"/apis/{rbac}/v1/clusterrolebindings/{_NGINX}",
        _object(
            f"{rbac}/v1",
            "ClusterRoleBinding",
            _NGINX,
            roleRef={"apiGroup": rbac, "kind": "ClusterRole", "name": _NGINX},
            subjects=[{"kind": "ServiceAccount", "name": _NGINX, "namespace": _NGINX}],
        ),
    )
    yield f"{core}/configmaps/{name}", _object("v1", "ConfigMap", name, _NGINX, data={})
    yield (
        "/apis/networking.k8s.io/v1/ingressclasses/nginx",
        _object("networking.k8s.io/v1", "IngressClass", "nginx", spec={"controller": "k8s.io/ingress-nginx"}),
    )
    image = f"registry.k8s.io/ingress-nginx/controller:v{_CHARTS[_NGINX][1]}"
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
    """Yield metrics-server's own pods; its aggregated API, which nobody here would answer, is left out."""
    image = f"registry.k8s.io/metrics-server/metrics-server:v{_CHARTS[_METRICS][1]}"
    yield (
        f"/apis/apps/v1/namespaces/{_METRICS}/deployments/{_METRICS}",
        _labelled(
            _deployment(_METRICS, _METRICS, image, cpu="100m", memory="200Mi", replicas=1),
            _METRICS,
            "metrics",
        ),
    )


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
    spec: dict[str, Any] = {"containers": [container]}
    if slug == _NGINX:
        spec["serviceAccountName"] = _NGINX
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


def _release(slug: str) -> dict[str, Any]:
    """Return Helm's record of the release, in its encoding: JSON, gzip, base64, and base64 as a Secret."""
    chart, application = _CHARTS[slug]
    now = dt.datetime.now(dt.UTC).isoformat()
    release = {
        "name": slug,
        "namespace": slug,
        "version": 1,
        "info": {
            "status": "deployed",
            "description": "Install complete",
            "first_deployed": now,
            "last_deployed": now,
        },
        "chart": {
            "metadata": {"name": slug, "version": chart, "appVersion": application, "apiVersion": "v2"}
        },
        "config": {},
        "manifest": "",
    }
    payload = base64.b64encode(gzip.compress(json.dumps(release).encode()))
    body = _object(
        "v1",
        "Secret",
        f"sh.helm.release.v1.{slug}.v1",
        slug,
        type="helm.sh/release.v1",
        data={"release": base64.b64encode(payload).decode()},
    )
    body["metadata"]["labels"] = {"name": slug, "owner": "helm", "status": "deployed", "version": "1"}
    return body
