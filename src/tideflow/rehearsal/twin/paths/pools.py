"""Node pools of clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import jsonify

from tideflow.rehearsal.twin import describing, reading
from tideflow.rehearsal.twin.answering import body, cluster_of, pool_of, refuse_beyond, refuse_taken
from tideflow.rehearsal.twin.cluster import Pool
from tideflow.rehearsal.twin.paths import clusters

if TYPE_CHECKING:
    from flask import Flask, Response

    from tideflow.rehearsal.twin.faults import Switchboard
    from tideflow.rehearsal.twin.state import State

PATH = f"{clusters.ONE}/node_pools"
ONE = f"{PATH}/<pool_id>"


def add(app: Flask, state: State, switchboard: Switchboard) -> None:
    """Answer for the pools of all clusters of the state."""

    @app.get(PATH)
    def listed_pools(cluster_id: str) -> Response:
        with state.lock:
            return jsonify(node_pools=describing.cluster(cluster_of(state, cluster_id))["node_pools"])

    @app.post(PATH)
    def created_pool(cluster_id: str) -> tuple[Response, int]:
        pool = Pool(**reading.read(reading.Pool, body()).model_dump())
        with state.lock:
            cluster = cluster_of(state, cluster_id)
            refuse_taken(pool.name, cluster.pools)
            refuse_beyond(switchboard.faults.droplet_limit, state, more=pool.most())
            cluster.pools.append(pool)
            state.save()
            return jsonify(node_pool=describing.pool(pool, cluster.id)), 201

    @app.get(ONE)
    def one_pool(cluster_id: str, pool_id: str) -> Response:
        with state.lock:
            pool = pool_of(cluster_of(state, cluster_id), pool_id)
            return jsonify(node_pool=describing.pool(pool, cluster_id))

    @app.put(ONE)
    def updated_pool(cluster_id: str, pool_id: str) -> tuple[Response, int]:
        changes = reading.read(reading.PoolChange, body()).given()
        with state.lock:
            cluster = cluster_of(state, cluster_id)
            pool = pool_of(cluster, pool_id)
            refuse_taken(changes.get("name"), (other for other in cluster.pools if other is not pool))
            more = pool.most(**changes) - pool.most()
            refuse_beyond(switchboard.faults.droplet_limit, state, more=more)
            pool.change(changes)
            state.save()
            return jsonify(node_pool=describing.pool(pool, cluster_id)), 202

    @app.delete(ONE)
    def deleted_pool(cluster_id: str, pool_id: str) -> tuple[str, int]:
        with state.lock:
            cluster = cluster_of(state, cluster_id)
            cluster.pools.remove(pool_of(cluster, pool_id))
            state.save()
        return "", 204
