"""Serving the twin on loopback, until it is told to end."""

from __future__ import annotations

import logging
import signal
import threading
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server

from tideflow.errors import RehearsalError
from tideflow.rehearsal.files import private_folder
from tideflow.rehearsal.twin.api import application
from tideflow.rehearsal.twin.lifecycle import Lifecycle
from tideflow.rehearsal.twin.state import State

if TYPE_CHECKING:
    from pathlib import Path

    from tideflow.rehearsal.pace import Pace

HOST = "127.0.0.1"


class _Handler(WSGIRequestHandler):
    """Logs method, path and status; headers and query carry what is nobody's business."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: Any = "-", size: Any = "-") -> None:  # noqa: ARG002 - the base class gives it
        self.log("info", "%s %s %s", self.command, self.path.partition("?")[0], code)


def serve(folder: Path, *, port: int, token: str, binaries: Path, pace: Pace) -> None:
    """Serve the twin whose state is in ``folder`` until SIGTERM or SIGINT; its control planes go on.

    Raises ``RehearsalError`` if the port is taken.
    """
    logging.getLogger("werkzeug").setLevel(logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    private_folder(folder)
    state = State(folder / "state.json")
    lifecycle = Lifecycle(state, folder, binaries, pace)
    try:
        server = make_server(
            HOST, port, application(state, lifecycle, token), threaded=True, request_handler=_Handler
        )
    except (OSError, SystemExit):  # werkzeug ends the process where it cannot listen
        raise RehearsalError(
            f"port {port} is in use by another program", hint="choose another one with --port"
        ) from None
    lifecycle.address = f"http://{HOST}:{server.server_port}"
    following = threading.Thread(target=lifecycle.run, daemon=True)
    following.start()

    def end(*_: object) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    try:
        server.serve_forever()
    finally:
        lifecycle.stop()
        server.server_close()
