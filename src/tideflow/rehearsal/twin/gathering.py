"""Gathering what clusters have made outside of themselves: read from them whenever somebody asks for it."""

from __future__ import annotations

import datetime as dt
import logging
import re
from typing import TYPE_CHECKING, Any

from tideflow.errors import TideflowError
from tideflow.rehearsal.standins import balancers
from tideflow.rehearsal.system import DRIVER
from tideflow.rehearsal.twin.resources import Balancer, Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.rehearsal.twin.cluster import Cluster
    from tideflow.rehearsal.twin.state import State

_LOG = logging.getLogger(__name__)
_BALANCERS = {"fieldSelector": "spec.type=LoadBalancer"}
_ANNOTATION = "service.beta.kubernetes.io/do-loadbalancer-"
_QUANTITY = re.compile(r"(\d+)([KMGT]i?|)")
_FACTORS: dict[str, int] = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate("KMGT", 1)},
    **{f"{unit}i": 1024**power for power, unit in enumerate("KMGT", 1)},
}
_GIB = 1024**3


def gather(state: State, client: Callable[[Cluster], Kubernetes]) -> None:
    """Have the state know what each cluster has made; of one that does not answer, what was known stays."""
    state.purge()
    for cluster in state:
        if not cluster.serves:
            continue
        try:
            kubernetes = client(cluster)
            made = list(_balancers(cluster, kubernetes)), list(_volumes(cluster, kubernetes))
        except TideflowError as error:
            _LOG.warning("%s: %s", cluster.name, error)
            continue
        with state.lock:
            if cluster.serves:  # or it was deleted meanwhile
                state.has_made(cluster, *made)
                state.save()


def _balancers(cluster: Cluster, client: Kubernetes) -> Iterator[Balancer]:
    for service in client.get("/api/v1/services", query=_BALANCERS)["items"]:
        metadata, spec = service["metadata"], service["spec"]
        told = {
            name.removeprefix(_ANNOTATION): value
            for name, value in (metadata.get("annotations") or {}).items()
            if name.startswith(_ANNOTATION)
        }
        entries = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress")
        yield Balancer(
            id=balancers.identity(service),
            name=told.get("name") or f"a{metadata['uid'].replace('-', '')}"[:32],
            cluster_id=cluster.id,
            region=cluster.region,
            vpc_uuid=cluster.vpc_uuid,
            created_at=_created(service),
            # A hostname may be told in its place.
            ip=(entries[0].get("ip") or balancers.address(service)) if entries else "",
            ports=[
                {
                    "protocol": port["protocol"].lower(),
                    "port": port["port"],
                    "target": port.get("nodePort", 0),
                }
                for port in spec["ports"]
            ],
            settings=_settings(
                told, spec.get("loadBalancerSourceRanges") or (), network=balancers.is_network(service)
            ),
            droplet_ids=[
                node.droplet_id for pool in cluster.pools for node in pool.nodes if node.state == "running"
            ],
        )


def _settings(told: Mapping[str, str], sources: Iterable[str], *, network: bool) -> dict[str, Any]:
    """Return what annotations say; those that are not understood, or the kind has not, are left out."""
    allowed = _listed(told.get("allow-rules", "")) or [f"cidr:{source}" for source in sources]
    firewall = {"allow": allowed, "deny": _listed(told.get("deny-rules", ""))}
    if network:
        return {"type": "REGIONAL_NETWORK", "firewall": firewall}
    settings: dict[str, Any] = {
        field: told[name] == "true"
        for name, field in (
            ("enable-proxy-protocol", "enable_proxy_protocol"),
            ("enable-backend-keepalive", "enable_backend_keepalive"),
            ("redirect-http-to-https", "redirect_http_to_https"),
        )
        if name in told
    }
    for name, field in (
        ("size-unit", "size_unit"),
        ("http-idle-timeout-seconds", "http_idle_timeout_seconds"),
    ):
        if told.get(name, "").isdecimal():
            settings[field] = int(told[name])
    return {**settings, "firewall": firewall}


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _volumes(cluster: Cluster, client: Kubernetes) -> Iterator[Volume]:
    droplets = {node.name: node.droplet_id for pool in cluster.pools for node in pool.nodes}
    used = dict(_used(client))
    for volume in client.get("/api/v1/persistentvolumes")["items"]:
        spec = volume["spec"]
        source = spec.get("csi") or {}
        if source.get("driver") != DRIVER:
            continue
        claim = spec.get("claimRef") or {}
        node = used.get((claim.get("namespace", ""), claim.get("name", "")))
        yield Volume(
            id=source["volumeHandle"],
            name=volume["metadata"]["name"],
            cluster_id=cluster.id,
            region=cluster.region,
            created_at=_created(volume),
            size=_gib(spec["capacity"]["storage"]),
            file_system=source.get("fsType", "ext4"),
            retained=spec.get("persistentVolumeReclaimPolicy") == "Retain",
            droplet_ids=[droplets[node]] if node in droplets else [],
        )


def _used(client: Kubernetes) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield claims, by namespace and name, with the node on which a pod uses it."""
    for pod in client.get("/api/v1/pods")["items"]:
        node = pod["spec"].get("nodeName")
        if not node or (pod.get("status") or {}).get("phase") in {"Failed", "Succeeded"}:
            continue
        for volume in pod["spec"].get("volumes") or ():
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                yield (pod["metadata"]["namespace"], claim), node


def _gib(quantity: str) -> int:
    """Return a quantity of Kubernetes in GiB, rounded up as DigitalOcean's driver does; at least one."""
    number = _QUANTITY.fullmatch(quantity)
    if number is None:
        return 1
    return max(1, -(-int(number[1]) * _FACTORS[number[2]] // _GIB))


def _created(live: Mapping[str, Any]) -> float:
    return dt.datetime.fromisoformat(live["metadata"]["creationTimestamp"]).timestamp()
