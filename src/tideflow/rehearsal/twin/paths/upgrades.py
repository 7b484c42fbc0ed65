"""Upgrades of clusters to other versions of Kubernetes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import jsonify

from tideflow.rehearsal.twin import catalogue, describing, reading
from tideflow.rehearsal.twin.answering import body, cluster_of
from tideflow.rehearsal.twin.paths import clusters
from tideflow.rehearsal.twin.reading import InvalidError

if TYPE_CHECKING:
    from flask import Flask, Response

    from tideflow.rehearsal.twin.state import State


def add(app: Flask, state: State) -> None:
    """Answer for all clusters of the state."""

    @app.get(f"{clusters.ONE}/upgrades")
    def upgrades(cluster_id: str) -> Response:
        with state.lock:
            found = catalogue.upgrades(cluster_of(state, cluster_id).version)
        return jsonify(available_upgrade_versions=describing.versions(found) if found else None)

    @app.post(f"{clusters.ONE}/upgrade")
    def upgraded(cluster_id: str) -> tuple[str, int]:
        version = reading.read(reading.Upgrade, body()).version
        with state.lock:
            cluster = cluster_of(state, cluster_id)
            if version not in catalogue.upgrades(cluster.version):
                raise InvalidError("version is not one that the cluster can be upgraded to")
            if cluster.state != "running":
                raise InvalidError("the cluster is not running")
            cluster.next_version = version
            cluster.become("upgrading")
            state.save()
        return "", 202
