"""The gateway among the stand-ins: it listens while a load balancer has an address, and has programs run.

What answers is imported when there is something to answer for: until then a rehearsal does not wait for it.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from tideflow.files import write_private
from tideflow.rehearsal.addresses import PORTS, port_is_free, usual_port
from tideflow.rehearsal.gateway.places import LISTENS, NAMESPACE, POD, POLICY, SERVICE, SLICE, Places
from tideflow.rehearsal.gateway.programs import Programs
from tideflow.rehearsal.standins.world import Pass

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tideflow.rehearsal.control_plane import ControlPlane
    from tideflow.rehearsal.gateway.answering import Answering
    from tideflow.rehearsal.gateway.listening import Front
    from tideflow.rehearsal.standins.world import World

_MANAGER = "tideflow-rehearsal-gateway"
_READ = (
    NAMESPACE,
    POLICY,
    SLICE,
    ("", "ConfigMap"),
    ("", "Secret"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "IngressClass"),
    ("networking.istio.io", "Gateway"),
    ("networking.istio.io", "VirtualService"),
    ("security.istio.io", "AuthorizationPolicy"),
    ("security.istio.io", "RequestAuthentication"),
)


class Keeper:
    """Opens and closes the gateway of one cluster."""

    def __init__(self, cluster: ControlPlane, world: World, program: Path) -> None:
        self._cluster = cluster
        self._world = world
        self._places = Places(world)
        self._programs = Programs(cluster, program)
        self._answering: Answering | None = None
        self._lock = threading.Lock()
        self._port = 0

    def passes(self) -> Iterator[Pass]:
        """Yield the passes that follow what is live."""
        yield Pass("gateway", (SERVICE,), self._listen)
        yield Pass("programs", (POD,), self._run)
        yield Pass("what the gateway reads", _READ, lambda _: None)

    def close(self) -> None:
        """End all of it."""
        if self._answering is not None:
            self._answering.front.close()
        self._programs.stop()

    def _listen(self, world: World) -> float | None:
        """Listen if there is a load balancer, and say where; not, if there is none."""
        balanced = self._places.balanced()
        if balanced is None:
            if self._answering is not None:
                self._answering.front.close()
            return None
        front = self._answers().front
        if not front.is_open:
            self._port = self._open(front)
        said = f"127.0.0.1:{self._port}"
        if (balanced["metadata"].get("annotations") or {}).get(LISTENS) != said:
            world.cluster.patch(
                world.path(balanced, *SERVICE),
                {"metadata": {"annotations": {LISTENS: said}}},
                query={"fieldManager": _MANAGER},
            )
        return None

    def _open(self, front: Front) -> int:
        """Listen at the port there was before, or else at the one this rehearsal has if nobody else does."""
        file = self._cluster.folder / "gateway.json"
        try:
            port = int(json.loads(file.read_text(encoding="utf-8"))["port"])
        except (OSError, ValueError, TypeError, KeyError):
            port = 0
        if port not in PORTS or not port_is_free(port, patience=2.0):
            port = usual_port(self._cluster.folder.parent.parent)
        front.open(port)
        write_private(file, json.dumps({"port": port}))
        return port

    def _run(self, world: World) -> float | None:
        return self._programs.look(world, lambda: self._answers().calls.url)

    def _answers(self) -> Answering:
        with self._lock:
            if self._answering is None:
                from tideflow.rehearsal.gateway.answering import Answering  # noqa: PLC0415 - see above

                self._answering = Answering(self._world, self._places, self._programs)
            return self._answering
