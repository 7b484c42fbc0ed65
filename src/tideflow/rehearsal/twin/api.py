"""The twin's API: who may ask, and which module answers."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from flask import Flask, g, request

from tideflow.rehearsal.twin.answering import answer_errors, error
from tideflow.rehearsal.twin.limits import Limits
from tideflow.rehearsal.twin.paths import (
    access,
    associated,
    balancers,
    clusters,
    domains,
    droplets,
    faults,
    nodes,
    offers,
    pools,
    tags,
    upgrades,
    volumes,
)

if TYPE_CHECKING:
    from flask import Response

    from tideflow.rehearsal.twin.faults import Switchboard
    from tideflow.rehearsal.twin.lifecycle import Lifecycle
    from tideflow.rehearsal.twin.limits import Standing
    from tideflow.rehearsal.twin.state import State

ACCOUNT = "rehearsal@tideflow.dev"
"""Whose account it is: an e-mail address, and the user in the audit log of clusters."""


def application(state: State, lifecycle: Lifecycle, token: str) -> Flask:
    """Return the API for whoever holds the token."""
    app = Flask("tideflow.rehearsal.twin")
    app.json.sort_keys = False  # type: ignore[attr-defined] # of the provider that Flask has by default
    switchboard = lifecycle.switchboard
    _limit(app, Limits(lifecycle.pace.speed), switchboard)
    _guard(app, token)
    answer_errors(app)
    faults.add(app, switchboard)
    offers.add(app, state, switchboard, ACCOUNT)
    clusters.add(app, state, lifecycle)
    pools.add(app, state, switchboard)
    nodes.add(app, state)
    upgrades.add(app, state)
    balancers.add(app, state, lifecycle)
    volumes.add(app, state, lifecycle)
    associated.add(app, state, lifecycle)
    domains.add(app, state)
    droplets.add(app, state)
    tags.add(app, state)
    access.add(app, state, lifecycle, ACCOUNT)
    return app


def _guard(app: Flask, token: str) -> None:
    @app.before_request
    def authenticate() -> Response | None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        # API servers ask about tokens without having one of this API.
        if request.path.startswith(access.REVIEW) or secrets.compare_digest(given.encode(), token.encode()):
            return None
        return error(401, "Unable to authenticate you")


def _limit(app: Flask, limits: Limits, switchboard: Switchboard) -> None:
    """Refuse what is too much; the rehearsal's own paths are neither counted nor refused."""

    @app.before_request
    def count() -> Response | None:
        if not request.path.startswith("/v2/"):
            return None
        allowed = switchboard.faults
        g.standing = limits.count(per_hour=allowed.requests_per_hour, per_minute=allowed.requests_per_minute)
        return None if g.standing.admitted else error(429, "API Rate limit exceeded.")

    @app.after_request
    def tell(response: Response) -> Response:
        standing: Standing | None = g.get("standing")
        if standing is not None:
            response.headers["ratelimit-limit"] = str(standing.limit)
            response.headers["ratelimit-remaining"] = str(standing.remaining)
            response.headers["ratelimit-reset"] = str(standing.reset)
            if standing.retry_after is not None:
                response.headers["retry-after"] = str(standing.retry_after)
        return response
