"""Watches of a Kubernetes API server: streams of events, one line of JSON each."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import urllib3

from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Watch:
    """One open watch: iterate over its events, each ``{"type": …, "object": …}``.

    Iterating ends when the server or ``close`` ends it, and raises ``KubernetesError`` for an event of type
    ``ERROR`` (status 410: list again) or a broken connection.
    """

    def __init__(self, response: urllib3.BaseHTTPResponse, path: str) -> None:
        self._response = response
        self._path = path
        self._closed = False
        self._reading = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the events as they come."""
        rest = b""
        self._reading = True
        try:
            for chunk in self._response.stream(65536):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield self._event(line)
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            # close() pulls the socket from under a read in another thread, which may then fail in any of
            # these ways.
            if not self._closed:
                raise KubernetesError(
                    f"the watch of {self._path} broke: {type(error).__name__}", reason="Unreachable"
                ) from None
        finally:
            self._closed = True
            self._response.close()

    def close(self) -> None:
        """End the watch, from this thread or another."""
        if self._closed:
            return
        self._closed = True
        if not self._reading:
            self._response.close()
            return
        # The thread that reads closes the response: closing it here would wait for its read to return.
        with contextlib.suppress(RuntimeError, ValueError, OSError):  # when it has ended by itself
            self._response.shutdown()

    def _event(self, line: bytes) -> dict[str, Any]:
        event: dict[str, Any] = decoded(line, f"the watch of {self._path}")
        if event.get("type") == "ERROR":
            status = event.get("object") or {}
            raise KubernetesError(
                f"the watch of {self._path} ended: {status.get('message', 'no reason given')}",
                status=int(status.get("code") or 0),
                reason=str(status.get("reason") or ""),
            )
        return event


def decoded(data: bytes, what: str) -> Any:
    """Return what an answer says; raises ``KubernetesError`` for what is no JSON."""
    try:
        return json.loads(data) if data else None
    except ValueError:
        raise KubernetesError(f"the answer to {what} is not JSON", reason="Unreadable") from None
