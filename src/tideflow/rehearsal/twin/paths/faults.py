"""The faults of the twin, switched on and off by whoever holds the token; no path of DigitalOcean's."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from flask import g, jsonify, request

from tideflow.rehearsal.twin import reading
from tideflow.rehearsal.twin.answering import body, error
from tideflow.rehearsal.twin.faults import Faults

if TYPE_CHECKING:
    from flask import Flask, Response

    from tideflow.rehearsal.twin.faults import Rule, Switchboard

PATH = "/rehearsal/faults"
_API = "/v2/"


def add(app: Flask, switchboard: Switchboard) -> None:
    """Answer for the faults, and have requests of DigitalOcean's API follow the rules."""

    @app.get(PATH)
    def shown() -> Response:
        return jsonify(switchboard.faults.model_dump())

    @app.put(PATH)
    def switched() -> Response:
        switchboard.switch(reading.read(Faults, body()))
        return shown()

    @app.delete(PATH)
    def off() -> tuple[str, int]:
        switchboard.switch(Faults())
        return "", 204

    @app.before_request
    def before() -> Response | None:
        rule = switchboard.rule_for(request.method, request.path) if request.path.startswith(_API) else None
        if rule is None:
            return None
        if rule.carried_out:
            g.rule = rule
            return None
        time.sleep(rule.delay)
        return _failure(rule) if rule.fails else None

    @app.after_request
    def after(response: Response) -> Response:
        rule: Rule | None = g.get("rule")
        if rule is None:
            return response
        time.sleep(rule.delay)
        return _failure(rule) if rule.fails else response


def _failure(rule: Rule) -> Response:
    """Return what is answered by a rule; nobody gets it when the connection is cut first."""
    if rule.cut and (connection := request.environ.get("werkzeug.socket")) is not None:
        connection.shutdown(socket.SHUT_RDWR)
    answer = error(rule.status or 500, rule.message)
    if rule.retry_after is not None:
        answer.headers["retry-after"] = str(rule.retry_after)
    return answer
