"""Pods that no node has room for, and how many nodes would have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tideflow.engine import pods

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_UNITS = {
    "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50,
}  # fmt: skip
_DEFAULT_PODS = 110
# Taints of a node that is starting, and, for a moment more, of one that takes pods again.
_PASSING = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unschedulable"}


@dataclass(frozen=True, slots=True)
class Room:
    """What pods ask for, and nodes offer: CPUs, bytes of memory, and places for pods."""

    cpu: float = 0.0
    memory: float = 0.0
    pods: int = 1

    def __add__(self, other: Room) -> Room:
        """Return both together."""
        return Room(self.cpu + other.cpu, self.memory + other.memory, self.pods + other.pods)

    def __sub__(self, other: Room) -> Room:
        """Return what is left."""
        return Room(self.cpu - other.cpu, self.memory - other.memory, self.pods - other.pods)

    def __str__(self) -> str:
        """Return it in the units people use."""
        return f"{self.cpu:.2g} CPU and {self.memory / 2**30:.2f} GiB"

    def holds(self, other: Room) -> bool:
        """Tell whether there is room for the other; half a thousandth is rounding."""
        slack = 5e-4
        return self.cpu + slack >= other.cpu and self.memory + 1 >= other.memory and self.pods >= other.pods


def quantity(text: str | float) -> float:
    """Return a Kubernetes quantity, such as ``250m`` or ``1Gi``, as a number."""
    if isinstance(text, int | float):
        return float(text)
    for unit in sorted(_UNITS, key=len, reverse=True):
        if text.endswith(unit):
            return float(text[: -len(unit)]) * _UNITS[unit]
    return float(text)


def asked(spec: Mapping[str, Any]) -> Room:
    """Return what a pod asks for, as the scheduler sums it.

    Sidecars (init containers that go on running) count with the containers; other init containers run alone,
    one after another, so the largest counts, if it is more.
    """
    running = Room(pods=1)
    largest = Room(pods=1)
    for container in spec.get("initContainers") or ():
        room = _requests(container)
        if container.get("restartPolicy") == "Always":
            running += room
        else:
            alone = running + room
            largest = Room(max(largest.cpu, alone.cpu), max(largest.memory, alone.memory), 1)
    for container in spec.get("containers") or ():
        running += _requests(container)
    overhead = spec.get("overhead") or {}
    running += Room(quantity(overhead.get("cpu", 0)), quantity(overhead.get("memory", 0)), 0)
    return Room(max(running.cpu, largest.cpu), max(running.memory, largest.memory), 1)


def _requests(container: Mapping[str, Any]) -> Room:
    resources = container.get("resources") or {}
    wanted = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return Room(quantity(wanted.get("cpu", 0)), quantity(wanted.get("memory", 0)), 0)


@dataclass(frozen=True)
class Packing:
    """How many nodes hold all pods but the ``misfits``, which no node holds, even if it were ``empty``.

    An empty node still has the pods that run on every node.
    """

    nodes: int
    empty: Room
    misfits: Mapping[str, Room]


def pack(
    nodes: Sequence[Mapping[str, Any]],
    live: Iterable[Mapping[str, Any]],
    unwritten: Iterable[tuple[str, Mapping[str, Any], int]] = (),
) -> Packing | None:
    """Return how many nodes like the largest of ``nodes`` hold all pods; None if there is no node.

    ``live`` are the pods of the cluster, placed or not; ``unwritten`` are pods that are not in it yet, each a
    name, a template and a number. Largest first onto the first node with room: at most a node or so more
    than the best packing. Affinity and volumes are not looked at.
    """
    allocatable = [
        Room(quantity(found["cpu"]), quantity(found["memory"]), int(found.get("pods", _DEFAULT_PODS)))
        for node in nodes
        if (found := node["status"].get("allocatable"))
    ]
    if not allocatable:
        return None
    empty = max(allocatable, key=lambda room: (room.memory, room.cpu))
    everywhere, wanted = _demand(live)
    for room in everywhere:
        empty -= room
    for name, template, number in unwritten:
        wanted.extend([(name, asked(template["spec"]))] * number)
    misfits = {name: room for name, room in wanted if not empty.holds(room)}
    left: list[Room] = []
    rooms = [room for name, room in wanted if name not in misfits]
    for room in sorted(rooms, key=lambda room: (room.memory, room.cpu), reverse=True):
        for index, free in enumerate(left):
            if free.holds(room):
                left[index] = free - room
                break
        else:
            left.append(empty - room)
    return Packing(len(left), empty, misfits)


def _demand(live: Iterable[Mapping[str, Any]]) -> tuple[list[Room], list[tuple[str, Room]]]:
    """Return what each node has to hold, and what some node has to hold, with the pod's name."""
    everywhere: dict[str, Room] = {}
    wanted: list[tuple[str, Room]] = []
    for pod in live:
        if (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}:
            continue
        metadata = pod["metadata"]
        owners = metadata.get("ownerReferences") or ()
        daemon = next((owner["uid"] for owner in owners if owner["kind"] == "DaemonSet"), None)
        if daemon:
            everywhere[daemon] = asked(pod["spec"])
        else:
            wanted.append((f"Pod {metadata['namespace']}/{metadata['name']}", asked(pod["spec"])))
    return list(everywhere.values()), wanted


def replicas(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], int] | None:
    """Return the pod template of a workload and how many pods it makes; None for what makes none."""
    template = pods.template(body)
    if template is None or body["kind"] in {"CronJob", "DaemonSet"}:
        return None
    replicas = (body.get("spec") or {}).get("replicas")
    return template, 1 if replicas is None else int(replicas)


def is_closed(node: Mapping[str, Any]) -> bool:
    """Tell whether a node takes none of the pods that tolerate nothing; one that is starting will."""
    spec = node.get("spec") or {}
    return bool(spec.get("unschedulable")) or any(
        taint.get("effect") in {"NoSchedule", "NoExecute"} and taint.get("key") not in _PASSING
        for taint in spec.get("taints") or ()
    )


def is_ready(node: Mapping[str, Any]) -> bool:
    """Tell whether pods can run on a node by now."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)
