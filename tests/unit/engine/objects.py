"""Small objects for tests of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tideflow.engine.manifests import load

if TYPE_CHECKING:
    from tideflow.engine.manifests import Key, Manifest


def namespace(name: str, **labels: str) -> dict[str, Any]:
    """Return a Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def config_map(name: str, space: str = "a", **data: str) -> dict[str, Any]:
    """Return a ConfigMap."""
    metadata = {"name": name, "namespace": space}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def deployment(name: str, space: str = "a", **pod: Any) -> dict[str, Any]:
    """Return a Deployment whose pods have its name as their label ``app``."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": space},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "example.org/main:1"}], **pod},
            },
        },
    }


def service(name: str, space: str = "a", app: str | None = None) -> dict[str, Any]:
    """Return a Service before the pods of a Deployment."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": space},
        "spec": {"selector": {"app": app or name}, "ports": [{"port": 443}]},
    }


def definition(kind: str, group: str = "example.org") -> dict[str, Any]:
    """Return a CustomResourceDefinition of a namespaced type with one version, v1."""
    plural = kind.lower() + "s"
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [version],
        },
    }


def custom(kind: str, name: str, space: str = "a", group: str = "example.org") -> dict[str, Any]:
    """Return a custom resource."""
    return {
        "apiVersion": f"{group}/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": space},
        "spec": {},
    }


def webhook(
    name: str, to: str, *, resources: list[str], groups: list[str], space: str = "a"
) -> dict[str, Any]:
    """Return a configuration with one webhook that refuses while its Service ``to`` is not served."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": f"{name}.example.org",
                "clientConfig": {"service": {"name": to, "namespace": space}},
                "rules": [
                    {
                        "apiGroups": groups,
                        "apiVersions": ["*"],
                        "operations": ["CREATE"],
                        "resources": resources,
                    }
                ],
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }


def manifests(*objects: dict[str, Any]) -> list[Manifest]:
    """Return them loaded."""
    return load(objects)


def key(body: dict[str, Any]) -> Key:
    """Return the key of an object."""
    return load([body])[0].key
