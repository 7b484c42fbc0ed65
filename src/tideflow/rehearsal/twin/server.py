"""Serving the twin on loopback, until it is told to end."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

from typing_extensions import override
from werkzeug.serving import WSGIRequestHandler, make_server

from tideflow.errors import RehearsalError
from tideflow.files import private_folder
from tideflow.rehearsal import tokens
from tideflow.rehearsal.twin.api import application
from tideflow.rehearsal.twin.lifecycle import Lifecycle
from tideflow.rehearsal.twin.nameserver import answering
from tideflow.rehearsal.twin.state import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tideflow.rehearsal.pace import Pace

HOST = "127.0.0.1"


class Handler(WSGIRequestHandler):
    """Logs method, path and status; headers and query carry what is nobody's business."""

    protocol_version = "HTTP/1.1"

    @override
    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        self.log("info", "%s %s %s", self.command, self.path.partition("?")[0], code)


def listening(port: int) -> socket.socket:
    """Return a socket that listens on a port of loopback; the caller closes it.

    Raises ``RehearsalError`` if the port cannot be had; werkzeug itself says so on several lines.
    """
    try:
        return socket.create_server((HOST, port), backlog=128)
    except OSError as error:
        why = (
            "is in use by another program"
            if error.errno == errno.EADDRINUSE
            else f"cannot be had: {error.strerror}"
        )
        raise RehearsalError(f"port {port} {why}", hint="choose another one with --port") from None


def serve(
    folder: Path,
    listener: socket.socket,
    *,
    token: str | None = None,
    binaries: Path,
    pace: Pace,
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve the twin whose state is in ``folder`` until SIGTERM or SIGINT; its control planes go on.

    Clients have to show the ``token``, by default the one that is kept in the folder, made now if there is
    none. ``ready`` is told the address once it answers. Raises ``RehearsalError`` if what is in the folder
    cannot be read.
    """
    logging.getLogger("werkzeug").setLevel(logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    private_folder(folder)
    state = State(folder / "state.json")
    lifecycle = Lifecycle(state, folder, binaries, pace)
    port = listener.getsockname()[1]
    server = make_server(
        HOST,
        port,
        application(state, lifecycle, token or tokens.kept_or_new(folder)),
        threaded=True,
        request_handler=Handler,
        fd=listener.fileno(),  # of which it makes a copy
    )
    lifecycle.address = f"http://{HOST}:{port}"
    following = threading.Thread(target=lifecycle.run, daemon=True)
    following.start()

    def end(*_: object) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    try:
        with answering(state, HOST, port):
            ready(f"{lifecycle.address}/v2/")
            server.serve_forever()
    finally:
        lifecycle.stop()
        server.server_close()
        if folder.is_dir():  # or it was removed, and is not wanted again
            with state.lock:
                state.save()  # the file may have been damaged since
