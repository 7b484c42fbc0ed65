"""Watching types of objects: one thread each, which puts what it sees into one queue.

A watch that ends goes on from the last version it has seen, which bookmarks keep fresh even where nothing
changes; only if the server no longer has that version (410), or refuses, is the type listed anew. A list
tells what has changed since, and what is gone. And each type is listed now and then even if nothing is wrong:
a slow re-read as a safety net.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tideflow.clients.kubernetes import JSON
from tideflow.clients.waiting import is_passing
from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from queue import Queue

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.clients.resources import Resource
    from tideflow.clients.streams import Watch

_LENGTH = 240  # seconds until the server is to end a watch, and the next one begins
_SILENCE = 120.0  # seconds; a live server sends a bookmark at least every 75
_REREAD = 300.0  # seconds until a type is listed again in any case
_PAUSE = 0.25  # seconds after a failure, doubled for each that follows at once
_LONGEST_PAUSE = 15.0
_STEADY = 10.0  # seconds after which a watch was no failure, however it ended


@dataclass(frozen=True, slots=True)
class Seen:
    """An object as it is now, or (``gone``) as it was when it was deleted."""

    resource: Resource
    live: dict[str, Any]
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """A type was listed: what is not in ``places`` (namespace and name) was gone at that ``version``."""

    resource: Resource
    version: int
    places: frozenset[tuple[str, str]]


News = Seen | Listed


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
        thread = threading.Thread(target=self._follow, args=(_Position(resource, version),), daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """End all watches, and wait for their threads."""
        self._stopped.set()
        with self._lock:
            for watch in self._open.values():
                watch.close()
        for thread in self._threads:
            thread.join(2.0)

    def _follow(self, at: _Position) -> None:
        pause = _PAUSE
        while not self._stopped.is_set():
            began, before, asked = time.monotonic(), at.version, None
            try:
                if at.version is None or began >= at.reread_at:
                    self._list(at)
                self._watch(at)
            except KubernetesError as error:
                asked = error.retry_after
                if not _is_passing(error):
                    at.version = None
            steady = time.monotonic() - began >= _STEADY
            if steady or at.version not in {before, None}:
                pause = _PAUSE
            if steady:
                continue
            # Spread, so that the watches which a server's restart has ended do not all come back together.
            self._stopped.wait(asked or pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _list(self, at: _Position) -> None:
        """Report what has changed since it was seen last, and then what there is: the rest is gone."""
        version = ""
        places = set()
        for page in self._cluster.pages(at.resource.collection()):
            version = version or page["metadata"]["resourceVersion"]
            for live in page["items"] or ():
                places.add(_place(live))
                if at.known.get(_place(live)) != live["metadata"]["resourceVersion"]:
                    self._put(at, live)
        for place in at.known.keys() - places:
            del at.known[place]
        at.listed(version)
        self._queue.put(Listed(at.resource, int(version) if version.isdecimal() else 0, frozenset(places)))

    def _watch(self, at: _Position) -> None:
        watch = self._cluster.watch(
            at.resource.collection(),
            resource_version=at.version or "",
            accept=JSON,
            timeout_seconds=max(1, min(_LENGTH, int(at.reread_at - time.monotonic()))),
            silent_seconds=_SILENCE,
        )
        with self._lock:
            if self._stopped.is_set():
                watch.close()
                return
            self._open[at.resource.group, at.resource.kind] = watch
        for event in watch:
            if event["type"] != "BOOKMARK":
                self._put(at, event["object"], gone=event["type"] == "DELETED")
            at.version = event["object"]["metadata"]["resourceVersion"]

    def _put(self, at: _Position, live: dict[str, Any], *, gone: bool = False) -> None:
        live["kind"] = at.resource.kind  # items of a list do not say it
        if gone:
            at.known.pop(_place(live), None)
        else:
            at.known[_place(live)] = live["metadata"]["resourceVersion"]
        self._queue.put(Seen(at.resource, live, gone))


class _Position:
    """How far a type has been followed: the version to go on from, and that of each object."""

    def __init__(self, resource: Resource, version: str | None) -> None:
        self.resource = resource
        self.known: dict[tuple[str, str], str] = {}
        self.listed(version)

    def listed(self, version: str | None) -> None:
        """Go on from a list's version, until it is time for the next list."""
        self.version = version
        self.reread_at = time.monotonic() + _REREAD * random.uniform(0.8, 1.2)  # noqa: S311 - no secret


def _place(live: dict[str, Any]) -> tuple[str, str]:
    return live["metadata"].get("namespace", ""), live["metadata"]["name"]


def _is_passing(error: KubernetesError) -> bool:
    """Tell whether the same watch may succeed in a moment; otherwise, as for 410, only a list helps."""
    return error.status != 410 and is_passing(error)  # noqa: PLR2004 - the version is gone
