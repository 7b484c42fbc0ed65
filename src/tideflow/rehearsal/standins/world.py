"""What is live, kept by watches, and the passes that are run when it changes."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.clients.resources import Resource

_LOG = logging.getLogger(__name__)
_PAUSE = 0.5  # seconds after a failure
_LONGEST_PAUSE = 10.0
_SETTLE = 0.05  # seconds in which changes that come together are collected
_DEFINITION = ("apiextensions.k8s.io", "CustomResourceDefinition")
_CONFLICTS = {404, 409}

Type = tuple[str, str]
"""Group and kind."""


@dataclass(frozen=True)
class Pass:
    """A stand-in: what it looks at, and what it does about it.

    ``work`` makes everything as it should be, and returns in how many seconds it wants to be run again even
    if nothing changes, or None.
    """

    name: str
    types: Sequence[Type]
    work: Callable[[World], float | None]


class World:
    """The live objects of all types that some pass looks at; safe to read from any thread."""

    def __init__(self, cluster: Kubernetes) -> None:
        self.cluster = cluster
        self._objects: dict[Type, dict[tuple[str, str], dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._due: dict[str, threading.Event] = {}
        self._passes: list[Pass] = []
        self._following: set[Type] = set()
        self._catching_up = threading.Lock()
        self._listed: dict[Type, threading.Event] = {}
        self._stopped = threading.Event()

    def run(self, passes: Sequence[Pass], *, ready: Callable[[], None]) -> None:
        """Run the passes until ``stop``; ``ready`` is called once everything served has been read."""
        self._passes = list(passes)
        self._due = {found.name: threading.Event() for found in passes}
        types = {_DEFINITION, *(found for each in passes for found in each.types)}
        for found in types:
            self._objects[found] = {}
        self._follow_served(types)
        for listed in list(self._listed.values()):
            listed.wait()
        for each in passes:
            self._due[each.name].set()
            threading.Thread(target=self._repeat, args=(each,), name=each.name, daemon=True).start()
        ready()
        self._stopped.wait()

    def stop(self) -> None:
        """End `run`."""
        self._stopped.set()

    def all(self, group: str, kind: str) -> list[dict[str, Any]]:
        """Return all live objects of a type that a pass looks at."""
        with self._lock:
            return list(self._objects[group, kind].values())

    def get(self, group: str, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """Return one of them."""
        with self._lock:
            return self._objects[group, kind].get((namespace, name))

    def path(self, live: dict[str, Any], group: str, kind: str) -> str:
        """Return the path of a live object."""
        resource = self.cluster.resources().of_kind(group, kind)
        assert resource is not None, f"{kind} was listed"  # noqa: S101 - for the types
        return resource.path(live["metadata"].get("namespace"), live["metadata"]["name"])

    def endpoints(self, namespace: str, service: str) -> Iterator[str]:
        """Yield the addresses of a Service's ready pods."""
        for found in self.all("discovery.k8s.io", "EndpointSlice"):
            metadata = found["metadata"]
            labels = metadata.get("labels") or {}
            if metadata["namespace"] == namespace and labels.get("kubernetes.io/service-name") == service:
                for endpoint in found.get("endpoints") or ():
                    if (endpoint.get("conditions") or {}).get("ready") is not False:
                        yield from endpoint["addresses"]

    def runs(self, namespace: str, deployment: str) -> bool:
        """Tell whether a Deployment has an available pod: whether who does the work is there."""
        found = self.get("apps", "Deployment", namespace, deployment)
        return found is not None and bool((found.get("status") or {}).get("availableReplicas"))

    def _follow_served(self, types: set[Type]) -> None:
        """Begin to watch those types that are served, and not watched yet; others may do so meanwhile."""
        resources = self.cluster.resources(refresh=True)
        with self._lock:
            for found in types - self._following:
                resource = resources.of_kind(*found)
                if resource is not None:
                    self._following.add(found)
                    self._listed[found] = threading.Event()
                    threading.Thread(target=self._follow, args=(found, resource), daemon=True).start()

    def _follow(self, type_: Type, resource: Resource) -> None:
        while not self._stopped.is_set():
            try:
                version = self._list(type_, resource)
                self._listed[type_].set()
                for event in self.cluster.watch(resource.collection(), resource_version=version):
                    if event["type"] != "BOOKMARK":
                        self._take(type_, event["object"], gone=event["type"] == "DELETED")
            except KubernetesError:
                time.sleep(_PAUSE)

    def _list(self, type_: Type, resource: Resource) -> str:
        found, version = {}, ""
        for page in self.cluster.pages(resource.collection()):
            version = version or page["metadata"]["resourceVersion"]
            for live in page["items"] or ():
                found[_place(live)] = _slim(type_, live)
        with self._lock:
            self._objects[type_] = found
        self._announce(type_)
        return version

    def _take(self, type_: Type, live: dict[str, Any], *, gone: bool) -> None:
        with self._lock:
            if gone:
                self._objects[type_].pop(_place(live), None)
            else:
                self._objects[type_][_place(live)] = _slim(type_, live)
        self._announce(type_)

    def _announce(self, type_: Type) -> None:
        for each in self._passes:
            if type_ in each.types:
                self._due[each.name].set()
        if type_ == _DEFINITION and self._unwatched():
            threading.Thread(target=self._follow_new, daemon=True).start()

    def _unwatched(self) -> set[Type]:
        """Return the types that some pass looks at and that are not watched, though they are established."""
        established = {
            (live["group"], live["kind"]) for live in self.all(*_DEFINITION) if live["established"]
        }
        return {found for each in self._passes for found in each.types} & established - self._following

    def _follow_new(self) -> None:
        """Begin to watch all types whose definitions have been established, once discovery has them."""
        with self._catching_up:  # one is enough; the others find nothing left to do
            while not self._stopped.is_set() and (types := self._unwatched()):
                with contextlib.suppress(KubernetesError):
                    self._follow_served(types)
                time.sleep(_PAUSE / 2)

    def _repeat(self, each: Pass) -> None:
        due, pause = self._due[each.name], _PAUSE
        wait: float | None = None
        while not self._stopped.is_set():
            due.wait(wait)
            time.sleep(_SETTLE)
            due.clear()
            try:
                wait, pause = each.work(self), _PAUSE
            except Exception as error:  # noqa: BLE001 - one stand-in's trouble is not the others'
                # What others have just changed or deleted is seen in a moment.
                expected = isinstance(error, KubernetesError) and error.status in _CONFLICTS
                _LOG.log(logging.INFO if expected else logging.WARNING, "%s: %s", each.name, error)
                wait, pause = pause, min(2 * pause, _LONGEST_PAUSE)


def _place(live: dict[str, Any]) -> tuple[str, str]:
    return live["metadata"].get("namespace", ""), live["metadata"]["name"]


def _slim(type_: Type, live: dict[str, Any]) -> dict[str, Any]:
    """Drop what no stand-in looks at; a definition's schema alone may have a megabyte."""
    live["metadata"].pop("managedFields", None)
    if type_ != _DEFINITION:
        return live
    conditions = (live.get("status") or {}).get("conditions") or ()
    return {
        "metadata": live["metadata"],
        "group": live["spec"]["group"],
        "kind": live["spec"]["names"]["kind"],
        "conversion": live["spec"].get("conversion") or {},
        "established": any(
            found["type"] == "Established" and found["status"] == "True" for found in conditions
        ),
    }
