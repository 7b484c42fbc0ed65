"""An API server of an aggregated API: it has one type, and is reached as a pod of the cluster would be."""

from __future__ import annotations

import http.server
import json
import socketserver
import ssl
import tempfile
import threading
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from tideflow.rehearsal.certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path
    from socket import socket

GROUP = "flasks.example.org"


class Aggregated(socketserver.ThreadingUnixStreamServer):
    """Serves Flasks where the API server sends its calls into the cluster, to whatever pod they go."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        super().__init__(str(path), _Tunnel)
        self.objects: dict[str, dict[str, Any]] = {}
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write("".join(Authority.new("aggregated").issue("aggregated", dns_names=["aggregated"])))
            file.flush()
            self.context.load_cert_chain(file.name)

    def __enter__(self) -> Self:
        """Serve in a thread."""
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        """End it."""
        self.shutdown()
        self.server_close()


class _Tunnel(socketserver.BaseRequestHandler):
    server: Aggregated
    request: socket

    def handle(self) -> None:
        """Take a CONNECT to any address, and speak HTTP over TLS after it."""
        head = b""
        while b"\r\n\r\n" not in head:
            received = self.request.recv(4096)
            if not received:
                return
            head += received
        self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            with self.server.context.wrap_socket(self.request, server_side=True) as secure:
                _Api(secure, "", self.server)
        except OSError:
            return


class _Api(http.server.BaseHTTPRequestHandler):
    server: Aggregated

    def do_GET(self) -> None:
        """Tell what there is."""
        parts = urlsplit(self.path)
        kinds = {"name": "flasks", "kind": "Flask", "namespaced": True, "verbs": ["get", "list", "patch"]}
        if parts.path == f"/apis/{GROUP}/v1":
            self._answer(
                {
                    "kind": "APIResourceList",
                    "apiVersion": "v1",
                    "groupVersion": f"{GROUP}/v1",
                    "resources": [kinds],
                }
            )
        elif parts.path == f"/apis/{GROUP}/v1/flasks" and "watch=true" not in parts.query:
            self._answer({"metadata": {"resourceVersion": "5"}, "items": [*self.server.objects.values()]})
        else:
            self._answer({}, 404)

    def do_PATCH(self) -> None:
        """Keep what is applied."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body["metadata"] |= {"uid": body["metadata"]["name"], "resourceVersion": "5"}
        self.server.objects[urlsplit(self.path).path] = body
        self._answer(body)

    def _answer(self, body: Any, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Say nothing."""
