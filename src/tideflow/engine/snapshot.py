"""What is live, read once per type: one LIST each, side by side.

Only metadata is asked for, except where an object can be there without being ready.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tideflow.clients.kubernetes import JSON, METADATA_LIST
from tideflow.engine import readiness, webhooks
from tideflow.engine.manifests import Key
from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.clients.resources import Resource

_AT_ONCE = 8  # requests
_CONVERSION = "conversion webhook for "  # so begins what the API server says when it cannot ask one

HPA = ("autoscaling", "HorizontalPodAutoscaler")
NAMESPACE = ("", "Namespace")
# Always read whole: what they say decides about other objects.
_WHOLE = {HPA, *((webhooks.GROUP, kind) for kind in webhooks.CONFIGURATIONS)}
# Read as metadata though they have readiness: a definition is ready if discovery has what it defines, and the
# definitions of a Kubeflow are 8 MB.
_METADATA = {("apiextensions.k8s.io", "CustomResourceDefinition"), NAMESPACE}


@dataclass
class Snapshot:
    """Live objects by key, and for each type the resourceVersion to watch from."""

    objects: dict[Key, dict[str, Any]] = field(default_factory=dict)
    versions: dict[tuple[str, str], str] = field(default_factory=dict)

    def of_type(self, group: str, kind: str) -> list[dict[str, Any]]:
        """Return all live objects of a type that was read."""
        return [live for key, live in self.objects.items() if (key.group, key.kind) == (group, kind)]


def is_whole(group: str, kind: str) -> bool:
    """Tell whether objects of a type are read whole, and not only their metadata."""
    if (group, kind) in _METADATA:
        return False
    return (group, kind) in _WHOLE or readiness.has_readiness(group, kind)


def read(cluster: Kubernetes, resources: Iterable[Resource], wanted: Collection[Key]) -> Snapshot:
    """Return the live objects of the types: those that are ``wanted``, and all that decide about others."""
    snapshot = Snapshot()
    by_type = {(resource.group, resource.kind): resource for resource in resources}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for (group, kind), (version, objects) in zip(
            by_type, pool.map(lambda resource: _listed(cluster, resource), by_type.values()), strict=True
        ):
            if version:
                snapshot.versions[group, kind] = version
            all_of_them = (group, kind) in _WHOLE or (group, kind) == NAMESPACE
            for live in objects:
                key = key_of(group, kind, live)
                if all_of_them or key in wanted:
                    # Items of a list say neither.
                    live.setdefault("kind", kind)
                    snapshot.objects[key] = live
    return snapshot


def key_of(group: str, kind: str, live: dict[str, Any]) -> Key:
    """Return the key of a live object of a type."""
    metadata = live["metadata"]
    return Key(group, kind, metadata.get("namespace", ""), metadata["name"])


def _listed(cluster: Kubernetes, resource: Resource) -> tuple[str, list[dict[str, Any]]]:
    """Return a type's objects; in another version if a conversion webhook that is away makes this one fail.

    What is to be mended by this run may be that webhook.
    """
    try:
        return _listed_as(cluster, resource)
    except KubernetesError as error:
        if _CONVERSION not in error.message:
            raise
        for other in cluster.resources():
            if (other.group, other.kind) == (resource.group, resource.kind) and other != resource:
                with contextlib.suppress(KubernetesError):
                    return _listed_as(cluster, other)
        raise


def _listed_as(cluster: Kubernetes, resource: Resource) -> tuple[str, list[dict[str, Any]]]:
    accept = JSON if is_whole(resource.group, resource.kind) else METADATA_LIST
    version = ""
    found: list[dict[str, Any]] = []
    try:
        for page in cluster.pages(resource.collection(), accept=accept):
            version = version or page["metadata"]["resourceVersion"]
            found.extend(page["items"] or ())
    except KubernetesError as error:
        if error.status != 404:  # noqa: PLR2004 - its definition went since discovery was read, and it with it
            raise
        return "", []
    return version, found
