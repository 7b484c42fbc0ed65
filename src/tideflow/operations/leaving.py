"""Nodes that are to go: which ones, what would be lost with them, and whether the others have room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tideflow.engine import capacity
from tideflow.engine.capacity import Room

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.clients.provided import Node, NodePool

Json = dict[str, Any]

EVICTABLE = "cluster-autoscaler.kubernetes.io/safe-to-evict"
"""The annotation that tells Kubernetes' autoscaler, and us, whether a pod may be moved."""

_MIRROR = "kubernetes.io/config.mirror"
_OVER = {"Succeeded", "Failed"}
# What Istio gives to each pod with a sidecar; nothing in it outlives the pod.
_MESH = ("istio-", "istiod-", "workload-", "credential-")
_PODS = 110


@dataclass(frozen=True)
class View:
    """The nodes of a cluster and all its pods, as the API server has them."""

    nodes: Sequence[Mapping[str, Any]] = ()
    pods: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def read(cls, cluster: Kubernetes | None) -> Self:
        """Read them; without a cluster there are none."""
        if cluster is None:
            return cls()
        pods = [pod for page in cluster.pages("/api/v1/pods") for pod in page["items"]]
        return cls(cluster.get("/api/v1/nodes")["items"], pods)

    def node(self, name: str) -> Mapping[str, Any]:
        """Return a node by its name; nothing of one that is not there."""
        return next((node for node in self.nodes if node["metadata"]["name"] == name), {})

    def moving(self, names: Collection[str]) -> list[Mapping[str, Any]]:
        """Return the pods that have to leave nodes which go."""
        return [pod for pod in self.pods if pod["spec"].get("nodeName") in names and is_moved(pod)]

    def at_stake(self, names: Collection[str]) -> list[str]:
        """Return which pods lose something if these nodes go, each with the reason."""
        return [f"{name_of(pod)} ({why})" for pod in self.moving(names) if (why := _stake(pod))]


def name_of(pod: Mapping[str, Any]) -> str:
    """Return namespace and name."""
    return f"{pod['metadata'].get('namespace', '')}/{pod['metadata']['name']}"


def controller(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return who starts the pod again; nothing if nobody does."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), {})


def is_moved(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod leaves a node that goes: it is not over, nor does the node itself have it."""
    over = (pod.get("status") or {}).get("phase") in _OVER
    owners = pod["metadata"].get("ownerReferences") or ()
    everywhere = any(owner["kind"] == "DaemonSet" for owner in owners)
    return not over and not everywhere and _MIRROR not in (pod["metadata"].get("annotations") or {})


def _stake(pod: Mapping[str, Any]) -> str:
    """Return what is lost if the pod has to leave its node, if anything is.

    What a Deployment's pod keeps in an emptyDir is lost with each rollout already, so nobody counts on it.
    """
    safe = (pod["metadata"].get("annotations") or {}).get(EVICTABLE)
    if safe == "true":
        return ""
    if safe == "false":
        return f"it says {EVICTABLE}: false"
    owner = controller(pod)
    if not owner:
        return "nobody starts it again"
    for volume in pod["spec"].get("volumes") or ():
        if "hostPath" in volume:
            return f"it uses {volume['hostPath'].get('path')} of the node"
        scratch = volume.get("emptyDir")
        kept = scratch is not None and scratch.get("medium") != "Memory"
        if kept and owner["kind"] != "ReplicaSet" and not volume["name"].startswith(_MESH):
            return f"the emptyDir {volume['name']} is on the node"
    return ""


def order(pool: NodePool, view: View) -> list[Node]:
    """Return the nodes of a pool, first those that go first.

    First go those that do not run yet, and those that take no pods any more (an earlier run was about to
    delete them); then those on which nothing is at stake, and of them the emptiest, by the memory that pods
    ask for which would have to move. Among equals it is the newest.
    """

    def rank(node: Node) -> tuple[bool, bool, bool, float, float, str]:
        live = view.node(node.name)
        asked = sum((capacity.asked(pod["spec"]).memory for pod in view.moving({node.name})), 0.0)
        # Times are texts that sort as the times do; the newest comes first.
        made = (live.get("metadata") or {}).get("creationTimestamp", "")
        age = sum(live_other > made for live_other in _times(view))
        return (
            node.state == "running",
            not (live.get("spec") or {}).get("unschedulable"),
            bool(view.at_stake({node.name})),
            asked,
            age,
            node.name,
        )

    leaving = {"draining", "deleting"}
    return sorted((node for node in pool.nodes if node.state not in leaving), key=rank)


def _times(view: View) -> Iterator[str]:
    for node in view.nodes:
        yield node["metadata"].get("creationTimestamp", "")


def shortage(view: View, going: Collection[str], new: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return why the other nodes have no room for the pods of those that go; nothing if they have.

    ``new`` are nodes that are not there yet. Largest first, each pod is put onto the first node with room,
    beside what runs there; affinity is not looked at.
    """
    free = dict(_free(view, going))
    free |= {f"new-{number}": (_allocatable(node), {}) for number, node in enumerate(new)}
    moving = sorted(
        ((capacity.asked(pod["spec"]), pod) for pod in view.moving(going)),
        key=lambda pair: (pair[0].memory, pair[0].cpu),
        reverse=True,
    )
    homeless = []
    for room, pod in moving:
        wanted = (pod["spec"].get("nodeSelector") or {}).items()
        for name, (left, labels) in free.items():
            if left.holds(room) and (name.startswith("new-") or wanted <= labels.items()):
                free[name] = (left - room, labels)
                break
        else:
            homeless.append((room, pod))
    if not homeless:
        return ""
    room, pod = homeless[0]
    asked = sum((each for each, _ in moving), Room(pods=0))
    most = max((left for left, _ in free.values()), key=lambda left: (left.memory, left.cpu), default=Room())
    return (
        f"{len(homeless)} of the {len(moving)} pods that would move ({asked} in all) have no room on the "
        f"other nodes ({len(free)}): {name_of(pod)} asks for {room}, and the most that is left is {most}"
    )


def _free(view: View, going: Collection[str]) -> Iterator[tuple[str, tuple[Room, Mapping[str, str]]]]:
    """Yield the nodes that stay and take pods, with what is left on them, and their labels."""
    for node in view.nodes:
        name = node["metadata"]["name"]
        if name in going or capacity.is_closed(node):
            continue
        left = _allocatable(node)
        for pod in view.pods:
            over = (pod.get("status") or {}).get("phase") in _OVER
            if pod["spec"].get("nodeName") == name and not over:
                left -= capacity.asked(pod["spec"])
        yield name, (left, node["metadata"].get("labels") or {})


def _allocatable(node: Mapping[str, Any]) -> Room:
    found = (node.get("status") or {}).get("allocatable") or {}
    return Room(
        capacity.quantity(found.get("cpu", 0)),
        capacity.quantity(found.get("memory", 0)),
        int(found.get("pods", _PODS)),
    )


def daemons(view: View) -> Room:
    """Return what runs on each node asks for."""
    found: dict[str, Room] = {}
    for pod in view.pods:
        for owner in pod["metadata"].get("ownerReferences") or ():
            if owner["kind"] == "DaemonSet":
                found[owner["uid"]] = capacity.asked(pod["spec"])
    return sum(found.values(), Room(pods=0))
