"""The programs that really run behind the gateway: oauth2-proxy, and the issuer in Dex's place.

Each runs while its Deployment has a ready pod, with what that pod was started with: an edited Secret changes
nothing until pods are replaced, or the rehearsal is stopped and started.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tideflow.files import private_folder, write_private
from tideflow.rehearsal.control_plane import AUTH_PROXY as PROCESS
from tideflow.rehearsal.gateway import containers
from tideflow.rehearsal.gateway.containers import UnstartableError
from tideflow.rehearsal.gateway.places import POD
from tideflow.rehearsal.processes import Background
from tideflow.rehearsal.standins.dependencies import deployment_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tideflow.rehearsal.control_plane import ControlPlane
    from tideflow.rehearsal.gateway.containers import Start
    from tideflow.rehearsal.gateway.firewall import Object
    from tideflow.rehearsal.gateway.issuer import Issuer
    from tideflow.rehearsal.standins.world import World

DEX = ("auth", "dex")
AUTH_PROXY = ("oauth2-proxy", "oauth2-proxy")
_LOG = logging.getLogger(__name__)
_LOOK = 1.0  # seconds between two looks whether it still runs
_LONGEST_PAUSE = 10.0  # seconds before it is started again


class Programs:
    """What runs, by the pods that there are."""

    def __init__(self, cluster: ControlPlane, program: Path) -> None:
        self.folder = cluster.folder / "gateway"
        self.issuer: Issuer | None = None
        self._program = program
        self.socket = cluster.sockets / "oauth2-proxy.sock"
        self._dex = _Deployed(DEX)
        self._proxy = _Deployed(AUTH_PROXY)
        self._process = Background(cluster.folder, PROCESS)
        self._pause = 0.0
        self._started = 0.0

    def which(self, namespace: str, name: str) -> tuple[str, str] | None:
        """Return which of the two the pod of this name is one of; None for all other pods."""
        return next((each.key for each in (self._dex, self._proxy) if (namespace, name) in each.pods), None)

    @property
    def caller(self) -> Object | None:
        """The pod as which oauth2-proxy asks others."""
        return self._proxy.current

    def look(self, world: World, proxy: Callable[[], str]) -> float | None:
        """Have what runs be what should; returns in how many seconds to look again.

        ``proxy`` returns the URL by which oauth2-proxy reaches what is in the cluster.
        """
        if self._dex.look(world):
            self._start_issuer()
        if self._proxy.look(world):
            self._process.stop()
            self._pause = self._started = 0.0
        start = self._proxy.start
        if start is None:
            return None
        if not self._process.running:
            due = self._started + self._pause - time.monotonic()
            if due > 0:
                return due
            if self._started:
                _LOG.warning("oauth2-proxy ended: %s", " ".join(self._process.tail(1).split())[:300])
            self._start_proxy(start, proxy())
        return _LOOK

    def stop(self) -> None:
        """End all of it."""
        self._process.stop()

    def _start_issuer(self) -> None:
        from tideflow.rehearsal.gateway.accounts import Accounts  # noqa: PLC0415 - bcrypt, only when needed
        from tideflow.rehearsal.gateway.issuer import Issuer  # noqa: PLC0415 - the same
        from tideflow.rehearsal.gateway.keys import Keys  # noqa: PLC0415 - the same

        self.issuer = None
        if self._dex.start is not None:
            try:
                keys = Keys(private_folder(self.folder) / "issuer.key")
                self.issuer = Issuer(Accounts.of(self._dex.start), keys)
            except UnstartableError as error:
                _LOG.warning("%s", error)

    def _start_proxy(self, start: Start, proxy: str) -> None:
        """Start it in place of the container's: with its files elsewhere, and behind a socket."""
        root = self.folder / "files"
        moved = {path: str(root / path.lstrip("/")) for path in start.files}
        for path, content in start.files.items():
            private_folder((root / path.lstrip("/")).parent)
            write_private(root / path.lstrip("/"), _replaced(content, moved))
        arguments = [_replaced(word, moved) for word in start.arguments if word != f"/bin/{PROCESS}"]
        self.socket.unlink(missing_ok=True)
        self._started = time.monotonic()
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause or _LOOK / 2)
        self._process.start(
            [str(self._program), *arguments, f"--http-address=unix://{self.socket}"],
            cwd=private_folder(self.folder),
            env={**start.environment, "HTTP_PROXY": proxy},
        )


@dataclass
class _Deployed:
    """A Deployment's ready pods, and the one whose program runs."""

    key: tuple[str, str]

    def __post_init__(self) -> None:
        self.current: Object | None = None
        self.start: Start | None = None
        self.pods: set[tuple[str, str]] = set()
        self._starts: dict[str, Start | None] = {}

    def look(self, world: World) -> bool:
        """Read what new pods start with; tell whether another program has to run than does."""
        namespace, name = self.key
        ready = {
            pod["metadata"]["uid"]: pod
            for pod in world.all(*POD)
            if pod["metadata"]["namespace"] == namespace
            and deployment_of(pod["metadata"]) == name
            and _is_ready(pod)
        }
        self.pods = {(namespace, pod["metadata"]["name"]) for pod in ready.values()}
        for uid, pod in ready.items():
            if uid not in self._starts:
                self._starts[uid] = _read(world, pod)
        self._starts = {uid: start for uid, start in self._starts.items() if uid in ready}
        if self.current is not None and self.current["metadata"]["uid"] in ready:
            return False
        was, had = self.start, self.current is not None
        self.current = max(ready.values(), key=lambda pod: pod["metadata"]["creationTimestamp"], default=None)
        self.start = self._starts[self.current["metadata"]["uid"]] if self.current else None
        return had or self.start != was


def _read(world: World, pod: Object) -> Start | None:
    try:
        return containers.read(world.cluster, pod)
    except UnstartableError as error:
        _LOG.warning("%s/%s: %s", pod["metadata"]["namespace"], pod["metadata"]["name"], error)
        return None


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return not pod["metadata"].get("deletionTimestamp") and any(
        found["type"] == "Ready" and found["status"] == "True" for found in conditions
    )


def _replaced(text: str, moved: dict[str, str]) -> str:
    """Return a text with the paths of files replaced by where they really are."""
    for path in sorted(moved, key=len, reverse=True):
        text = text.replace(path, moved[path])
    return text
