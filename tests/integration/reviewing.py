"""The answer to "whose token is this?", which the API server asks of the twin in a rehearsal."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from typing_extensions import override

GROUPS = ["system:masters", "tideflow:platform"]


class TokenReviews(ThreadingHTTPServer):
    """A token webhook: the tokens in ``users`` are good, for the user they lead to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.users: dict[str, str] = {}
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        """Where the API server asks."""
        return f"http://127.0.0.1:{self.server_port}/review"

    @override
    def __enter__(self) -> Self:
        self._thread.start()
        return self

    @override
    def __exit__(self, *args: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answers one TokenReview."""

    server: TokenReviews

    def do_POST(self) -> None:
        """Say who it is."""
        review = json.loads(self.rfile.read(int(self.headers["content-length"])))
        user = self.server.users.get(review["spec"]["token"])
        status: dict[str, Any] = {"authenticated": user is not None}
        if user:
            status["user"] = {"username": user, "groups": GROUPS}
        answer = json.dumps({"apiVersion": review["apiVersion"], "kind": "TokenReview", "status": status})
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(answer.encode())

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
