"""Helm's releases in a cluster: how each stands, and whether what it made is there.

Helm keeps a Secret for each revision, whose labels say how it went, and whose data has what it made.
"""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tideflow.clients.kubernetes import METADATA_LIST
from tideflow.engine import readiness
from tideflow.engine.yielding import stands_still
from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.clients.resources import Resource

_NOT_FOUND = 404
_LOOKED_AT = {
    # group and kind of what is looked for: the rest is small, and seldom gets lost by itself
    ("", "Service"),
    ("apiregistration.k8s.io", "APIService"),
    ("apps", "DaemonSet"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("networking.k8s.io", "IngressClass"),
}


_ONLY_ONE = {
    "ingress-nginx": ("networking.k8s.io", "IngressClass", "nginx"),
    "metrics-server": ("apiregistration.k8s.io", "APIService", "v1beta1.metrics.k8s.io"),
}
_RELEASE = "meta.helm.sh/release-name"


@dataclass(frozen=True)
class Release:
    """The newest revision of a release; ``age`` is in seconds, since its status changed."""

    name: str
    namespace: str
    number: int
    status: str
    age: float

    @property
    def path(self) -> str:
        """Where Helm keeps it."""
        secret = f"sh.helm.release.v1.{self.name}.v{self.number}"
        return f"/api/v1/namespaces/{self.namespace}/secrets/{secret}"


@dataclass(frozen=True)
class Health:
    """What a release made and is ``missing``, or has its pods taken away, and what is not ready and why."""

    missing: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    unready: tuple[str, ...] = ()


def find(cluster: Kubernetes, name: str) -> Release | None:
    """Return the release of that name, in whatever namespace it is, or None."""
    query = {"labelSelector": f"owner=helm,name={name}"}
    found = cluster.get("/api/v1/secrets", query=query, accept=METADATA_LIST)["items"] or ()
    return max(map(_release, found), key=lambda each: each.number, default=None)


def _release(secret: Mapping[str, Any]) -> Release:
    metadata = secret["metadata"]
    labels = metadata["labels"]
    number = labels.get("version", "")
    times = [metadata["creationTimestamp"], *(each.get("time") for each in metadata.get("managedFields", ()))]
    changed = max(dt.datetime.fromisoformat(time) for time in times if time)
    return Release(
        name=labels["name"],
        namespace=metadata["namespace"],
        number=int(number) if number.isdecimal() else 0,
        status=labels.get("status", "unknown"),
        age=(dt.datetime.now(dt.UTC) - changed).total_seconds(),
    )


def health(cluster: Kubernetes, release: Release) -> Health:
    """Look for what a release made."""
    missing, stopped, unready = [], [], []
    for body in _made(cluster, release):
        group = body["apiVersion"].rpartition("/")[0]
        kind, metadata = body["kind"], body["metadata"]
        if (group, kind) not in _LOOKED_AT:
            continue
        resource = cluster.resources().of_kind(group, kind)
        namespace = (metadata.get("namespace") or release.namespace) if _is_inside(resource) else ""
        words = f"{kind} {namespace}/{metadata['name']}" if namespace else f"{kind} {metadata['name']}"
        live = _live(cluster, resource, namespace, metadata["name"])
        if live is None:
            missing.append(words)
        elif stands_still(live) and not stands_still(body):
            stopped.append(words)
        elif not (status := readiness.status(group, kind, live)).ready:
            unready.append(f"{words} {status.why}")
    return Health(tuple(missing), tuple(stopped), tuple(unready))


def _is_inside(resource: Resource | None) -> bool:
    return resource is not None and resource.namespaced


def _made(cluster: Kubernetes, release: Release) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a release, as Helm wrote them; none of a record that cannot be read."""
    try:
        data = cluster.get(release.path)["data"]["release"]
        content = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(data))))
        for body in yaml.load_all(content["manifest"], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(body, dict) and body.keys() >= {"apiVersion", "kind", "metadata"}:
                yield body
    except (KeyError, TypeError, ValueError, EOFError, OSError, yaml.YAMLError):
        return


def _live(
    cluster: Kubernetes, resource: Resource | None, namespace: str, name: str
) -> Mapping[str, Any] | None:
    if resource is None:
        return None
    try:
        found: Mapping[str, Any] = cluster.get(resource.path(namespace or None, name))
    except KubernetesError as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    return found


def foreign(cluster: Kubernetes, name: str) -> str:
    """Return which object keeps Helm from installing a release, since it is somebody else's; "" for none.

    Looked at is what a cluster has one of. Helm takes over what says that it is the release's.
    """
    if name not in _ONLY_ONE:
        return ""
    group, kind, one = _ONLY_ONE[name]
    live = _live(cluster, cluster.resources().of_kind(group, kind), "", one)
    if live is None or (live["metadata"].get("annotations") or {}).get(_RELEASE) == name:
        return ""
    return f"{kind} {one}"


def warnings(cluster: Kubernetes, namespace: str) -> dict[str, Mapping[str, Any]]:
    """Return the warnings that are known of a namespace, by what tells each from those to come."""
    path = f"/api/v1/namespaces/{namespace}/events"
    events = cluster.get(path, query={"fieldSelector": "type=Warning"})["items"] or ()
    return {f"{event['metadata']['uid']} {event.get('count')}": event for event in events}


def complaint(cluster: Kubernetes, namespace: str, *, beside: Collection[str] = ()) -> str:
    """Return the newest warning in a namespace, of a Service if there is one, on one line; "" for none.

    Those ``beside`` which it is asked for are left out.
    """

    def weight(event: Mapping[str, Any]) -> tuple[bool, str]:
        when = event.get("lastTimestamp") or event.get("eventTime") or ""
        return event["involvedObject"].get("kind") == "Service", when

    events = [event for known, event in warnings(cluster, namespace).items() if known not in beside]
    newest = max(events, key=weight, default=None)
    if newest is None:
        return ""
    about = newest["involvedObject"]
    said = " ".join(newest.get("message", "").split())
    return f"{about.get('kind')} {about.get('name')}: {newest.get('reason')}: {said}"
