"""What of DigitalOcean's API is about a cluster that exists: its pools of nodes, and its version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tideflow.clients.provided import Cluster
from tideflow.clients.requesting import Requesting, nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PATH = "kubernetes/clusters"


class Pools(Requesting):
    """Each method makes one request, but for those that look at the cluster when they were not answered."""

    def cluster(self, cluster_id: str) -> Cluster:
        """Return one cluster."""
        return self._call("GET", f"{_PATH}/{cluster_id}", _cluster, ["kubernetes:read"])

    def create_node_pool(
        self, cluster_id: str, *, name: str, size: str, count: int, fields: Mapping[str, Any] | None = None
    ) -> None:
        """Have another pool made, whose nodes take minutes to run; a cluster has one of each name.

        If it is not known whether it was made, the cluster is looked at before it is asked for again.
        """
        body = {"name": name, "size": size, "count": count, **(fields or {})}

        def made(found: Cluster) -> bool:
            return any((pool.name, pool.size) == (name, size) for pool in found.node_pools)

        self._begin(cluster_id, "node_pools", body, made)

    def update_node_pool(
        self, cluster_id: str, pool_id: str, *, name: str, count: int, fields: Mapping[str, Any] | None = None
    ) -> None:
        """Have a pool get or lose nodes until there are ``count``; new ones take minutes to run.

        ``fields`` are others of the API's fields for node pools; those not given stay as they are.

        The API wants a count whatever is to change, and takes nodes away, undrained, to have no more. While a
        pool is scaled, the number may be an old one a moment later: so nothing of this is sent again, and
        whoever asks has to look before.
        """
        body = {"name": name, "count": count, **(fields or {})}
        path = f"{_PATH}/{cluster_id}/node_pools/{pool_id}"
        self._call("PUT", path, nothing, ["kubernetes:update"], body, once=True)

    def delete_node_pool(self, cluster_id: str, pool_id: str) -> None:
        """Have a pool deleted with all its nodes."""
        path = f"{_PATH}/{cluster_id}/node_pools/{pool_id}"
        self._call("DELETE", path, nothing, ["kubernetes:update"])

    def delete_node(self, cluster_id: str, pool_id: str, node_id: str) -> None:
        """Have one node drained and deleted, so that its pool has one less; it takes minutes."""
        path = f"{_PATH}/{cluster_id}/node_pools/{pool_id}/nodes/{node_id}"
        self._call("DELETE", path, nothing, ["kubernetes:update"])

    def upgrades(self, cluster_id: str) -> list[str]:
        """Return the slugs of the versions that a cluster can be upgraded to."""

        def slugs(found: Any) -> list[str]:
            return [version["slug"] for version in found["available_upgrade_versions"] or ()]

        return self._call("GET", f"{_PATH}/{cluster_id}/upgrades", slugs, ["kubernetes:read"])

    def upgrade(self, cluster_id: str, version: str) -> None:
        """Have a cluster upgraded to one of its ``upgrades``; it takes many minutes.

        If it is not known whether it has begun, the cluster is looked at before it is asked for again.
        """
        self._begin(
            cluster_id,
            "upgrade",
            {"version": version},
            lambda found: found.state == "upgrading" or found.version == version,
        )

    def _begin(self, cluster_id: str, what: str, body: Any, begun: Callable[[Cluster], bool]) -> None:
        """Ask for a thing, and again only if the cluster does not show for a while that it was begun."""
        path = f"{_PATH}/{cluster_id}/{what}"
        self._once(
            lambda: self._call("POST", path, lambda _: True, ["kubernetes:update"], body),
            lambda: self.cluster(cluster_id),
            lambda found: begun(found) or None,
        )


def _cluster(found: Any) -> Cluster:
    return Cluster.from_response(found["kubernetes_cluster"])
