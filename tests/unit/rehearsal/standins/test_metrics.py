"""What metrics-server answers for pods and nodes that are there."""

from __future__ import annotations

from typing import Any

from tests.unit.rehearsal.standins.worlds import world

from tideflow.rehearsal.standins.metrics import answer

ROOT = "/apis/metrics.k8s.io/v1beta1"


def pod(name: str, *, app: str = "a", phase: str = "Running", namespace: str = "one") -> dict[str, Any]:
    """Return a pod with a sidecar and one that has ended its work."""
    asks = {"requests": {"cpu": "200m", "memory": "1Gi"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}},
        "spec": {
            "nodeName": "n",
            "containers": [{"name": "main", "resources": asks}],
            "initContainers": [
                {"name": "first", "resources": asks},
                {"name": "istio-proxy", "restartPolicy": "Always", "resources": asks},
            ],
        },
        "status": {"phase": phase},
    }


NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": {}}}


def names(found: dict[str, Any] | None) -> list[str]:
    """Return the names of what was answered."""
    assert found is not None
    return [each["metadata"]["name"] for each in found["items"]]


def test_pods_use_half_of_what_they_ask_for() -> None:
    """Sidecars count; what has ended does not; a node uses what its pods do."""
    live = world(pod("a"), NODE)
    found = answer(live, f"{ROOT}/namespaces/one/pods/a")
    assert found is not None
    used = {each["name"]: each["usage"] for each in found["containers"]}
    half = {"cpu": "100m", "memory": "524288Ki"}
    assert used == {"main": half, "istio-proxy": half}
    node = answer(live, f"{ROOT}/nodes/n")
    assert node is not None
    assert node["usage"] == {"cpu": "200m", "memory": "1048576Ki"}


def test_pods_are_chosen_by_namespace_and_labels() -> None:
    """As autoscalers ask for them; those that do not run have no metrics."""
    live = world(pod("a"), pod("b", app="b"), pod("c", phase="Pending"), pod("d", namespace="two"))
    assert names(answer(live, f"{ROOT}/pods")) == ["a", "b", "d"]
    assert names(answer(live, f"{ROOT}/namespaces/one/pods")) == ["a", "b"]
    assert names(answer(live, f"{ROOT}/namespaces/one/pods?labelSelector=app%3Db")) == ["b"]


def test_what_is_not_there_is_not_answered() -> None:
    """Neither other paths nor objects; the types are."""
    live = world(pod("a"))
    types = answer(live, ROOT)
    assert types is not None
    assert [each["name"] for each in types["resources"]] == ["nodes", "pods"]
    for path in (f"{ROOT}/nodes/other", f"{ROOT}/services", "/openapi/v2", "/apis"):
        assert answer(live, path) is None
