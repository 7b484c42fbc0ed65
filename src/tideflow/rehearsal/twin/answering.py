"""What all paths of the twin have in common: bodies are read, things found by id, errors answered."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, TypeVar

from flask import jsonify, request
from werkzeug.exceptions import BadRequest, HTTPException

from tideflow.rehearsal.twin.reading import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask import Flask, Response

    from tideflow.rehearsal.twin.cluster import Cluster, Node, Pool
    from tideflow.rehearsal.twin.state import State

Thing = TypeVar("Thing")

_IDENTITIES = {
    400: "bad_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    422: "unprocessable_entity",
    429: "too_many_requests",
}


class NotFoundError(HTTPException):
    """There is no such thing."""

    code = 404
    description = "The resource you requested could not be found."


class ConflictError(HTTPException):
    """Something is in the way; the text says what."""

    code = 409


def error(status: int, message: str) -> Response:
    """Return an error in the shape that the description gives to all of them."""
    identity = _IDENTITIES.get(status, "server_error")
    response = jsonify(id=identity, message=message, request_id=str(uuid.uuid4()))
    response.status_code = status
    return response


def answer_errors(app: Flask) -> None:
    """Have whatever is raised answered in that shape."""

    @app.errorhandler(InvalidError)
    def invalid(raised: InvalidError) -> Response:
        return error(422, str(raised))

    @app.errorhandler(HTTPException)
    def refused(raised: HTTPException) -> Response:
        if raised.code == NotFoundError.code:
            return error(404, NotFoundError.description)
        return error(raised.code or 500, raised.description or raised.name)


def body() -> Any:
    """Return the request's body, whatever its type is said to be."""
    try:
        return request.get_json(force=True)
    except RecursionError:
        raise BadRequest("the body is nested too deep") from None


def known(found: Thing | None) -> Thing:
    """Return what was found, or raise ``NotFoundError``."""
    if found is None:
        raise NotFoundError
    return found


def cluster_of(state: State, cluster_id: str) -> Cluster:
    """Return a cluster that is not being deleted, or raise ``NotFoundError``."""
    cluster = known(state.clusters.get(cluster_id))
    if cluster.state == "deleting":
        raise NotFoundError
    return cluster


def pool_of(cluster: Cluster, pool_id: str) -> Pool:
    """Return one of a cluster's pools, or raise ``NotFoundError``."""
    return known(next((pool for pool in cluster.pools if pool.id == pool_id), None))


def node_of(pool: Pool, node_id: str) -> Node:
    """Return one of a pool's nodes, or raise ``NotFoundError``."""
    return known(next((node for node in pool.nodes if node.id == node_id), None))


def refuse_beyond(limit: int, state: State, *, more: int) -> None:
    """Raise ``InvalidError`` if so many more droplets are too many; a pool counts as large as it may get."""
    used = sum(pool.most() for cluster in state for pool in cluster.pools)
    if more > 0 and used + more > limit:
        raise InvalidError(
            f"validation error: {more} additional nodes, but the droplet limit of {limit} leaves "
            f"{max(0, limit - used)}"
        )


def refuse_taken(name: str | None, others: Iterable[Cluster | Pool]) -> None:
    """Raise ``InvalidError`` if another one has the name."""
    if any(name == other.name for other in others):
        raise InvalidError("name is already in use")
