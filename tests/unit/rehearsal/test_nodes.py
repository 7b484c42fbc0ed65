"""Nodes are drained as kubectl drains them: by asking pods to leave, as often as it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from tideflow.errors import KubernetesError
from tideflow.rehearsal.nodes import drain

if TYPE_CHECKING:
    from tideflow.clients.kubernetes import Kubernetes


class Cluster:
    """What a drain asks of a cluster; ``kept`` are pods that a budget keeps."""

    def __init__(self, *pods: dict[str, Any], kept: tuple[str, ...] = (), cordon: int = 200) -> None:
        self.pods = list(pods)
        self.kept = kept
        self.cordon = cordon
        self.asked: list[str] = []

    def patch(self, path: str, body: Any, **_: Any) -> None:
        """Take a cordon."""
        assert (path, body) == ("/api/v1/nodes/one", {"spec": {"unschedulable": True}})
        if self.cordon != 200:
            raise KubernetesError("refused", status=self.cordon)

    def get(self, path: str, *, query: dict[str, str]) -> Any:
        """Return the pods of the node."""
        assert (path, query) == ("/api/v1/pods", {"fieldSelector": "spec.nodeName=one"})
        return {"items": self.pods}

    def post(self, path: str, body: Any) -> None:
        """Take an eviction."""
        name = body["metadata"]["name"]
        assert path == f"/api/v1/namespaces/default/pods/{name}/eviction"
        self.asked.append(name)
        if name in self.kept:
            raise KubernetesError("a budget keeps it", status=429)
        if name == "forbidden":
            raise KubernetesError("not allowed", status=403)


def pod(name: str, *, owner: str = "", leaving: bool = False) -> dict[str, Any]:
    """Return a pod."""
    metadata: dict[str, Any] = {"name": name, "namespace": "default"}
    if owner:
        metadata["ownerReferences"] = [{"kind": owner}]
    if leaving:
        metadata["deletionTimestamp"] = "2026-11-01T12:00:00Z"
    return {"metadata": metadata}


def left(cluster: Cluster) -> int:
    """Return how many pods a drain says are still there."""
    return drain(cast("Kubernetes", cluster), "one")


def test_all_but_daemons_are_asked_to_leave() -> None:
    """Those that leave already are waited for, those that a budget keeps are asked again."""
    cluster = Cluster(
        pod("alone"),
        pod("daemon", owner="DaemonSet"),
        pod("kept", owner="ReplicaSet"),
        pod("leaving", leaving=True),
        kept=("kept",),
    )
    assert left(cluster) == 3
    assert cluster.asked == ["alone", "kept"]
    assert left(cluster) == 3
    assert cluster.asked == ["alone", "kept", "alone", "kept"]


def test_a_node_is_empty_when_daemons_are_left() -> None:
    """Or when it is gone."""
    assert left(Cluster(pod("daemon", owner="DaemonSet"))) == 0
    assert left(Cluster(pod("alone"), cordon=404)) == 0


def test_other_refusals_are_errors() -> None:
    """Which who drains hears of."""
    with pytest.raises(KubernetesError, match="not allowed"):
        left(Cluster(pod("forbidden")))
    with pytest.raises(KubernetesError, match="refused"):
        left(Cluster(cordon=500))
