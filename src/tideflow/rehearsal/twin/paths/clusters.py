"""Clusters: made, listed, changed, deleted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flask import jsonify, request

from tideflow.rehearsal.twin import describing, queries, reading
from tideflow.rehearsal.twin.answering import NotFoundError, body, cluster_of, refuse_beyond, refuse_taken
from tideflow.rehearsal.twin.cluster import Cluster, Pool
from tideflow.rehearsal.twin.gathering import gather
from tideflow.rehearsal.twin.reading import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flask import Flask, Response

    from tideflow.rehearsal.twin.lifecycle import Lifecycle
    from tideflow.rehearsal.twin.state import State

PATH = "/v2/kubernetes/clusters"
ONE = f"{PATH}/<cluster_id>"


def add(app: Flask, state: State, lifecycle: Lifecycle) -> None:
    """Answer for all clusters of the state."""

    def shown(cluster: Cluster) -> bool:
        return cluster.state != "deleting" or lifecycle.switchboard.faults.lingering

    @app.get(PATH)
    def listed() -> Response:
        asked = reading.read(queries.Page, request.args.to_dict())
        with state.lock:
            there = _listed(filter(shown, state), lifecycle.switchboard.faults.list_delay)
            found = list(map(describing.cluster, there))
        return jsonify(describing.page(found, "kubernetes_clusters", request.base_url, asked))

    @app.post(PATH)
    def created() -> tuple[Response, int]:
        asked = reading.read(reading.Cluster, body()).model_dump()
        pools = [Pool(**pool) for pool in asked.pop("node_pools")]
        with state.lock:
            refuse_taken(asked["name"], (other for other in state if other.state != "deleting"))
            limit = lifecycle.switchboard.faults.droplet_limit
            refuse_beyond(limit, state, more=sum(pool.most() for pool in pools))
            asked["tags"] = state.spelt(asked["tags"])
            cluster = Cluster(pools=pools, **asked)
            state.clusters[cluster.id] = cluster
            state.save()
            return jsonify(kubernetes_cluster=describing.cluster(cluster)), 201

    @app.get(ONE)
    def one(cluster_id: str) -> Response:
        with state.lock:
            cluster = state.clusters.get(cluster_id)
            if cluster is None or not shown(cluster):
                raise NotFoundError
            return jsonify(kubernetes_cluster=describing.cluster(cluster))

    @app.put(ONE)
    def updated(cluster_id: str) -> tuple[Response, int]:
        changes = reading.read(reading.ClusterChange, body()).given()
        with state.lock:
            cluster = cluster_of(state, cluster_id)
            refuse_taken(changes.get("name"), (other for other in state if other is not cluster))
            if cluster.ha and not changes.get("ha", True):
                raise InvalidError("ha cannot be disabled")
            if "tags" in changes:
                changes["tags"] = state.spelt(changes["tags"])
            cluster.change(changes)
            state.save()
            return jsonify(kubernetes_cluster=describing.cluster(cluster)), 202

    @app.delete(ONE)
    def deleted(cluster_id: str) -> tuple[str, int]:
        gather(state, lifecycle.client)
        with state.lock:
            cluster_of(state, cluster_id).become("deleting")
            state.save()
        return "", 204


def _listed(clusters: Iterable[Cluster], delay: float) -> Iterator[Cluster]:
    """Yield those clusters that have been there for a delay, in seconds."""
    return (cluster for cluster in clusters if time.time() >= cluster.created_at + delay)
