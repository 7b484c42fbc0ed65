"""Whether pods fit nodes, packed pod by pod: before there are any nodes, and on those that there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tideflow.engine import capacity
from tideflow.engine.capacity import Room
from tideflow.engine.manifests import load
from tideflow.errors import SettingError
from tideflow.operations import prices
from tideflow.operations.demand import demand
from tideflow.operations.words import counted
from tideflow.rehearsal import nodes, system

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tideflow.clients.provided import Size
    from tideflow.engine.capacity import Packing
    from tideflow.operations.demand import Workload

_CHEAPEST = 3  # how many other sizes are named
_MISFITS = 3  # how many pods that are too large are named
_ADDONS = (
    # Deployments of 1-clicks, with namespace, number of pods and their requests, as the charts have them.
    ("ingress-nginx-controller", "ingress-nginx", 2, "100m", "90Mi"),
    ("metrics-server", "metrics-server", 1, "100m", "200Mi"),
)


@dataclass(frozen=True)
class Fit:
    """How pods fit ``number`` nodes, at most, of one size; both rooms are without what runs on each node."""

    size: str
    number: int
    packing: Packing
    asked: Room
    sidecars: int

    @property
    def holds(self) -> bool:
        """Whether there is room for all pods."""
        return not self.packing.misfits and self.packing.nodes <= self.number

    def problem(self, others: Sequence[str] = ()) -> SettingError:
        """Return the error that there is not enough room, with what would be."""
        return SettingError(
            f"Kubeflow does not fit {counted(self.number, 'node')} of {self.size}",
            hint=f"set node_count and node_size to what would hold it: {self._enough(others)}. Nodes of "
            "another size take replace_nodes",
        )

    def _enough(self, others: Iterable[str]) -> str:
        own = [] if self.packing.misfits else [_priced(self.packing.nodes, self.size)]
        return ", or ".join([*own, *others]) or "larger nodes"

    def table(self, others: Iterable[str] = ()) -> Iterator[str]:
        """Yield what is asked, what is offered, and what would fit, for people; ``others`` fit as well."""
        empty = self.packing.empty
        offered = Room(empty.cpu * self.number, empty.memory * self.number)
        sidecars = counted(self.sidecars, "sidecar")
        yield f"    asked    {counted(self.asked.pods, 'pod')}: {self.asked}, with {sidecars}"
        yield f"    offered  {counted(self.number, 'node')} of {self.size}: {offered}, {empty} on each"
        for name, room in list(self.packing.misfits.items())[:_MISFITS]:
            yield f"             too small for {name}, which asks for {room}"
        yield f"    fits     {self._enough(others)}"


def foreseen(workloads: Sequence[Workload], size: Size, number: int) -> Fit:
    """Return how workloads would fit new nodes, beside all that DigitalOcean and its 1-clicks run there."""
    node = {"status": {"allocatable": nodes.allocatable(size.cpus, size.memory_mib)}}
    beside = load([*(body for _, body in system.objects()), *_addons()])
    return _fit(size.slug, number, [node], [], [*workloads, *demand(beside).workloads])


def _addons() -> Iterator[dict[str, Any]]:
    for name, namespace, replicas, cpu, memory in _ADDONS:
        container = {"name": name, "resources": {"requests": {"cpu": cpu, "memory": memory}}}
        yield {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": [container]}}},
        }


def live(
    workloads: Sequence[Workload],
    found: Sequence[Mapping[str, Any]],
    pods: Iterable[Mapping[str, Any]],
    *,
    number: int,
) -> Fit | None:
    """Return how workloads fit the nodes that there are, of which there may be a ``number``.

    What other ``pods`` ask for is taken as they say it. None if there is no node that takes pods.
    """
    open_to_all = [node for node in found if not capacity.is_closed(node)]
    if not any(node["status"].get("allocatable") for node in open_to_all):
        return None
    labels = open_to_all[0]["metadata"].get("labels") or {}
    others = [pod for pod in pods if not any(workload.makes(pod) for workload in workloads)]
    return _fit(
        labels.get("node.kubernetes.io/instance-type", "their size"),
        max(number - (len(found) - len(open_to_all)), len(open_to_all)),
        open_to_all,
        others,
        workloads,
    )


def others(workloads: Sequence[Workload], sizes: Iterable[Size]) -> list[str]:
    """Return the cheapest ways to hold workloads by nodes of some sizes, each with its price."""
    found = []
    for size in sizes:
        packing = foreseen(workloads, size, 1).packing
        if size.slug in prices.NODES and not packing.misfits:
            found.append((packing.nodes * prices.NODES[size.slug], packing.nodes, size.slug))
    return [_priced(number, slug) for _, number, slug in sorted(found)[:_CHEAPEST]]


def _priced(number: int, slug: str) -> str:
    node = prices.NODES.get(slug)
    return f"{number} of {slug}" + (f" (${number * node:.0f} a month)" if node is not None else "")


def missing(workloads: Sequence[Workload], pods: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether some of the workloads have no pod, or one that has no place."""
    for workload in workloads:
        own = [pod for pod in pods if workload.makes(pod)]
        if not own and (workload.number or workload.everywhere):
            return True
        if any(not pod["spec"].get("nodeName") for pod in own):
            return True
    return False


def _fit(
    size: str,
    number: int,
    found: Sequence[Mapping[str, Any]],
    pods: Sequence[Mapping[str, Any]],
    workloads: Sequence[Workload],
) -> Fit:
    everywhere = [_daemon(workload) for workload in workloads if workload.everywhere]
    counted = [workload for workload in workloads if not workload.everywhere]
    unwritten = [(workload.name, workload.template, workload.number) for workload in counted]
    packing = capacity.pack(found, [*pods, *everywhere], unwritten)
    if packing is None:
        raise ValueError(size)
    specs = [template["spec"] for _, template, replicas in unwritten for _ in range(replicas)]
    specs += [pod["spec"] for pod in pods if not _is_apart(pod)]
    asked = sum(map(capacity.asked, specs), Room(pods=0))
    sidecars = sum(workload.number for workload in counted if workload.sidecar)
    return Fit(size, number, packing, asked, sidecars)


def _daemon(workload: Workload) -> Mapping[str, Any]:
    """Return a pod of a DaemonSet as if it were live."""
    key = workload.manifest.key
    owner = {"kind": "DaemonSet", "uid": str(key)}
    metadata = {"namespace": key.namespace, "name": key.name, "ownerReferences": [owner]}
    return {"metadata": metadata, "spec": workload.template["spec"]}


def _is_apart(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod needs no place of its own: it is over, or runs on every node."""
    owners = pod["metadata"].get("ownerReferences") or ()
    over = (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
    return over or any(owner["kind"] == "DaemonSet" for owner in owners)
