"""What happened in a cluster, and in which order; and objects of the sample base to put there."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tideflow.clients.kubernetes import Kubernetes

_SAMPLE = Path(__file__).parents[2] / "vendored" / "sample"
_PATIENCE = 60  # seconds; only how soon a test that fails says so


def now(cluster: Kubernetes) -> str:
    """Return the resourceVersion that the cluster is at."""
    return str(cluster.get("/api/v1/namespaces")["metadata"]["resourceVersion"])


def moment(
    cluster: Kubernetes,
    path: str,
    accept: Callable[[dict[str, Any]], object] = bool,
    *,
    since: str = "",
    labels: str = "",
) -> int:
    """Return the resourceVersion at which an object was first acceptable since another; wait until it is.

    Without ``since``, what is there now is looked at first, and its last change is the moment. Of two moments
    the smaller one was earlier: resourceVersions count all writes of a cluster. With ``labels`` the path is a
    collection's, and any object of it with these labels will do.
    """
    collection, _, name = (path, "", "") if labels else path.rpartition("/")
    query = {"labelSelector": labels} if labels else {"fieldSelector": f"metadata.name={name}"}
    watch = cluster.watch(collection, resource_version=since, timeout_seconds=_PATIENCE, query=query)
    live: dict[str, Any] = {}
    try:
        for event in watch:
            live = event["object"]
            if event["type"] in {"ADDED", "MODIFIED"} and accept(live):
                return int(live["metadata"]["resourceVersion"])
    finally:
        watch.close()
    raise AssertionError(f"{path} is {live}")


def available(live: dict[str, Any]) -> bool:
    """Tell whether a Deployment has a pod that is ready."""
    return bool((live.get("status") or {}).get("availableReplicas"))


def ready(live: dict[str, Any]) -> bool:
    """Tell whether an object says of itself that it is ready."""
    conditions = (live.get("status") or {}).get("conditions") or ()
    return any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)


def exists(cluster: Kubernetes, path: str) -> bool:
    """Tell whether there is an object at the path."""
    try:
        cluster.get(path)
    except KubernetesError as error:
        if error.status == 404:
            return False
        raise
    return True


def refusal(cluster: Kubernetes, collection: str, body: dict[str, Any]) -> str:
    """Return why the cluster would not have an object; nothing if it would. It is not made."""
    try:
        cluster.post(collection, body, query={"dryRun": "All"})
    except KubernetesError as error:
        return str(error)
    return ""


def from_sample(folder: str, *names: str) -> list[dict[str, Any]]:
    """Return objects of the sample base."""
    return [yaml.safe_load((_SAMPLE / folder / f"{name}.yaml").read_text()) for name in names]


def definitions(*names: str) -> list[dict[str, Any]]:
    """Return the sample's CustomResourceDefinitions of these names."""
    return from_sample(
        "apiextensions.k8s.io_v1--CustomResourceDefinition", *(f"default--{name}" for name in names)
    )


def issuer(name: str, kind: str = "Issuer", **spec: Any) -> dict[str, Any]:
    """Return an issuer of certificates."""
    metadata = {"name": name} | ({"namespace": "certificates"} if kind == "Issuer" else {})
    return {"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def certificate(name: str, by: str, kind: str = "Issuer", **spec: Any) -> dict[str, Any]:
    """Return a Certificate whose Secret has its name."""
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": name, "namespace": "certificates"},
        "spec": {"secretName": name, "issuerRef": {"name": by, "kind": kind}, **spec},
    }


def secret(cluster: Kubernetes, name: str, space: str = "certificates") -> dict[str, bytes]:
    """Return what a Secret holds, once it is there."""
    path = f"/api/v1/namespaces/{space}/secrets/{name}"
    moment(cluster, path)
    return {key: base64.b64decode(value) for key, value in cluster.get(path)["data"].items()}
