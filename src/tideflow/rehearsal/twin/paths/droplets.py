"""Droplets: those that nodes run on, listed with what tells whose they are and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import jsonify, request

from tideflow.rehearsal.twin import catalogue, describing, droplets, queries, reading
from tideflow.rehearsal.twin.answering import ConflictError, NotFoundError

if TYPE_CHECKING:
    from flask import Flask, Response

    from tideflow.rehearsal.twin.resources import Droplet
    from tideflow.rehearsal.twin.state import State

PATH = "/v2/droplets"


def add(app: Flask, state: State) -> None:
    """Answer for the nodes of all clusters, until they are gone."""

    def nodes() -> list[Droplet]:
        return [found for cluster in state for found in droplets.of(cluster)]

    @app.get(PATH)
    def listed_droplets() -> Response:
        asked = reading.read(queries.Droplets, request.args.to_dict())
        with state.lock:
            every = [*nodes(), *state.droplets.values()]
        found = [_described(droplet) for droplet in every if asked.tag_name in {None, *droplet.tags}]
        return jsonify(describing.page(found, "droplets", request.base_url, asked))

    @app.delete(f"{PATH}/<int:droplet_id>")
    def deleted_droplet(droplet_id: int) -> tuple[str, int]:
        with state.lock:
            if any(found.id == droplet_id for found in nodes()):
                raise ConflictError("nodes are deleted by their cluster")
            if state.droplets.pop(droplet_id, None) is None:
                raise NotFoundError
            state.save()
        return "", 204


def _described(found: Droplet) -> dict[str, Any]:
    size = catalogue.SIZES[found.size]
    return {
        "id": found.id,
        "name": found.name,
        "memory": size.memory_mib,
        "vcpus": size.cpus,
        "locked": False,
        "status": found.status,
        "created_at": describing.timestamp(found.created_at),
        "size_slug": size.slug,
        "region": describing.region(found.region),
        "tags": found.tags,
        "vpc_uuid": found.vpc_uuid,
    }
