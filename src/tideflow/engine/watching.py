"""Watching types of objects: one thread each, which puts what it sees into one queue.

A watch that is closed or too old starts again with a list, and each does so now and then even if nothing
is wrong: a slow re-read as a safety net.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tideflow.clients.kubernetes import JSON
from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from queue import Queue

    from tideflow.clients.kubernetes import Kubernetes, Watch
    from tideflow.clients.resources import Resource

_LENGTH = 120  # seconds until a watch is replaced by a new list
_PAUSE = 1.0  # seconds after a failure


@dataclass(frozen=True, slots=True)
class Seen:
    """An object as it is now, or (``gone``) as it was when it was deleted."""

    resource: Resource
    live: dict[str, Any]
    gone: bool = False


class Watching:
    """The watches of one run; ``stop`` ends them all."""

    def __init__(self, cluster: Kubernetes, queue: Queue[Any]) -> None:
        self._cluster = cluster
        self._queue = queue
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: dict[tuple[str, str], Watch] = {}
        self._lock = threading.Lock()

    def add(self, resource: Resource, version: str | None = None) -> None:
        """Watch a type from a list's resourceVersion on, or from a list of its own."""
        thread = threading.Thread(target=self._follow, args=(resource, version), daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """End all watches, and wait for their threads."""
        self._stopped.set()
        with self._lock:
            for watch in self._open.values():
                watch.close()
        for thread in self._threads:
            thread.join(_PAUSE * 2)

    def _follow(self, resource: Resource, version: str | None) -> None:
        while not self._stopped.is_set():
            try:
                if version is None:
                    version = self._list(resource)
                self._watch(resource, version)
            except KubernetesError:
                # Refused, broken or too old: the list that follows tells what was missed.
                self._stopped.wait(_PAUSE)
            version = None

    def _list(self, resource: Resource) -> str:
        version = ""
        for page in self._cluster.pages(resource.collection()):
            version = version or page["metadata"]["resourceVersion"]
            for live in page["items"] or ():
                self._put(resource, live)
        return version

    def _watch(self, resource: Resource, version: str) -> None:
        watch = self._cluster.watch(
            resource.collection(), resource_version=version, accept=JSON, timeout_seconds=_LENGTH
        )
        with self._lock:
            if self._stopped.is_set():
                watch.close()
                return
            self._open[resource.group, resource.kind] = watch
        for event in watch:
            if event["type"] != "BOOKMARK":
                self._put(resource, event["object"], gone=event["type"] == "DELETED")

    def _put(self, resource: Resource, live: dict[str, Any], *, gone: bool = False) -> None:
        live["kind"] = resource.kind  # items of a list do not say it
        self._queue.put(Seen(resource, live, gone))
