"""Volumes: what DigitalOcean's CSI driver makes for the claims of its storage classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tideflow.rehearsal.standins.world import Pass
from tideflow.rehearsal.system import DRIVER

if TYPE_CHECKING:
    from tideflow.rehearsal.standins.world import World

_CLAIM = ("", "PersistentVolumeClaim")
_CLASS = ("storage.k8s.io", "StorageClass")
_VOLUME = ("", "PersistentVolume")
_MANAGER = "csi-provisioner"


def _work(world: World) -> None:
    classes = {found["metadata"]["name"]: found for found in world.all(*_CLASS)}
    for claim in world.all(*_CLAIM):
        storage = classes.get(claim["spec"].get("storageClassName") or "")
        if storage is None or storage["provisioner"] != DRIVER or claim["spec"].get("volumeName"):
            continue
        volume = _volume(claim, storage)
        if world.get(*_VOLUME, "", volume["metadata"]["name"]) is None:
            world.cluster.post("/api/v1/persistentvolumes", volume, query={"fieldManager": _MANAGER})
    for volume in world.all(*_VOLUME):
        spec, phase = volume["spec"], (volume.get("status") or {}).get("phase")
        ours = (spec.get("csi") or {}).get("driver") == DRIVER
        if ours and phase == "Released" and spec.get("persistentVolumeReclaimPolicy") == "Delete":
            world.cluster.delete(world.path(volume, *_VOLUME))


def _volume(claim: dict[str, Any], storage: dict[str, Any]) -> dict[str, Any]:
    """Return the volume for a claim, bound to it by name and UID."""
    metadata = claim["metadata"]
    name = f"pvc-{metadata['uid']}"
    file_system = (storage.get("parameters") or {}).get("csi.storage.k8s.io/fstype", "ext4")
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": DRIVER}},
        "spec": {
            "accessModes": claim["spec"]["accessModes"],
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
            "csi": {"driver": DRIVER, "fsType": file_system, "volumeHandle": metadata["uid"]},
            "persistentVolumeReclaimPolicy": storage.get("reclaimPolicy", "Delete"),
            "storageClassName": storage["metadata"]["name"],
            "volumeMode": claim["spec"].get("volumeMode", "Filesystem"),
        },
    }


VOLUMES = Pass("volumes", (_CLAIM, _CLASS, _VOLUME), _work)
