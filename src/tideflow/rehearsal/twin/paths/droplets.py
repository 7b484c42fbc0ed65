"""Droplets: those that nodes run on, listed with what tells whose they are and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import jsonify, request

from tideflow.rehearsal.twin import catalogue, describing, queries, reading

if TYPE_CHECKING:
    from flask import Flask, Response

    from tideflow.rehearsal.twin.cluster import Cluster, Node, Pool
    from tideflow.rehearsal.twin.state import State


def add(app: Flask, state: State) -> None:
    """Answer for the nodes of all clusters, until they are gone."""

    @app.get("/v2/droplets")
    def listed_droplets() -> Response:
        asked = reading.read(queries.Droplets, request.args.to_dict())
        with state.lock:
            every = [
                _described(cluster, pool, node)
                for cluster in state
                for pool in cluster.pools
                for node in pool.nodes
            ]
        found = [droplet for droplet in every if asked.tag_name in {None, *droplet["tags"]}]
        return jsonify(describing.page(found, "droplets", request.base_url, asked))


def _described(cluster: Cluster, pool: Pool, node: Node) -> dict[str, Any]:
    size = catalogue.SIZES[pool.size]
    return {
        "id": node.droplet_id,
        "name": node.name,
        "memory": size.memory_mib,
        "vcpus": size.cpus,
        "locked": False,
        "status": "new" if node.state == "provisioning" else "active",
        "created_at": describing.timestamp(node.created_at),
        "size_slug": size.slug,
        "region": describing.region(cluster.region),
        "tags": describing.pool(pool, cluster.id)["tags"],
        "vpc_uuid": cluster.vpc_uuid,
    }
