"""Emptying nodes: their pods leave as budgets allow it, and run elsewhere before anything else goes.

DigitalOcean drains nodes too, but after a while deletes them with what is still there; and it does not look
whether pods run again. So nodes are emptied first, and deleted when nothing is on them any more.
"""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tideflow.errors import ApplyError, KubernetesError
from tideflow.operations.leaving import View, controller, name_of
from tideflow.operations.words import some

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from tideflow.clients.kubernetes import Kubernetes

SINCE = "tideflow.dev/emptied-since"
"""The annotation of nodes that are being emptied; its value is the time of the API server when that began."""

_NODES = "/api/v1/nodes"
_MANAGER = {"fieldManager": "tideflow-nodes"}
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_CONFLICT, _NOT_FOUND, _KEPT = 409, 404, 429
_QUIET = 2  # so many looks in a row show that all pods run: some are made a moment after others have gone


def held(view: View, *, but: Collection[str] = ()) -> list[str]:
    """Return the nodes that an earlier run began to empty, which is no longer wanted."""
    return [
        node["metadata"]["name"]
        for node in view.nodes
        if _since(node) and node["metadata"]["name"] not in but
    ]


def released(view: View, *, but: Collection[str]) -> View:
    """Return a view in which pods are let on those nodes again, as they will be before others go."""
    free = held(view, but=but)
    return View(
        [
            {**node, "spec": {**node["spec"], "unschedulable": False}}
            if node["metadata"]["name"] in free
            else node
            for node in view.nodes
        ],
        view.pods,
    )


def release(cluster: Kubernetes, names: Collection[str]) -> None:
    """Let pods on nodes again."""
    for name in names:
        _patch(cluster, name, unschedulable=None, since=None)


def is_there(cluster: Kubernetes, name: str) -> bool:
    """Tell whether the cluster has a node still."""
    try:
        cluster.get(f"{_NODES}/{name}")
    except KubernetesError as error:
        if error.status == _NOT_FOUND:
            return False
        raise
    return True


def bury(cluster: Kubernetes, name: str) -> None:
    """Delete the pods of a node that is no more, so that others start in their place.

    Kubernetes does so too, about a minute later.
    """
    for pod in cluster.get("/api/v1/pods", query={"fieldSelector": f"spec.nodeName={name}"})["items"]:
        metadata = pod["metadata"]
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
        try:
            cluster.delete(f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}", options)
        except KubernetesError as error:
            if error.status not in {_CONFLICT, _NOT_FOUND}:
                raise


@dataclass
class Emptying:
    """Nodes are emptied one after the other; ``deadline`` is a time of ``time.monotonic``, ``pause`` seconds.

    ``live`` shows what is waited for, ``log`` says what is done to workloads.
    """

    cluster: Kubernetes
    live: Callable[[str], None]
    log: Callable[[str], None]
    deadline: float
    pause: float
    _broken: set[str] = field(default_factory=set)
    _restarted: set[str] = field(default_factory=set)

    def empty(self, name: str, going: Collection[str]) -> None:
        """Have no pods on a node any more, but those that are on every node, and all that left run elsewhere.

        Other nodes that are ``going`` too take no pods any more either, so that none moves twice. A pod that
        did not run when it was asked to leave is not waited for, nor does one have to leave twice that is
        started again on a node which takes none: that goes with the node.
        """
        view = View.read(self.cluster)
        now = max((_made(thing) for thing in (*view.nodes, *view.pods)), default="")
        there = [other for other in (name, *going) if view.node(other)]
        for other in there:
            if not _since(view.node(other)):
                _patch(self.cluster, other, unschedulable=True, since=now)
        since = min((_since(view.node(other)) or now for other in there), default=now)
        quiet = 0
        while quiet < _QUIET:
            view = View.read(self.cluster)
            left = [pod for pod in view.moving({name}) if not (_made(pod) >= since and _stays(pod))]
            kept = [pod for pod in left if not self._evicted(pod)]
            waiting = [
                pod
                for pod in view.pods
                if _made(pod) >= since
                and pod["spec"].get("nodeName") not in there
                and not _runs(pod)
                and controller(pod).get("uid") not in self._broken
            ]
            quiet = 0 if left or waiting else quiet + 1
            if quiet == _QUIET:
                return
            how = self._told(left, kept, waiting)
            if time.monotonic() > self.deadline:
                raise ApplyError(
                    f"the node {name} is not deleted yet: {how}",
                    hint="see why these do not go, or do not run; then run this step again",
                )
            self.live(f"emptying the node {name}: {how}")
            time.sleep(self.pause)

    @staticmethod
    def _told(
        left: Sequence[Mapping[str, Any]],
        kept: Sequence[Mapping[str, Any]],
        waiting: Sequence[Mapping[str, Any]],
    ) -> str:
        parts = [f"{len(left)} pods have to leave"] if left else []
        if kept:
            parts.append(f"budgets keep {some([name_of(pod) for pod in kept], 3)}")
        if waiting:
            parts.append(f"{len(waiting)} do not run again yet: {some([name_of(pod) for pod in waiting], 3)}")
        return ", ".join(parts) or "it is empty"

    def _evicted(self, pod: Mapping[str, Any]) -> bool:
        """Ask a pod to leave; return whether it does, or some budget keeps it."""
        metadata = pod["metadata"]
        if "deletionTimestamp" in metadata:
            return True
        uid = controller(pod).get("uid")
        if uid and not _runs(pod):
            self._broken.add(uid)
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction"
        identity = {"name": metadata["name"], "namespace": metadata["namespace"]}
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": identity,
            "deleteOptions": {"preconditions": {"uid": metadata["uid"]}},
        }
        try:
            self.cluster.post(path, body)
        except KubernetesError as error:
            if error.status == _KEPT:
                self._restart(pod)
                return False
            if error.status not in {_CONFLICT, _NOT_FOUND}:
                raise
        return True

    def _restart(self, pod: Mapping[str, Any]) -> None:
        """Restart the Deployment of a pod that a budget keeps: it starts another one before this one goes.

        A budget that wants one pod of one, as Istio's own do, would keep it for ever.
        """
        owner = controller(pod)
        if owner.get("kind") != "ReplicaSet" or owner["uid"] in self._restarted:
            return
        self._restarted.add(owner["uid"])
        namespace = pod["metadata"]["namespace"]
        apps = f"/apis/apps/v1/namespaces/{namespace}"
        deployment = controller(self.cluster.get(f"{apps}/replicasets/{owner['name']}"))
        if deployment.get("kind") != "Deployment":
            return
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        annotations = {"kubectl.kubernetes.io/restartedAt": now}
        body = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
        self.cluster.patch(f"{apps}/deployments/{deployment['name']}", body, query=_MANAGER)
        self.log(
            f"restarted Deployment {namespace}/{deployment['name']}: a budget keeps its pod until another "
            "one runs"
        )


def _patch(cluster: Kubernetes, name: str, *, unschedulable: bool | None, since: str | None) -> None:
    body = {"metadata": {"annotations": {SINCE: since}}, "spec": {"unschedulable": unschedulable}}
    try:
        cluster.patch(f"{_NODES}/{name}", body, query=_MANAGER)
    except KubernetesError as error:
        if error.status != _NOT_FOUND:
            raise


def _since(node: Mapping[str, Any]) -> str:
    found: str = ((node.get("metadata") or {}).get("annotations") or {}).get(SINCE, "")
    return found


def _made(thing: Mapping[str, Any]) -> str:
    found: str = thing["metadata"].get("creationTimestamp") or ""
    return found


def _stays(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod may be put onto nodes that take none."""
    return any(
        found.get("operator") == "Exists" and found.get("key") in {None, "", _UNSCHEDULABLE}
        for found in pod["spec"].get("tolerations") or ()
    )


def _runs(pod: Mapping[str, Any]) -> bool:
    """Tell whether nothing of a pod has to be waited for: it is ready, over, or on its way out."""
    status = pod.get("status") or {}
    ready = any(
        found["type"] == "Ready" and found["status"] == "True" for found in status.get("conditions") or ()
    )
    return ready or status.get("phase") in {"Succeeded", "Failed"} or "deletionTimestamp" in pod["metadata"]
