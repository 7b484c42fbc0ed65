"""1-click applications, installed as DigitalOcean does: ``helm upgrade --install --atomic``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tideflow.errors import KubernetesError, RehearsalError
from tideflow.rehearsal import charts, helm

if TYPE_CHECKING:
    from tideflow.clients.kubernetes import Kubernetes

_NOT_FOUND = 404


def begin(cluster: Kubernetes, slug: str) -> bool:
    """Write the objects of a 1-click, and a revision that is pending; tell whether Helm does that.

    It does not while it takes an older revision for one that is still under way, or half deleted, nor over
    what is somebody else's. Raises ``RehearsalError`` for a 1-click that nobody stands in for.
    """
    if slug not in charts.CHARTS:
        known = ", ".join(charts.CHARTS)
        raise RehearsalError(f"the rehearsal has no 1-click {slug}", hint=f"it has {known}")
    _namespace(cluster, slug)
    number, status = helm.revision(cluster, slug)
    if status.startswith("pending") or status == "uninstalling" or _is_taken(cluster, slug):
        return False
    _record(cluster, slug, number + 1, "pending-upgrade" if number else "pending-install")
    for path, body in [*charts.objects(slug), *charts.made_by_hooks(slug, cluster)]:
        cluster.apply(path, body, field_manager=helm.MANAGER)
    return True


def is_ready(cluster: Kubernetes, slug: str) -> bool:
    """Tell whether what Helm waits for is there: pods, and addresses of load balancers."""
    for path, body in charts.objects(slug):
        if body["kind"] not in {"Deployment", "Service"}:
            continue
        live = _read(cluster, path)
        if live is None:
            return False
        state = live.get("status") or {}
        if body["kind"] == "Deployment" and state.get("availableReplicas", 0) < body["spec"]["replicas"]:
            return False
        is_balancer = body["spec"].get("type") == "LoadBalancer"
        if is_balancer and not (state.get("loadBalancer") or {}).get("ingress"):
            return False
    return True


def finish(cluster: Kubernetes, slug: str) -> None:
    """Say that the revision under way is deployed, in the place of the one before."""
    number, _ = helm.revision(cluster, slug)
    if number > 1:
        _record(cluster, slug, number - 1, "superseded")
    _record(cluster, slug, number, "deployed")


def roll_back(cluster: Kubernetes, slug: str) -> None:
    """Undo the revision under way; of a first one nothing stays but the namespace, and its events."""
    _namespace(cluster, slug)
    number, _ = helm.revision(cluster, slug)
    if number > 1:
        _record(cluster, slug, number, "failed")
        return
    for path, _ in reversed([*charts.objects(slug), *charts.made_by_hooks(slug, cluster)]):
        if _read(cluster, path) is not None:
            cluster.delete(path)
    if number:
        helm.forget(cluster, slug, number)


def _is_taken(cluster: Kubernetes, slug: str) -> bool:
    for path, _ in charts.objects(slug):
        live = _read(cluster, path)
        if live is not None and (live["metadata"].get("annotations") or {}).get(charts.OWNER) != slug:
            return True
    return False


def _namespace(cluster: Kubernetes, slug: str) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": slug}}
    cluster.apply(f"/api/v1/namespaces/{slug}", body, field_manager=helm.MANAGER)


def _record(cluster: Kubernetes, slug: str, number: int, status: str) -> None:
    bodies = [body for _, body in charts.objects(slug)]
    helm.record(cluster, slug, number, status, chart=charts.CHARTS[slug], objects=bodies)


def _read(cluster: Kubernetes, path: str) -> Any:
    try:
        return cluster.get(path)
    except KubernetesError as error:
        if error.status == _NOT_FOUND:
            return None
        raise
