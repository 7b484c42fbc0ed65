"""What tells why objects are not ready, read with few requests whatever is wrong.

One list of warning events and at most one of claims for each namespace, one of storage classes, and a handful
of logs. No Secret, no ConfigMap and no environment is read for it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tideflow.engine import waiting
from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.engine.manifests import Key, Manifest
    from tideflow.engine.waiting import Pods

_MOST_EVENTS = 1000  # read, of one namespace
_MOST_LOGS = 4  # requests; each may wait for a node that does not answer
_LOG_LINES = 3
_LOG_BYTES = 4096
_PATIENCE = 10.0  # seconds for each answer
_LOG_PATIENCE = 5.0
_DEFAULT = "storageclass.kubernetes.io/is-default-class"

Place = tuple[str, str]
"""Namespace and name."""


@dataclass
class Evidence:
    """What was read: warnings by namespace, claims, storage classes by whether they are the default, logs.

    What could not be read, or was not asked for, is empty; ``classes`` is None then.
    """

    events: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    claims: dict[Place, Mapping[str, Any]] = field(default_factory=dict)
    classes: dict[str, bool] | None = None
    logs: dict[Place, list[str]] = field(default_factory=dict)


def collect(cluster: Kubernetes, manifests: Collection[Manifest], pods: Pods) -> Evidence:
    """Read what tells why these objects are not ready, as far as the server answers."""
    concerned = {manifest.key: unready(pods, manifest) for manifest in manifests}
    claimed = {place[0] for key, found in concerned.items() for place in claims_of(key, found)}
    evidence = Evidence()
    with contextlib.suppress(KubernetesError):
        for namespace in sorted({key.namespace for key in concerned if key.namespace}):
            path = f"/api/v1/namespaces/{namespace}/events"
            evidence.events[namespace] = _items(
                cluster, path, fieldSelector="type=Warning", limit=str(_MOST_EVENTS)
            )
        for namespace in sorted(claimed):
            for claim in _items(cluster, f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"):
                evidence.claims[namespace, claim["metadata"]["name"]] = claim
        if any((claim.get("status") or {}).get("phase") != "Bound" for claim in evidence.claims.values()):
            evidence.classes = {
                found["metadata"]["name"]: (found["metadata"].get("annotations") or {}).get(_DEFAULT)
                == "true"
                for found in _items(cluster, "/apis/storage.k8s.io/v1/storageclasses")
            }
        evidence.logs.update(_logs(cluster, [pod for found in concerned.values() for pod in found[:1]]))
    return evidence


def unready(pods: Pods, manifest: Manifest) -> list[Mapping[str, Any]]:
    """Return the pods of an object that are not ready."""
    return [pod for pod in pods.of(manifest) if waiting.why(pod)]


def claims_of(key: Key, pods: Iterable[Mapping[str, Any]]) -> list[Place]:
    """Return the claims that an object is, or that its pods mount."""
    if key.kind == "PersistentVolumeClaim":
        return [(key.namespace, key.name)]
    return [
        (pod["metadata"]["namespace"], volume["persistentVolumeClaim"]["claimName"])
        for pod in pods
        for volume in pod["spec"].get("volumes") or ()
        if volume.get("persistentVolumeClaim")
    ]


def _items(cluster: Kubernetes, path: str, **query: str) -> list[Mapping[str, Any]]:
    """Return a list's items, none if they may not be read; raises ``KubernetesError`` if nobody answers."""
    try:
        return list(cluster.request("GET", path, query=query, timeout=_PATIENCE)["items"] or ())
    except KubernetesError as error:
        if error.status:
            return []
        raise


def _logs(cluster: Kubernetes, pods: Iterable[Mapping[str, Any]]) -> dict[Place, list[str]]:
    """Return the last lines of those containers that have run; of none once a node does not answer."""
    logs: dict[Place, list[str]] = {}
    with contextlib.suppress(KubernetesError):
        for pod in pods:
            container = waiting.container_in_trouble(pod)
            if container is None or len(logs) == _MOST_LOGS:
                continue
            started = container.get("restartCount") or "waiting" not in (container.get("state") or {})
            if not started:
                continue
            metadata = pod["metadata"]
            text = cluster.text(
                f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/log",
                query={
                    "container": container["name"],
                    "tailLines": str(_LOG_LINES),
                    "limitBytes": str(_LOG_BYTES),
                },
                timeout=_LOG_PATIENCE,
            )
            said = [line.strip() for line in text.splitlines() if line.strip()]
            logs[metadata["namespace"], metadata["name"]] = said[-_LOG_LINES:]
    return logs
