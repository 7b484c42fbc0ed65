"""Describing what there is, in the shapes of the OpenAPI description."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from tideflow.rehearsal.components import POD_SUBNET, SERVICE_SUBNET
from tideflow.rehearsal.twin import catalogue
from tideflow.rehearsal.twin.reading import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tideflow.rehearsal.twin.state import Cluster, Node, Pool

_MOST = 200


def account(email: str) -> dict[str, Any]:
    """Return the account."""
    return {
        "droplet_limit": catalogue.DROPLET_LIMIT,
        "floating_ip_limit": 5,
        "email": email,
        "name": "A rehearsal",
        "uuid": "00000000-0000-4000-8000-000000000000",
        "email_verified": True,
        "status": "active",
        "status_message": "",
        "team": {"uuid": "00000000-0000-4000-8000-000000000001", "name": "A rehearsal"},
    }


def options() -> dict[str, Any]:
    """Return what clusters can be made of."""
    return {
        "regions": [{"name": name, "slug": slug} for slug, name in catalogue.REGIONS.items()],
        "versions": [
            {"slug": slug, "kubernetes_version": version, "supported_features": []}
            for slug, version in catalogue.VERSIONS.items()
        ],
        "sizes": [{"name": size.name, "slug": size.slug} for size in catalogue.SIZES.values()],
    }


def cluster(found: Cluster) -> dict[str, Any]:
    """Return a cluster; it has no endpoint until it runs."""
    described: dict[str, Any] = {
        "id": found.id,
        "name": found.name,
        "region": found.region,
        "version": found.version,
        "cluster_subnet": POD_SUBNET,
        "service_subnet": SERVICE_SUBNET,
        "vpc_uuid": found.vpc_uuid,
        "ipv4": "127.0.0.1" if found.state == "running" else "",
        "tags": ["k8s", f"k8s:{found.id}", *found.tags],
        "node_pools": [pool(each) for each in found.pools],
        "auto_upgrade": found.auto_upgrade,
        "surge_upgrade": found.surge_upgrade,
        "ha": found.ha,
        "registry_enabled": False,
        "status": {"state": found.state, **({"message": found.message} if found.message else {})},
        "created_at": _time(found.created_at),
        "updated_at": _time(found.created_at),
    }
    if found.state == "running":
        described["endpoint"] = found.endpoint
    return described


def pool(found: Pool) -> dict[str, Any]:
    """Return a node pool."""
    return {
        "id": found.id,
        "name": found.name,
        "size": found.size,
        "count": found.count,
        "tags": ["k8s", "k8s:worker", *found.tags],
        "labels": found.labels,
        "taints": found.taints,
        "auto_scale": False,
        "min_nodes": 0,
        "max_nodes": 0,
        "nodes": [_node(each) for each in found.nodes],
    }


def _node(found: Node) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "status": {"state": found.state},
        "droplet_id": str(int(found.id[:8], 16)),
        "created_at": _time(found.created_at),
        "updated_at": _time(found.created_at),
    }


def page(found: Sequence[Any], name: str, url: str, query: Mapping[str, str]) -> dict[str, Any]:
    """Return one page of a list, with links to the others."""
    number, size = _number(query, "page", 1), min(_number(query, "per_page", 20), _MOST)
    last = max(1, -(-len(found) // size))

    def link(to: int) -> str:
        return f"{url}?page={to}&per_page={size}"

    pages: dict[str, str] = {}
    if number > 1:
        pages |= {"first": link(1), "prev": link(number - 1)}
    if number < last:
        pages |= {"last": link(last), "next": link(number + 1)}
    start = (number - 1) * size
    return {
        name: list(found[start : start + size]),
        "links": {"pages": pages} if pages else {},
        "meta": {"total": len(found)},
    }


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise InvalidError(f"{name} must be a number from 1 on")
    return int(text)


def _time(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
