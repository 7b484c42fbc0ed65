"""Nodes: what a droplet of a size offers to pods once the system has taken its part, and how they leave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tideflow.clients.kubernetes import Kubernetes

_PATH = "/api/v1/nodes"
_POOL = "doks.digitalocean.com/node-pool-id"
_MANAGER = "digitalocean-cloud-controller-manager"
_CONFLICT = 409
_NOT_FOUND = 404
_TOO_MANY_REQUESTS = 429
_PODS = 110
_GONE_CPU = 100  # thousandths of a CPU that are kept for the system


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node of a pool: a droplet of a size in a region, both by their slugs."""

    name: str
    id: str
    pool_name: str
    pool_id: str
    size_slug: str
    cpus: int
    memory_mib: int
    region: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()


def allocatable(cpus: int, memory_mib: int) -> dict[str, str]:
    """Return what pods may ask for on a node, DigitalOcean's own included.

    A tenth of a CPU is kept. Of memory, DigitalOcean's documentation of its node sizes says 2.5 GiB are left
    of 4 GB and 6 of 8: a quarter is taken, and half a GiB more on nodes of less than 8 GB.
    """
    memory = memory_mib * 3 // 4 - (512 if memory_mib < 8192 else 0)  # noqa: PLR2004 - 8 GB
    return {"cpu": f"{cpus * 1000 - _GONE_CPU}m", "memory": f"{memory}Mi", "pods": str(_PODS)}


def sync(cluster: Kubernetes, nodes: Sequence[Node]) -> None:
    """Have exactly these nodes: make those that are missing, delete those of pools that are gone."""
    live = {found["metadata"]["name"]: found for found in cluster.get(_PATH)["items"]}
    wanted = {node.name: node for node in nodes}
    for name in wanted.keys() - live.keys():
        try:
            cluster.post(_PATH, _manifest(wanted[name]), query={"fieldManager": _MANAGER})
        except KubernetesError as error:
            if error.status != _CONFLICT:
                raise
    for name in live.keys() - wanted.keys():
        if _POOL in (live[name]["metadata"].get("labels") or {}):
            cluster.delete(f"{_PATH}/{name}")


def drain(cluster: Kubernetes, name: str) -> int:
    """Ask pods to leave a node, as budgets allow it, and return how many are still there.

    What a DaemonSet has there stays, as it does with kubectl; what nobody would start elsewhere goes too.
    """
    try:
        cluster.patch(f"{_PATH}/{name}", {"spec": {"unschedulable": True}}, query={"fieldManager": _MANAGER})
    except KubernetesError as error:
        if error.status == _NOT_FOUND:
            return 0
        raise
    pods = cluster.get("/api/v1/pods", query={"fieldSelector": f"spec.nodeName={name}"})["items"]
    going = [pod for pod in pods if not _stays(pod)]
    for pod in going:
        metadata = pod["metadata"]
        if "deletionTimestamp" not in metadata:
            _evict(cluster, metadata["namespace"], metadata["name"])
    return len(going)


def _stays(pod: Mapping[str, Any]) -> bool:
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(owner["kind"] == "DaemonSet" for owner in owners)


def _evict(cluster: Kubernetes, namespace: str, name: str) -> None:
    """Ask one pod to leave; a budget may not allow it yet."""
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
    }
    try:
        cluster.post(f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", eviction)
    except KubernetesError as error:
        if error.status not in {_NOT_FOUND, _CONFLICT, _TOO_MANY_REQUESTS}:
            raise


def _manifest(node: Node) -> dict[str, Any]:
    labels = {
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "doks.digitalocean.com/node-id": node.id,
        "doks.digitalocean.com/node-pool": node.pool_name,
        _POOL: node.pool_id,
        "failure-domain.beta.kubernetes.io/region": node.region,
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": node.size_slug,
        "region": node.region,
        "topology.kubernetes.io/region": node.region,
        **node.labels,
    }
    offered = allocatable(node.cpus, node.memory_mib)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": labels},
        "spec": {"providerID": f"digitalocean://{node.id}", "taints": list(node.taints)},
        "status": {
            "allocatable": offered,
            "capacity": {"cpu": str(node.cpus), "memory": f"{node.memory_mib}Mi", "pods": str(_PODS)},
        },
    }
