"""What DigitalOcean puts into each cluster: the system's pods with their requests, and its storage classes.

The requests are those users see with ``kubectl describe node``; together with what a droplet keeps for itself
they decide how much room is left for Kubeflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tideflow.clients.kubernetes import Kubernetes

DRIVER = "dobs.csi.digitalocean.com"
"""The name of DigitalOcean's CSI driver, which provisions its storage classes."""

_MANAGER = "digitalocean"
_NAMESPACE = "kube-system"
# name, CPU, memory
_DAEMONS = (
    ("cilium", "300m", "300Mi"),
    ("cpc-bridge-proxy", "100m", "75Mi"),
    ("csi-do-node", "0", "0"),
    ("do-node-agent", "102m", "80Mi"),
    ("konnectivity-agent", "0", "0"),
    ("kube-proxy", "0", "0"),
)
_CLASSES = (
    # name, whether it is the default, what becomes of a volume nobody claims any more, file system
    ("do-block-storage", True, "Delete", "ext4"),
    ("do-block-storage-retain", False, "Retain", "ext4"),
    ("do-block-storage-xfs", False, "Delete", "xfs"),
    ("do-block-storage-xfs-retain", False, "Retain", "xfs"),
)
_TOLERATE_ALL = [{"operator": "Exists"}]


def install(cluster: Kubernetes) -> None:
    """Have all of it in the cluster, as it was on the first day."""
    for path, body in objects():
        cluster.apply(path, body, field_manager=_MANAGER)


def objects() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and object."""
    for name, is_default, reclaim, file_system in _CLASSES:
        yield (
            f"/apis/storage.k8s.io/v1/storageclasses/{name}",
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {
                    "name": name,
                    "annotations": {"storageclass.kubernetes.io/is-default-class": str(is_default).lower()},
                },
                "provisioner": DRIVER,
                "parameters": {"csi.storage.k8s.io/fstype": file_system},
                "reclaimPolicy": reclaim,
                "allowVolumeExpansion": True,
                "volumeBindingMode": "Immediate",
            },
        )
    yield (
        f"/apis/storage.k8s.io/v1/csidrivers/{DRIVER}",
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIDriver",
            "metadata": {"name": DRIVER},
            "spec": {"attachRequired": True, "podInfoOnMount": True},
        },
    )
    yield (
        f"/api/v1/namespaces/{_NAMESPACE}/configmaps/cilium-config",
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "cilium-config", "namespace": _NAMESPACE},
            "data": {"bpf-lb-sock-hostns-only": "true", "cni-exclusive": "false"},
        },
    )
    for name, cpu, memory in _DAEMONS:
        yield (
            f"/apis/apps/v1/namespaces/{_NAMESPACE}/daemonsets/{name}",
            _workload("DaemonSet", name, cpu, memory, host_network=True),
        )
    coredns = _workload("Deployment", "coredns", "100m", "150M", host_network=False)
    coredns["spec"]["replicas"] = 2
    yield f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments/coredns", coredns


def _workload(kind: str, name: str, cpu: str, memory: str, *, host_network: bool) -> dict[str, Any]:
    labels = {"k8s-app": name}
    requests = {resource: asked for resource, asked in (("cpu", cpu), ("memory", memory)) if asked != "0"}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": _NAMESPACE, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [
                        {"name": name, "image": f"digitalocean/{name}", "resources": {"requests": requests}}
                    ],
                    "hostNetwork": host_network,
                    "priorityClassName": "system-node-critical",
                    "tolerations": _TOLERATE_ALL,
                },
            },
        },
    }
