"""A distance: a proxy on loopback that hands on every byte, each a while after it came.

Only time is added. Bytes on their way do not wait for each other, so connections are as fast as before, and a
new connection costs a round trip, as it does between two cities.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Self

_CHUNK = 256 * 1024  # bytes


class Latency:
    """Forwards connections to ``target``, a port of this machine, from ``port``; a context.

    ``seconds`` is what each way takes, half of a round trip.
    """

    def __init__(self, target: int, seconds: float) -> None:
        self.port = 0
        self._target = target
        self._seconds = seconds
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *args: object) -> None:
        """End all connections."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_CHUNK)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        # Cancelled, it ends like any other: asyncio would print a traceback.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.sleep(2 * self._seconds)  # the handshake of TCP
            server, to_server = await asyncio.open_connection("127.0.0.1", self._target, limit=_CHUNK)
            await asyncio.gather(self._forward(client, to_server), self._forward(server, to_client))

    async def _forward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Hand on what comes from one side until it ends; then end the other."""
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                at, chunk = await due.get()
                await asyncio.sleep(at - self._loop.time())
                if not chunk:
                    return
                target.write(chunk)
                await target.drain()

        delivering = asyncio.ensure_future(deliver())
        try:
            chunk = b"-"
            while chunk:
                try:
                    chunk = await source.read(_CHUNK)
                except ConnectionError:
                    chunk = b""
                due.put_nowait((self._loop.time() + self._seconds, chunk))
            with contextlib.suppress(ConnectionError):
                await delivering
        finally:
            delivering.cancel()
            target.close()
