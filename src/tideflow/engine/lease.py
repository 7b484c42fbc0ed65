"""One run at a time: a Lease per set, held by the run that writes.

Whether a holder is alive is judged as client-go's leader election does it: by how long ago this process saw
the Lease change, never by the times written in it, since clocks of two machines differ. A run that could not
renew its Lease in time makes sure that it still has it before it writes anything more.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import getpass
import os
import secrets
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Literal, Self

from tideflow.clients.waiting import is_passing
from tideflow.engine.housing import housed
from tideflow.engine.ownership import field_manager
from tideflow.engine.records import NAMESPACE
from tideflow.errors import ApplyError, KubernetesError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.engine.outcome import Options

Busy = Literal["wait", "fail"]
"""What to do while another run is at work on the same set."""

DURATION = 20
"""Seconds after which a Lease that has not been renewed may be taken over. Long enough for an API server that
stalls, short enough for whoever reruns what was killed."""

LOST = "LeaseLost"
"""The reason in the error of a write that was not made, since another run has the Lease."""

_COLLECTION = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
_TICK = 2  # seconds after which a silent watch is opened anew, so that the clock is looked at
_PAUSE = 1.0  # seconds after a failure
_NOT_FOUND, _CONFLICT, _PRECONDITION_FAILED = 404, 409, 412

# A laptop that sleeps does not hold its Lease meanwhile, so this clock counts sleep where one does.
_now = functools.partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease:
    """The Lease of a set, held inside the context; ``waited`` tells whether somebody else had it before.

    Entering raises ``ApplyError`` when another run still has it after the options' ``timeout``; with
    ``busy="fail"``, as soon as that run has shown that it is alive. ``progress`` is told who is waited for.
    """

    def __init__(
        self, cluster: Kubernetes, set_name: str, options: Options, *, progress: Callable[[str], None]
    ) -> None:
        self.waited = False
        self._cluster = cluster
        self._set = set_name
        self._name = field_manager(set_name)
        self._path = f"{_COLLECTION}/{self._name}"
        self._options = options
        self._progress = progress
        self._identity = f"{_who()} {secrets.token_hex(4)}"  # the last word tells apart what has one pid
        self._live: dict[str, Any] = {}
        self._renewed_at = 0.0
        self._lost = ""
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Self:
        """Get the Lease, and renew it from now on."""
        self._acquire()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the Lease back, if it is still ours; one that cannot be given back expires."""
        self._ended.set()
        self._thread.join()
        if not self._lost:
            metadata = self._live["metadata"]
            ours = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
            with contextlib.suppress(KubernetesError):
                self._cluster.delete(self._path, {"preconditions": ours})

    def check(self) -> None:
        """Make sure that the Lease is held; to be called before each write.

        Raises ``KubernetesError``: with the reason ``LeaseLost`` when it is not, and with status 0 when that
        cannot be found out right now.
        """
        if _now() - self._renewed_at > DURATION * 2 / 3:
            self._renew()
        self.refuse_lost()

    def refuse_lost(self) -> None:
        """Raise ``KubernetesError`` if it is known that the Lease is lost."""
        if self._lost:
            raise KubernetesError(
                f"this run writes nothing more to {self._set}: {self._lost}",
                status=_PRECONDITION_FAILED,
                reason=LOST,
                hint="run this step again once nobody else is at it",
            )

    def _acquire(self) -> None:
        """Create the Lease, or wait until it is given back or expires."""
        if self._created():
            return
        started = seen_at = _now()
        version = ""
        while True:
            try:
                live = self._read()
                if live is None:
                    self.waited = True  # for a moment
                    if self._created():
                        return
                    continue
                renewed = bool(version) and live["metadata"]["resourceVersion"] != version
                if renewed or not version:
                    version, seen_at = live["metadata"]["resourceVersion"], _now()
                silent = _now() - seen_at
                if self._taken(live, silent):
                    return
                self._give_up(live, _now() - started, alive=renewed)
                self._progress(
                    f"waiting until {_described(live)} has ended, since it works on {self._set} too; "
                    f"if it was killed, this run goes on in {max(1, _lasts(live) - int(silent))} s"
                )
                self._watch(version)
            except KubernetesError as error:
                if not is_passing(error) or _now() - started > self._options.timeout:
                    raise
                self._progress(f"waiting for the API server: {error.message}")
                version = ""  # whoever could not be seen could not renew either
                time.sleep(_PAUSE)

    def _give_up(self, live: dict[str, Any], waited: float, *, alive: bool) -> None:
        """Raise ``ApplyError`` if there is no more patience."""
        if stopped := self._options.stopped():
            raise ApplyError(f"{stopped}: nothing was written", hint="run the same command again")
        if waited > self._options.timeout or (alive and self._options.busy == "fail"):
            raise ApplyError(
                f"{_described(live)} works on {self._set} too, and nothing was written",
                hint="run this step again once that run has ended",
            )

    def _created(self) -> bool:
        try:
            self._live = housed(self._cluster, self._posted, self._options, progress=self._progress)
        except KubernetesError as error:
            if error.status == _CONFLICT:
                return False
            raise
        return True

    def _posted(self) -> dict[str, Any]:
        self._renewed_at = _now()
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": NAMESPACE},
            "spec": self._spec(acquired=True),
        }
        live: dict[str, Any] = self._cluster.post(_COLLECTION, lease)
        return live

    def _taken(self, live: dict[str, Any], silent: float) -> bool:
        """Take the Lease if nobody has it, or whoever had it has been silent for as long as it lasts."""
        spec = live.get("spec") or {}
        holder = spec.get("holderIdentity")
        if holder == self._identity:  # the answer to our own write was lost
            self._live = live
            return True
        self.waited = True
        if holder and silent < _lasts(live):
            return False
        transitions = (spec.get("leaseTransitions") or 0) + 1
        asked = _now()
        try:
            wanted = {**self._spec(acquired=True), "leaseTransitions": transitions}
            # With the resourceVersion that was read, so that only one of several can take it.
            self._live = self._cluster.put(self._path, {**live, "spec": wanted})
        except KubernetesError as error:
            if error.status in {_CONFLICT, _NOT_FOUND}:
                return False
            raise
        self._renewed_at = asked
        return True

    def _spec(self, *, acquired: bool) -> dict[str, Any]:
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": self._identity, "leaseDurationSeconds": DURATION, "renewTime": now}
        return {**spec, "acquireTime": now} if acquired else spec

    def _read(self) -> dict[str, Any] | None:
        try:
            live: dict[str, Any] = self._cluster.get(self._path)
        except KubernetesError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return live

    def _watch(self, version: str) -> None:
        """Return when the Lease has changed, or after a moment."""
        watch = self._cluster.watch(
            _COLLECTION,
            resource_version=version,
            timeout_seconds=_TICK,
            query={"fieldSelector": f"metadata.name={self._name}"},
        )
        with contextlib.closing(watch):
            next(iter(watch), None)

    def _keep(self) -> None:
        while not self._lost and not self._ended.wait(DURATION / 3):
            with contextlib.suppress(KubernetesError):
                self._renew()

    def _renew(self) -> None:
        with self._lock:
            for _ in range(2):
                if self._lost:
                    return
                asked = _now()
                try:
                    wanted = {**self._live, "spec": {**self._live["spec"], **self._spec(acquired=False)}}
                    self._live = self._cluster.request("PUT", self._path, body=wanted, timeout=DURATION / 3)
                except KubernetesError as error:
                    if error.status not in {_CONFLICT, _NOT_FOUND}:
                        raise
                    self._look()
                else:
                    self._renewed_at = asked
                    return

    def _look(self) -> None:
        """See who has the Lease, after it was changed by somebody else."""
        live = self._read()
        if live is None:
            self._lost = (
                f"its Lease {NAMESPACE}/{self._name} is gone: another run had it and has ended, or somebody "
                "deleted it"
            )
        elif (live.get("spec") or {}).get("holderIdentity") != self._identity:
            self._lost = (
                f"it stood still for longer than its Lease lasts, and {_described(live)} has taken over"
            )
        else:
            self._live = live  # a note was put on it, or the answer to our own renewal was lost


def _who() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} (pid {os.getpid()})"


def _lasts(live: dict[str, Any]) -> int:
    """Return after how many seconds of silence a Lease may be taken over."""
    return int((live.get("spec") or {}).get("leaseDurationSeconds") or DURATION)


def _described(live: dict[str, Any]) -> str:
    """Return who holds a Lease and for how long; its times are another machine's, and only shown."""
    spec = live.get("spec") or {}
    holder = str(spec.get("holderIdentity") or "somebody").rpartition(" ")
    who = holder[0] or holder[2]
    try:
        acquired = dt.datetime.fromisoformat(spec.get("acquireTime") or "")
    except ValueError:
        return f"the run of {who}"
    age = max(0, int((dt.datetime.now(dt.UTC) - acquired).total_seconds()))
    return f"the run of {who}, begun {f'{age // 60} min' if age >= 120 else f'{age} s'} ago,"  # noqa: PLR2004
