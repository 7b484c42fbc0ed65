"""The twin's API: who may ask, and which module answers."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from flask import Flask, request

from tideflow.rehearsal.twin.answering import answer_errors, error
from tideflow.rehearsal.twin.paths import access, clusters, offers, pools

if TYPE_CHECKING:
    from flask import Response

    from tideflow.rehearsal.twin.lifecycle import Lifecycle
    from tideflow.rehearsal.twin.state import State

ACCOUNT = "rehearsal@tideflow.dev"
"""Whose account it is: an e-mail address, and the user in the audit log of clusters."""

_LIMIT = 5000  # requests an hour; told in the headers as if each were the first, and not enforced


def application(state: State, lifecycle: Lifecycle, token: str) -> Flask:
    """Return the API for whoever holds the token."""
    app = Flask("tideflow.rehearsal.twin")
    app.json.sort_keys = False  # type: ignore[attr-defined] # of the provider that Flask has by default
    _guard(app, token)
    answer_errors(app)
    offers.add(app, state, ACCOUNT)
    clusters.add(app, state)
    pools.add(app, state)
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

    @app.after_request
    def limits(response: Response) -> Response:
        response.headers["ratelimit-limit"] = str(_LIMIT)
        response.headers["ratelimit-remaining"] = str(_LIMIT - 1)
        response.headers["ratelimit-reset"] = str(int(time.time()) + 3600)
        return response
