"""Tags that were created by themselves; they outlive whatever had them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import jsonify, request

from tideflow.rehearsal.twin import describing, queries, reading
from tideflow.rehearsal.twin.answering import NotFoundError, body

if TYPE_CHECKING:
    from flask import Flask, Response

    from tideflow.rehearsal.twin.state import State

PATH = "/v2/tags"
_ONE = f"{PATH}/<name>"
_KINDS = ("droplets", "images", "volumes", "volume_snapshots", "databases")


def add(app: Flask, state: State) -> None:
    """Answer for the tags of the state."""

    @app.get(PATH)
    def listed_tags() -> Response:
        asked = reading.read(queries.Page, request.args.to_dict())
        with state.lock:
            found = list(map(_described, state.tags))
        return jsonify(describing.page(found, "tags", request.base_url, asked))

    @app.post(PATH)
    def created_tag() -> tuple[Response, int]:
        name = reading.read(reading.Tag, body()).name
        with state.lock:
            if name not in state.tags:
                state.tags.append(name)
                state.save()
        return jsonify(tag=_described(name)), 201

    @app.get(_ONE)
    def one_tag(name: str) -> Response:
        with state.lock:
            if name not in state.tags:
                raise NotFoundError
        return jsonify(tag=_described(name))

    @app.delete(_ONE)
    def deleted_tag(name: str) -> tuple[str, int]:
        with state.lock:
            if name not in state.tags:
                raise NotFoundError
            state.tags.remove(name)
            state.save()
        return "", 204


def _described(name: str) -> dict[str, Any]:
    return {"name": name, "resources": {"count": 0, **{kind: {"count": 0} for kind in _KINDS}}}
