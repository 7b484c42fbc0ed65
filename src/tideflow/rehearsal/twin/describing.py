"""Describing what there is, in the shapes of the OpenAPI description."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tideflow.rehearsal.components import POD_SUBNET, SERVICE_SUBNET
from tideflow.rehearsal.twin import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tideflow.rehearsal.twin.cluster import Cluster, Node, Pool
    from tideflow.rehearsal.twin.queries import Page


PROJECT = "00000000-0000-4000-8000-000000000002"
"""The id of the account's only project."""


def account(email: str, *, droplet_limit: int) -> dict[str, Any]:
    """Return the account."""
    return {
        "droplet_limit": droplet_limit,
        "floating_ip_limit": 5,
        "email": email,
        "name": "A rehearsal",
        "uuid": "00000000-0000-4000-8000-000000000000",
        "email_verified": True,
        "status": "active",
        "status_message": "",
        "team": {"uuid": "00000000-0000-4000-8000-000000000001", "name": "A rehearsal"},
    }


def versions(slugs: Iterable[str]) -> list[dict[str, Any]]:
    """Return versions of Kubernetes."""
    return [
        {
            "slug": slug,
            "kubernetes_version": catalogue.VERSIONS[slug],
            "supported_features": ["token-authentication"],
        }
        for slug in slugs
    ]


def region(slug: str) -> dict[str, Any]:
    """Return a region as other things carry it; those of clusters have a shorter form."""
    return {
        "name": catalogue.REGIONS[slug],
        "slug": slug,
        "features": ["storage"],
        "available": True,
        "sizes": [size.slug for size in catalogue.SIZES.values() if slug in size.regions],
    }


def size(found: catalogue.Size) -> dict[str, Any]:
    """Return a size, without its price."""
    return {
        "slug": found.slug,
        "description": "Basic" if found.slug.startswith("s-") else "General Purpose",
        "vcpus": found.cpus,
        "memory": found.memory_mib,
        "regions": list(found.regions),
        "available": True,
    }


def options() -> dict[str, Any]:
    """Return what clusters can be made of."""
    return {
        "regions": [{"name": name, "slug": slug} for slug, name in catalogue.REGIONS.items()],
        "versions": versions(catalogue.VERSIONS),
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
        "ipv4": "127.0.0.1" if found.serves else "",
        "tags": _tags(["k8s", f"k8s:{found.id}"], found.tags),
        "node_pools": [pool(each, found.id) for each in found.pools],
        "maintenance_policy": {
            "start_time": "00:00",
            "day": "any",
            **(found.maintenance_policy or {}),
            "duration": "4h0m0s",
        },
        "auto_upgrade": found.auto_upgrade,
        "surge_upgrade": found.surge_upgrade,
        "ha": found.ha,
        "registry_enabled": False,
        "isolated_workers": False,
        "status": {"state": found.state, **({"message": found.message} if found.message else {})},
        "created_at": timestamp(found.created_at),
        "updated_at": timestamp(found.updated_at),
    }
    if found.serves:
        described["endpoint"] = found.endpoint
    return described


def pool(found: Pool, cluster_id: str) -> dict[str, Any]:
    """Return a node pool of a cluster."""
    return {
        "id": found.id,
        "name": found.name,
        "size": found.size,
        "count": found.count,
        "tags": _tags(["k8s", f"k8s:{cluster_id}", "k8s:worker"], found.tags),
        "labels": found.labels,
        "taints": found.taints,
        "auto_scale": found.auto_scale,
        "min_nodes": found.min_nodes if found.auto_scale else 0,
        "max_nodes": found.max_nodes if found.auto_scale else 0,
        "nodes": [_node(each) for each in found.nodes],
    }


def _tags(automatic: list[str], own: list[str]) -> list[str]:
    """Return each tag once: those that DigitalOcean adds may be sent back to it."""
    return list(dict.fromkeys([*automatic, *own]))


def _node(found: Node) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "status": {"state": found.state},
        "droplet_id": str(found.droplet_id),
        "created_at": timestamp(found.created_at),
        "updated_at": timestamp(found.updated_at),
    }


def page(found: Sequence[Any], name: str, url: str, asked: Page) -> dict[str, Any]:
    """Return one page of a list, with links to the others."""
    number, size = asked.page, asked.per_page
    last = max(1, -(-len(found) // size))

    def link(to: int) -> str:
        return f"{url}?{urlencode(asked.model_dump(exclude_none=True) | {'page': to})}"

    pages: dict[str, str] = {}
    if number > 1:
        pages |= {"first": link(1), "prev": link(min(number - 1, last))}
    if number < last:
        pages |= {"last": link(last), "next": link(number + 1)}
    start = (number - 1) * size
    return {
        name: list(found[start : start + size]),
        "links": {"pages": pages} if pages else {},
        "meta": {"total": len(found)},
    }


def timestamp(seconds: float) -> str:
    """Return a time as the API writes it."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
