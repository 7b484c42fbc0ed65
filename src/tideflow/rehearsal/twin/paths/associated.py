"""Deleting a cluster together with what it made, all of it or what is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import jsonify

from tideflow.rehearsal.twin import reading
from tideflow.rehearsal.twin.answering import body, cluster_of
from tideflow.rehearsal.twin.gathering import gather
from tideflow.rehearsal.twin.paths import clusters
from tideflow.rehearsal.twin.reading import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask, Response

    from tideflow.rehearsal.twin.lifecycle import Lifecycle
    from tideflow.rehearsal.twin.resources import Balancer, Snapshot, Volume
    from tideflow.rehearsal.twin.state import State

PATH = f"{clusters.ONE}/destroy_with_associated_resources"


def add(app: Flask, state: State, lifecycle: Lifecycle) -> None:
    """Answer for all clusters of the state."""

    def associated(cluster_id: str) -> dict[str, dict[str, str]]:
        """Return the names of what a cluster made, by kind and id."""
        cluster_of(state, cluster_id)
        kinds: dict[str, Mapping[str, Balancer | Volume | Snapshot]] = {
            "load_balancers": state.balancers,
            "volumes": state.volumes,
            "volume_snapshots": state.snapshots,
        }
        return {
            kind: {found.id: found.name for found in things.values() if found.cluster_id == cluster_id}
            for kind, things in kinds.items()
        }

    def delete(cluster_id: str, doomed: dict[str, list[str]]) -> tuple[str, int]:
        cluster = cluster_of(state, cluster_id)
        stays = lifecycle.switchboard.faults.left_behind
        cluster.doomed = [thing for kind, things in doomed.items() if kind not in stays for thing in things]
        cluster.become("deleting")
        state.save()
        return "", 204

    @app.get(PATH)
    def listed_associated(cluster_id: str) -> Response:
        gather(state, lifecycle.client)
        with state.lock:
            found = associated(cluster_id)
        return jsonify(
            {kind: [{"id": thing, "name": found[kind][thing]} for thing in found[kind]] for kind in found}
        )

    @app.delete(f"{PATH}/selective")
    def deleted_selectively(cluster_id: str) -> tuple[str, int]:
        asked = reading.read(reading.Associated, body()).model_dump()
        gather(state, lifecycle.client)
        with state.lock:
            found = associated(cluster_id)
            for kind, things in asked.items():
                if not set(things) <= found[kind].keys():
                    raise InvalidError(f"{kind} are not all associated with the cluster")
            return delete(cluster_id, asked)

    @app.delete(f"{PATH}/dangerous")
    def deleted_wholly(cluster_id: str) -> tuple[str, int]:
        gather(state, lifecycle.client)
        with state.lock:
            return delete(cluster_id, {kind: list(things) for kind, things in associated(cluster_id).items()})
