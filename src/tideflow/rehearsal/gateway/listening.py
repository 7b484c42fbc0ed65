"""Listening on loopback: one port for HTTP and HTTPS, and one by which oauth2-proxy reaches the cluster.

Which of the two comes in over the first is told by its first byte. All of it is one event loop in a thread
of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import ssl
import threading
from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohttp import web
from multidict import CIMultiDict

from tideflow.rehearsal.gateway.messages import NoAnswerError, Request, text
from tideflow.rehearsal.gateway.workloads import forwarded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tideflow.rehearsal.gateway.messages import Answer

    Answering = Callable[[Request], Awaitable[Answer]]

_LOG = logging.getLogger(__name__)
_HOST = "127.0.0.1"
_HANDSHAKE = 0x16  # what a TLS connection begins with
_PATIENCE = 60.0  # seconds for the first byte
_SHUTDOWN = 1.0  # seconds for what is under way


class Loop:
    """The thread in which everything is answered."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="gateway", daemon=True).start()

    def run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Have something done in the thread, and return what it returns."""

        async def started() -> Any:
            return await work()

        return asyncio.run_coroutine_threadsafe(started(), self._loop).result(timeout=30)


class Front:
    """The port of the gateway; ``context`` returns what presents the certificate of a server name."""

    def __init__(
        self, loop: Loop, answer: Answering, context: Callable[[str], ssl.SSLContext | None]
    ) -> None:
        self._loop = loop
        self._answer = answer
        self._context = context
        self._listener: socket.socket | None = None
        self._server: web.Server | None = None
        self._accepting: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it listens."""
        return self._listener is not None

    def open(self, port: int) -> None:
        """Listen; raises `OSError` if somebody else does."""
        listener = socket.socket()
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((_HOST, port))
            listener.listen(128)
            listener.setblocking(False)  # noqa: FBT003 - its only argument
        except OSError:
            listener.close()
            raise

        async def begin() -> None:
            self._server = web.Server(self._handle, access_log=None)
            self._accepting = asyncio.create_task(self._accept(listener))

        self._listener = listener
        self._loop.run(begin)

    def close(self) -> None:
        """Listen no more, and end the connections that there are."""
        if self._listener is None:
            return

        async def end() -> None:
            if self._accepting is not None:
                self._accepting.cancel()
            if self._server is not None:
                await self._server.shutdown(_SHUTDOWN)

        self._loop.run(end)
        self._listener.close()
        self._listener = None

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        serving: set[asyncio.Task[None]] = set()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:  # too many open files
                _LOG.warning("cannot accept a connection: %s", error)
                await asyncio.sleep(1)
                continue
            task = asyncio.create_task(self._serve(connection))
            serving.add(task)
            task.add_done_callback(serving.discard)

    async def _serve(self, connection: socket.socket) -> None:
        assert self._server is not None  # noqa: S101 - for the types
        connection.setblocking(False)  # noqa: FBT003 - its only argument
        try:
            async with asyncio.timeout(_PATIENCE):
                await _readable(connection)
            first = connection.recv(1, socket.MSG_PEEK)
            context = self._chooser() if first and first[0] == _HANDSHAKE else None
            await asyncio.get_running_loop().connect_accepted_socket(self._server, connection, ssl=context)
        except (OSError, TimeoutError):  # it is gone, or does not trust us
            connection.close()

    def _chooser(self) -> ssl.SSLContext:
        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
            try:
                chosen = self._context(name or "")
            except Exception:  # noqa: BLE001 - what is in a Secret may be anything
                _LOG.exception("no certificate for %s", name)
                chosen = None
            if chosen is None:
                return int(ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE)
            connection.context = chosen
            return None

        chooser = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        chooser.sni_callback = choose
        return chooser

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            asked = await _read(request, request.raw_path)
            return _response(await self._answer(asked))
        except NoAnswerError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()


class Calls:
    """What programs outside of the cluster's network reach its Services by: a proxy that takes a secret."""

    def __init__(self, loop: Loop, answer: Answering) -> None:
        self._answer = answer
        secret = secrets.token_urlsafe(24)
        self._credentials = "Basic " + b64encode(f"rehearsal:{secret}".encode()).decode()

        async def begin() -> int:
            server = await asyncio.get_running_loop().create_server(
                web.Server(self._handle, access_log=None), _HOST, 0
            )
            return int(server.sockets[0].getsockname()[1])

        self.url = f"http://rehearsal:{secret}@{_HOST}:{loop.run(begin)}"

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        given = request.headers.get("Proxy-Authorization", "")
        if not secrets.compare_digest(given.encode(), self._credentials.encode()):
            return web.Response(status=407)
        url = urlsplit(request.raw_path)
        asked = await _read(request, url._replace(scheme="", netloc="").geturl() or "/")
        asked.headers["Host"] = url.netloc
        try:
            return _response(await self._answer(asked))
        except NoAnswerError as error:
            return _response(text(502, str(error)))


async def _read(request: web.BaseRequest, target: str) -> Request:
    return Request(
        method=request.method,
        target=target,
        headers=forwarded(CIMultiDict(request.headers)),
        scheme="https" if request.secure else "http",
        body=await request.content.read(),
    )


def _response(answer: Answer) -> web.Response:
    headers = forwarded(answer.headers)
    headers.popall("Content-Length", None)
    headers.setdefault("Server", "nginx")  # or aiohttp names itself
    return web.Response(status=answer.status, headers=headers, body=answer.body)


async def _readable(connection: socket.socket) -> None:
    """Wait until there is something to read."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(connection, ready.set)
    with contextlib.ExitStack() as stack:
        stack.callback(loop.remove_reader, connection)
        await ready.wait()
