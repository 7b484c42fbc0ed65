"""Which droplets the nodes of a cluster run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tideflow.rehearsal.twin import describing
from tideflow.rehearsal.twin.resources import Droplet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tideflow.rehearsal.twin.cluster import Cluster


def of(cluster: Cluster) -> Iterator[Droplet]:
    """Yield one for each node that there is, or that is being made."""
    for pool in cluster.pools:
        for node in pool.nodes:
            yield Droplet(
                id=node.droplet_id,
                name=node.name,
                size=pool.size,
                region=cluster.region,
                vpc_uuid=cluster.vpc_uuid,
                created_at=node.created_at,
                tags=describing.pool(pool, cluster.id)["tags"],
                status="new" if node.state == "provisioning" else "active",
            )
