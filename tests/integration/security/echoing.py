"""A server that answers with what it was asked, credentials and all, as a defective or a nosy one might."""

from __future__ import annotations

import http.server
import json
import threading
from typing import Any, Self, cast


class Echo:
    """Answers everything with a ``status``: an error whose message is the request, or its mere text."""

    def __init__(self, status: int, *, plain: bool = False) -> None:
        self.status = status
        self.plain = plain
        self.asked: list[str] = []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        cast("Any", self._server).echo = self

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Begin to answer."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        return self

    def __exit__(self, *args: object) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    def _serve(self) -> None:
        echo: Echo = cast("Any", self.server).echo
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode(errors="replace")
        # The credentials first, since of long texts the end may be left out.
        told = f"{self.headers.get('authorization')} asked for {self.command} {self.path}: {body}"
        echo.asked.append(told)
        answer = {
            "id": "odd",
            "kind": "Status",
            "reason": "Odd",
            "message": told,
            "details": {"causes": [{"reason": "Odd", "field": ".data", "message": told}]},
        }
        data = told.encode() if echo.plain else json.dumps(answer).encode()
        self.send_response(echo.status)
        self.send_header("content-type", "text/plain" if echo.plain else "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the names http.server looks for

    def log_message(self, *_: object) -> None:
        """Say nothing."""
