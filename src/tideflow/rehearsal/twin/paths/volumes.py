"""Volumes and their snapshots; volumes are made by the cluster that has a claim for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import jsonify, request

from tideflow.rehearsal.twin import describing, queries, reading
from tideflow.rehearsal.twin.answering import ConflictError, body, known
from tideflow.rehearsal.twin.gathering import gather
from tideflow.rehearsal.twin.resources import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask, Response

    from tideflow.rehearsal.twin.lifecycle import Lifecycle
    from tideflow.rehearsal.twin.resources import Volume
    from tideflow.rehearsal.twin.state import State

PATH = "/v2/volumes"
_ONE = f"{PATH}/<volume_id>"
_SNAPSHOT = f"{PATH}/snapshots/<snapshot_id>"


def add(app: Flask, state: State, lifecycle: Lifecycle) -> None:
    """Answer for the volumes of all clusters, those that are gone included."""

    def volume(volume_id: str) -> Volume:
        return known(state.volumes.get(volume_id))

    @app.get(PATH)
    def listed_volumes() -> Response:
        asked = reading.read(queries.Volumes, request.args.to_dict())
        gather(state, lifecycle.client)
        with state.lock:
            found = [
                _described(found)
                for found in state.volumes.values()
                if asked.name in {None, found.name} and asked.region in {None, found.region}
            ]
        return jsonify(describing.page(found, "volumes", request.base_url, asked))

    @app.get(_ONE)
    def one_volume(volume_id: str) -> Response:
        gather(state, lifecycle.client)
        with state.lock:
            return jsonify(volume=_described(volume(volume_id)))

    @app.delete(_ONE)
    def deleted_volume(volume_id: str) -> tuple[str, int]:
        gather(state, lifecycle.client)
        with state.lock:
            found = volume(volume_id)
            if found.droplet_ids:
                raise ConflictError("attached volume cannot be deleted")
            state.delete(found)
            state.save()
        return "", 204

    _add_snapshots(app, state, volume)


def _add_snapshots(app: Flask, state: State, volume: Callable[[str], Volume]) -> None:
    def snapshot(snapshot_id: str) -> Snapshot:
        return known(state.snapshots.get(snapshot_id))

    @app.get("/v2/snapshots")
    def listed_all_snapshots() -> Response:
        asked = reading.read(queries.Snapshots, request.args.to_dict())
        with state.lock:
            found = list(map(_snapshot, state.snapshots.values())) if asked.resource_type != "droplet" else []
        return jsonify(describing.page(found, "snapshots", request.base_url, asked))

    @app.get(f"{_ONE}/snapshots")
    def listed_snapshots(volume_id: str) -> Response:
        asked = reading.read(queries.Page, request.args.to_dict())
        with state.lock:
            wanted = volume(volume_id).id
            found = [_snapshot(found) for found in state.snapshots.values() if found.volume_id == wanted]
        return jsonify(describing.page(found, "snapshots", request.base_url, asked))

    @app.post(f"{_ONE}/snapshots")
    def taken(volume_id: str) -> tuple[Response, int]:
        asked = reading.read(reading.Snapshot, body())
        with state.lock:
            of = volume(volume_id)
            made = Snapshot(asked.name, of.id, of.cluster_id, of.region, of.size, asked.tags or [])
            state.snapshots[made.id] = made
            state.save()
            return jsonify(snapshot=_snapshot(made)), 201

    @app.get(_SNAPSHOT)
    def one_snapshot(snapshot_id: str) -> Response:
        with state.lock:
            return jsonify(snapshot=_snapshot(snapshot(snapshot_id)))

    @app.delete(_SNAPSHOT)
    def deleted_snapshot(snapshot_id: str) -> tuple[str, int]:
        with state.lock:
            state.forget(snapshot(snapshot_id).id)
            state.save()
        return "", 204


def _described(found: Volume) -> dict[str, Any]:
    return {
        "id": found.id,
        "droplet_ids": found.droplet_ids,
        "name": found.name,
        "description": "Created by DigitalOcean CSI driver",
        "size_gigabytes": found.size,
        "created_at": describing.timestamp(found.created_at),
        "tags": [f"k8s:{found.cluster_id}"],
        "region": describing.region(found.region),
        "filesystem_type": found.file_system,
        "filesystem_label": "",
    }


def _snapshot(found: Snapshot) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "created_at": describing.timestamp(found.created_at),
        "regions": [found.region],
        "min_disk_size": found.size,
        "size_gigabytes": found.size,
        "resource_id": found.volume_id,
        "resource_type": "volume",
        "tags": found.tags,
    }
