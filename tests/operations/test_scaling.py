"""Nodes that go and clusters that are upgraded, with pyinfra and real pods; some runs are killed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.integration.deploying import Checkout

STEP = "deploys/cluster.py"
FAST = ("--data", "rehearsal_speed=300")
SMALL, LARGE = "s-4vcpu-8gb", "s-8vcpu-16gb"
MACHINES = "/v2/kubernetes/clusters/*"


def data(**settings: Any) -> list[str]:
    """Return settings for one run."""
    return [word for name, value in settings.items() for word in ("--data", f"{name}={json.dumps(value)}")]


def workload(name: str, **spec: Any) -> dict[str, Any]:
    """Return a Deployment of one pod, which a budget does not let go."""
    container = {"name": "main", "image": "example.org/main:1"}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], **spec}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


def budget(name: str) -> dict[str, Any]:
    """Return a budget that wants the only pod there is, as Istio's do."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": name}}},
    }


def apply(checkout: Checkout, *objects: dict[str, Any]) -> None:
    """Have objects, and wait until the Deployments among them run."""
    (checkout.folder / "objects.json").write_text(
        json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    )
    checkout.kubectl("apply", "-f", "objects.json")
    for found in objects:
        if found["kind"] == "Deployment":
            checkout.kubectl("rollout", "status", f"deployment/{found['metadata']['name']}")


def killed_at(checkout: Checkout, words: str, *arguments: str) -> None:
    """Run the step until it says something, and kill it then."""
    process = checkout.begin("pyinfra", "-y", "inventory.py", STEP, *FAST, *arguments)
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if words in line:
            break
    process.kill()
    process.communicate()
    assert words in seen


def sizes(checkout: Checkout) -> list[str]:
    """Return the sizes of the nodes; all of them take pods."""
    nodes = checkout.get("nodes")["items"]
    assert not any(node["spec"].get("unschedulable") for node in nodes)
    return [node["metadata"]["labels"]["node.kubernetes.io/instance-type"] for node in nodes]


def bare(number: int, node: str) -> dict[str, Any]:
    """Return a pod on a node that nobody starts again."""
    spec = {**workload("bare")["spec"]["template"]["spec"], "nodeName": node}
    metadata = {"name": f"bare-{number}", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def names(checkout: Checkout) -> list[str]:
    """Return the nodes."""
    return [node["metadata"]["name"] for node in checkout.get("nodes")["items"]]


@pytest.mark.usefixtures("binaries")
def test_nodes_go_when_they_may_and_others_have_room(checkout: Checkout) -> None:
    """Pods that would not come back are named first; the node that goes is the one that was announced."""
    checkout.pyinfra(STEP, *FAST, *data(node_count=2))
    apply(checkout, *(bare(number, node) for number, node in enumerate(names(checkout))))
    refused = checkout.pyinfra(STEP, *FAST, *data(node_count=1), check=False)
    assert "has 2 nodes, and the setting node_count is 1" in refused
    assert "(nobody starts it again); add --data scale_down=true" in refused
    assert len(names(checkout)) == 2

    large = workload("large")
    large["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"memory": "3500Mi"}}
    large["spec"]["replicas"] = 2
    apply(checkout, large)
    fewer = data(node_count=1, scale_down=True)
    refused = checkout.pyinfra(STEP, *FAST, *fewer, check=False)
    assert "have no room on the other nodes (1): default/large-" in refused
    checkout.kubectl("delete", "deployment", "large", "--wait")

    planned = checkout.run("pyinfra", "--dry", "inventory.py", STEP, *FAST, *fewer).stderr
    assert "node_count: 2 → 1" in planned
    going = planned.partition("would drain and delete the nodes ")[2].partition(",")[0]
    checkout.switch({"method": "DELETE", "path": MACHINES, "cut": True, "carried_out": True})
    done = checkout.pyinfra(STEP, *FAST, *fewer)
    assert f"deleted the node {going} of the pool ml-platform-pool" in done
    assert "goes: default/bare-" in done
    assert sizes(checkout) == [SMALL]
    assert "] No changes" in checkout.pyinfra(STEP, *FAST, *fewer)


@pytest.mark.usefixtures("binaries")
def test_nodes_are_replaced_by_larger_ones(checkout: Checkout) -> None:
    """Killed in the middle, the same run goes on; what a budget keeps runs elsewhere before its node goes."""
    checkout.pyinfra(STEP, *FAST, *data(node_count=1))
    apply(checkout, workload("guarded"), budget("guarded"), bare(1, *names(checkout)))
    larger = data(node_size=LARGE, node_count=2)
    left = checkout.pyinfra(STEP, *FAST, *data(node_size=LARGE, node_count=1))
    assert "to have other nodes, add --data replace_nodes=true" in left
    assert "] No changes" in left
    checkout.switch({"method": "POST", "path": MACHINES, "status": 500, "carried_out": True})
    killed_at(checkout, "goes: default/bare-1", *larger, *data(replace_nodes=True))
    planned = checkout.run("pyinfra", "--dry", "inventory.py", STEP, *FAST, *data(node_count=1)).stderr
    assert f"the pool ml-platform-pool-{LARGE} of {LARGE} is left from replacing nodes" in planned
    done = checkout.pyinfra(STEP, *FAST, *larger, *data(replace_nodes=True))
    assert "deleted the pool ml-platform-pool" in done
    assert sizes(checkout) == [LARGE] * 2
    assert checkout.get("deployment", "guarded")["status"]["readyReplicas"] == 1
    assert "] No changes" in checkout.pyinfra(STEP, *FAST, *larger)


@pytest.mark.usefixtures("binaries")
def test_a_cluster_is_upgraded_by_its_setting(checkout: Checkout) -> None:
    """One minor after the other; whoever is killed, or is not answered, goes on."""
    version = "kubernetes_version"
    old = data(node_count=1, unsupported_kubernetes=True, **{version: "1.32"})
    checkout.pyinfra(STEP, *FAST, *old)
    told = checkout.pyinfra(STEP, *FAST, *old)
    assert "can be upgraded to 1.33.6-do.2, which DigitalOcean offers" in told
    assert "] No changes" in told
    (node,) = names(checkout)  # as a run leaves it that was killed, before somebody changed their mind
    checkout.kubectl("annotate", "node", node, "tideflow.dev/emptied-since=2026-01-01T00:00:00Z")
    checkout.kubectl("cordon", node)
    planned = checkout.run("pyinfra", "--dry", "inventory.py", STEP, *FAST, *old).stderr
    assert f"would let pods on {node} again" in planned
    assert "] Success" in checkout.pyinfra(STEP, *FAST, *old)
    assert len(sizes(checkout)) == 1

    refused = checkout.pyinfra(STEP, *FAST, *data(node_count=1, **{version: "1.34"}), check=False)
    assert "minors come one after the other" in refused

    new = data(node_count=1, **{version: "1.33"})
    planned = checkout.run("pyinfra", "--dry", "inventory.py", STEP, *FAST, *new).stderr
    assert "kubernetes_version: 1.32.10-do.2 → 1.33.6-do.2, from which there is no way back" in planned
    assert "(in a rehearsal an upgrade changes the API's" in planned
    checkout.switch({"method": "POST", "path": f"{MACHINES}/upgrade", "cut": True, "carried_out": True})
    killed_at(checkout, "waiting 0 s for the upgrade to 1.33.6-do.2", *new)
    checkout.pyinfra(STEP, *FAST, *new)
    assert "] No changes" in checkout.pyinfra(STEP, *FAST, *new)
    refused = checkout.pyinfra(STEP, *FAST, *old, check=False)
    assert (
        "has Kubernetes 1.33.6-do.2, and the setting kubernetes_version is 1.32: there is no way" in refused
    )
