"""Whether pods fit nodes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.engine.objects import deployment

from tideflow.engine.manifests import load
from tideflow.operations import fitting
from tideflow.operations.demand import demand
from tideflow.operations.prices import SIZES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tideflow.operations.demand import Workload

SMALL, USUAL = SIZES["s-2vcpu-4gb"], SIZES["s-4vcpu-8gb"]
GIB = 2**30


def asking(name: str, memory: str, replicas: int = 1) -> dict[str, Any]:
    """Return a Deployment whose pods ask for memory."""
    container = {"name": "main", "image": "example.org/main:1", "resources": {"requests": {"memory": memory}}}
    body = deployment(name, containers=[container])
    body["spec"]["replicas"] = replicas
    return body


def of(*objects: dict[str, Any]) -> Sequence[Workload]:
    """Return the workloads of some objects."""
    return demand(load(objects)).workloads


def node(memory: str = "6Gi", **spec: Any) -> dict[str, Any]:
    """Return a live node."""
    return {
        "metadata": {"labels": {"node.kubernetes.io/instance-type": "s-4vcpu-8gb"}},
        "spec": spec,
        "status": {"allocatable": {"cpu": "3900m", "memory": memory, "pods": "110"}},
    }


def pod(app: str, memory: str = "0", **spec: Any) -> dict[str, Any]:
    """Return a live pod."""
    container = {"name": "main", "resources": {"requests": {"memory": memory}}}
    return {
        "metadata": {"namespace": "a", "name": app, "labels": {"app": app}},
        "spec": {"containers": [container], **spec},
    }


def test_new_nodes_run_what_digitalocean_and_the_ingress_need() -> None:
    """Before the first pod of ours."""
    fit = fitting.foreseen([], USUAL, 1)
    assert fit.asked.pods == 5  # coredns and the ingress controllers, two of each, and metrics-server
    assert fit.packing.empty.memory < 6 * GIB
    assert fit.packing.empty.cpu < 3.9


def test_pods_are_packed_and_not_summed() -> None:
    """Three nodes have 16 GiB for pods, and yet no room for four of 4 GiB."""
    workloads = of(asking("four", "4Gi", 4))
    assert not fitting.foreseen(workloads, USUAL, 3).holds
    assert fitting.foreseen(workloads, USUAL, 4).holds
    why = str(fitting.foreseen(workloads, USUAL, 3).problem())
    assert (
        "does not fit 3 nodes of s-4vcpu-8gb; set node_count and node_size to what would hold it: 4 of" in why
    )


def test_a_pod_that_is_larger_than_any_node_is_named() -> None:
    """More nodes would not help, so they are not proposed; others are."""
    workloads = of(asking("large", "3Gi"))
    fit = fitting.foreseen(workloads, SMALL, 99)
    assert not fit.holds
    others = fitting.others(workloads, [USUAL, SMALL])
    assert others == ["1 of s-4vcpu-8gb ($48 a month)"]
    table = "\n".join(fit.table(others))
    assert "too small for Deployment a/large, which asks for 0 CPU and 3.00 GiB" in table
    assert table.endswith("fits     1 of s-4vcpu-8gb ($48 a month)")


def test_others_are_the_cheapest_first() -> None:
    """No more than people want to read."""
    others = fitting.others(of(asking("one", "1Gi")), SIZES.values())
    assert len(others) == 3
    assert others[0] == "1 of s-2vcpu-4gb ($24 a month)"


def test_live_nodes_count_as_they_are_and_so_do_others_pods() -> None:
    """Our own pods are not counted twice; those that are over are not counted."""
    workloads = of(asking("ours", "4Gi"))
    found = [node()]
    fit = fitting.live(workloads, found, [pod("ours", "4Gi")], number=1)
    assert fit is not None
    assert fit.holds
    theirs = pod("theirs", "3Gi")
    fit = fitting.live(workloads, found, [pod("ours", "4Gi"), theirs], number=1)
    assert fit is not None
    assert not fit.holds
    assert fit.asked.memory == 7 * GIB
    assert "2 of s-4vcpu-8gb ($96 a month)" in str(fit.problem())
    over = {**theirs, "status": {"phase": "Succeeded"}}
    fit = fitting.live(workloads, found, [over], number=1)
    assert fit is not None
    assert fit.holds


def test_nodes_that_digitalocean_would_add_count_and_closed_ones_do_not() -> None:
    """A pool that is scaled up to three nodes holds what three nodes hold."""
    workloads = of(asking("ours", "4Gi", 3))
    fit = fitting.live(workloads, [node()], [], number=3)
    assert fit is not None
    assert fit.holds
    closed = node(taints=[{"key": "gpu", "effect": "NoSchedule"}])
    fit = fitting.live(workloads, [node(), closed], [], number=2)
    assert fit is not None
    assert fit.number == 1
    assert fitting.live(workloads, [closed], [], number=1) is None
    assert fitting.live(workloads, [], [], number=0) is None


def test_it_is_asked_only_while_some_pods_are_missing_or_have_no_place() -> None:
    """A rerun over all that runs looks no further."""
    workloads = of(asking("ours", "4Gi"))
    assert fitting.missing(workloads, [])
    assert fitting.missing(workloads, [pod("ours")])
    assert not fitting.missing(workloads, [pod("ours", nodeName="n")])


@pytest.mark.skipif(
    not os.environ.get("TIDEFLOW_TEST_KUBEFLOW"),
    reason="TIDEFLOW_TEST_KUBEFLOW names no folder with Kubeflow's manifests",
)
@pytest.mark.parametrize(("release", "pods"), [("26.03", 51), ("v1.10.2", None)])
def test_kubeflow_fits_the_default_nodes_and_not_the_classic_ones(
    release: str, pods: int | None, tmp_path: Path
) -> None:
    """Three of 4 vCPU and 8 GB hold it; three of 2 and 4 lack the 2 GiB that istiod asks for in one piece."""
    from tideflow.vendoring.vendor import vendor  # noqa: PLC0415 - pydantic is slow to import

    (tmp_path / "kubeflow.toml").write_bytes(Path("vendored/kubeflow.toml").read_bytes())
    sources = Path(os.environ["TIDEFLOW_TEST_KUBEFLOW"])
    vendor(tmp_path, release=release, source=sources, progress=lambda _: None)
    asked = demand(load(tmp_path / "kubeflow"))
    assert pods in {None, sum(workload.number for workload in asked.workloads)}
    assert fitting.foreseen(asked.workloads, USUAL, 3).holds
    small = fitting.foreseen(asked.workloads, SMALL, 3)
    assert not small.holds
    assert "Deployment istio-system/istiod" in small.packing.misfits
