"""A proxy before an API server that makes faults: it delays, refuses, cuts, or answers in its place.

It speaks plain HTTP on loopback and TLS to the server. A hook decides about each request, and streams
(watches) can be cut at any moment::

    with Proxy.before(plane.control_plane, decide) as proxy:
        cluster = proxy.client()

``decide`` gets a `Call` and returns what becomes of it: `Pass`, `Answer` or `Cut`. It may be replaced while
requests are under way (``proxy.decide = …``), is called from many threads, and may block.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import parse_qsl, urlsplit

from kubernetes import client as upstream

from tideflow.clients.kubernetes import Kubernetes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tideflow.rehearsal.control_plane import ControlPlane

_PATIENCE = 120.0  # seconds a server may take for the next piece of an answer
_PIECE = 65536
# Those of the connection, and not of the request or the answer.
_HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Call:
    """One request: ``path`` is without the query; ``number`` counts all requests of a proxy, from 0 on."""

    number: int
    method: str
    path: str
    query: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def is_watch(self) -> bool:
        """Whether it opens a watch."""
        return self.query.get("watch") == "true"

    @property
    def is_list(self) -> bool:
        """Whether it lists a collection, or the first page of it."""
        return self.method == "GET" and "limit" in self.query and "continue" not in self.query


@dataclass(frozen=True)
class Pass:
    """Let the server answer, after ``delay`` seconds; cut its answer off after so many bytes of its body."""

    delay: float = 0.0
    cut_after: int | None = None


@dataclass(frozen=True)
class Answer:
    """Answer in the server's place; a body that is no bytes is sent as a line of JSON, as events are."""

    status: int
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cut:
    """Reset the connection: before the server sees the request, or, ``unheard``, after it has answered it."""

    unheard: bool = False


Verdict = Pass | Answer | Cut


def refusal(status: int, reason: str = "", message: str = "") -> dict[str, Any]:
    """Return a Status object, as an API server refuses with."""
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": status,
        "reason": reason,
        "message": message or reason,
    }


class Proxy:
    """A running proxy; leaving the context stops it and cuts what is open.

    ``endpoint`` is the server's URL and ``context`` how TLS is spoken to it: with a client certificate in it,
    everybody who comes through the proxy is its user.
    """

    def __init__(self, endpoint: str, context: ssl.SSLContext, decide: Callable[[Call], Verdict]) -> None:
        self.decide = decide
        self.calls: list[Call] = []
        self._upstream = urlsplit(endpoint)
        self._context = context
        self._lock = threading.Lock()
        self._streams: dict[int, tuple[Call, tuple[socket.socket, ...]]] = {}
        self._server = _Server(self)

    @classmethod
    def before(cls, plane: ControlPlane, decide: Callable[[Call], Verdict], *, admin: bool = True) -> Self:
        """Return a proxy before a control plane, as its ``admin`` or with credentials that clients send."""
        context = ssl.create_default_context(cadata=plane.certificate_authority)
        if admin:
            pki = plane.folder / "pki"
            context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        return cls(plane.endpoint, context, decide)

    def __enter__(self) -> Self:
        """Start to answer."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        return self

    def __exit__(self, *args: object) -> None:
        """Stop."""
        self._server.shutdown()
        self.cut_streams()
        self._server.close_connections()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def client(self, token: str = "") -> Kubernetes:
        """Return a client that goes through the proxy; the caller closes it."""
        configuration = upstream.Configuration()
        configuration.host = self.url
        if token:
            configuration.api_key["authorization"] = f"Bearer {token}"
        return Kubernetes(configuration)

    def seen(self, where: Callable[[Call], bool]) -> list[Call]:
        """Return the requests so far that ``where`` accepts."""
        with self._lock:
            return [call for call in self.calls if where(call)]

    def streams(self) -> list[Call]:
        """Return the watches that are open now."""
        with self._lock:
            return [call for call, _ in self._streams.values()]

    def cut_streams(self, where: Callable[[Call], bool] = lambda _: True) -> int:
        """Cut the open watches that ``where`` accepts, and return how many they were."""
        with self._lock:
            cut = [sockets for call, sockets in self._streams.values() if where(call)]
        for sockets in cut:
            for each in sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        return len(cut)

    def _note(self, method: str, target: str, body: bytes) -> Call:
        parts = urlsplit(target)
        with self._lock:
            call = Call(len(self.calls), method, parts.path, dict(parse_qsl(parts.query)), body)
            self.calls.append(call)
        return call

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self._upstream.hostname or "", self._upstream.port, timeout=_PATIENCE, context=self._context
        )

    @contextlib.contextmanager
    def _streaming(self, call: Call, *sockets: socket.socket | None) -> Any:
        with self._lock:
            self._streams[call.number] = (call, tuple(each for each in sockets if each is not None))
        try:
            yield
        finally:
            with self._lock:
                del self._streams[call.number]


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End connections that clients keep open, so that their threads end."""
        for each in list(self._connections):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that go away: that is what is tested."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        proxy = cast("_Server", self.server).proxy
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        call = proxy._note(self.command, self.path, body)
        verdict = proxy.decide(call)
        if isinstance(verdict, Answer):
            self._answer(verdict)
        elif isinstance(verdict, Cut):
            if verdict.unheard:
                self._forward(proxy, call, Pass(cut_after=0), send_head=False)
            self._reset()
        else:
            time.sleep(verdict.delay)
            try:
                self._forward(proxy, call, verdict)
            except (OSError, http.client.HTTPException):
                self._reset()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the names http.server looks for

    def _answer(self, verdict: Answer) -> None:
        body = verdict.body if isinstance(verdict.body, bytes) else json.dumps(verdict.body).encode() + b"\n"
        self.send_response(verdict.status)
        for name, value in {"content-type": "application/json", **verdict.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _forward(self, proxy: Proxy, call: Call, verdict: Pass, *, send_head: bool = True) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        with contextlib.closing(proxy._connect()) as server:
            server.request(self.command, self.path, body=call.body or None, headers=headers)
            with server.getresponse() as answer:
                if not send_head:
                    return
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in _HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                if call.is_watch:
                    with proxy._streaming(call, self.connection, server.sock):
                        self._copy(answer, verdict.cut_after)
                else:
                    self._copy(answer, verdict.cut_after)

    def _copy(self, answer: http.client.HTTPResponse, cut_after: int | None) -> None:
        left = cut_after
        while piece := answer.read1(_PIECE if left is None else max(1, min(_PIECE, left))):
            if left is not None:
                if left == 0:
                    raise ConnectionResetError
                left -= len(piece)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _reset(self) -> None:
        """Close the connection with a reset, not with a proper end."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
