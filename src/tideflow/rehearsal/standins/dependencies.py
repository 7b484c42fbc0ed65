"""Pods that crash until another workload runs, as clients of a database do while it comes up."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tideflow.rehearsal.standins.world import Pass

if TYPE_CHECKING:
    from tideflow.rehearsal.standins.world import World

NEEDS = "rehearsal.tideflow.dev/needs"
"""The annotation of a pod that crashes until the Deployment it names, ``<name>`` or ``<namespace>/<name>``,
has an available pod."""

_FAILS = "rehearsal.tideflow.dev/fails"
_POD = ("", "Pod")
_CLIENTS = {
    ("kubeflow", "cache-server"): "mysql",
    ("kubeflow", "katib-db-manager"): "katib-mysql",
    ("kubeflow", "metadata-grpc-deployment"): "mysql",
    ("kubeflow", "ml-pipeline"): "mysql",
    ("oauth2-proxy", "oauth2-proxy"): "auth/dex",
}
"""What Kubeflow's own Deployments end without when they start."""


def dependencies(*, realistic: bool) -> Pass:
    """Return the pass; in a ``realistic`` rehearsal, Kubeflow's workloads need what they do in reality."""
    clients = _CLIENTS if realistic else {}
    return Pass("dependencies", (_POD, ("apps", "Deployment")), functools.partial(_work, clients=clients))


def _work(world: World, *, clients: dict[tuple[str, str], str]) -> None:
    for pod in world.all(*_POD):
        metadata = pod["metadata"]
        annotations = metadata.get("annotations") or {}
        needed = annotations.get(NEEDS) or clients.get((metadata["namespace"], deployment_of(metadata)))
        if not needed or metadata.get("deletionTimestamp") or _is_ready(pod):
            continue
        namespace, _, name = needed.rpartition("/")
        fails = None if world.runs(namespace or metadata["namespace"], name) else "CrashLoopBackOff"
        if annotations.get(_FAILS) != fails:
            world.cluster.patch(world.path(pod, *_POD), {"metadata": {"annotations": {_FAILS: fails}}})


def deployment_of(metadata: dict[str, Any]) -> str:
    """Return the name of the Deployment that a pod is of: its ReplicaSet's without the hash."""
    for owner in metadata.get("ownerReferences") or ():
        if owner["kind"] == "ReplicaSet":
            return str(owner["name"].rpartition("-")[0])
    return ""


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)
