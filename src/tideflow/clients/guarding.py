"""A client of a Kubernetes API server that asks before it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tideflow.clients.kubernetes import Kubernetes

if TYPE_CHECKING:
    from collections.abc import Callable

    import urllib3

    from tideflow.clients.resources import Resources


class Guarded(Kubernetes):
    """A client over the connections and credentials of another, which calls ``check`` before each write.

    What ``check`` raises is raised instead, and nothing is sent. What the other client has is used and not
    copied: it may renew its credentials, or read its types anew.
    """

    def __init__(self, cluster: Kubernetes, check: Callable[[], None]) -> None:
        self.host = cluster.host
        self._cluster = cluster
        self._check = check

    @override
    def resources(self, *, refresh: bool = False) -> Resources:
        return self._cluster.resources(refresh=refresh)

    @override
    def close(self) -> None:
        """Leave the connections to whom they belong."""

    @override
    def _send(self, method: str, path: str, **more: Any) -> urllib3.BaseHTTPResponse:
        """Send what every method sends."""
        if method != "GET":
            self._check()
        return self._cluster._send(method, path, **more)  # noqa: SLF001 - of the same kind
