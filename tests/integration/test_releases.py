"""A whole release of Kubeflow, vendored from a folder and deployed as a user does it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.deploying import Checkout, failed
from tests.integration.logging_in import login

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = os.environ.get("TIDEFLOW_TEST_KUBEFLOW", "")

pytestmark = [
    pytest.mark.skipif(not FOLDER, reason="TIDEFLOW_TEST_KUBEFLOW names no folder with Kubeflow's manifests"),
    pytest.mark.usefixtures("binaries"),
]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Return a checkout with 26.03 vendored."""
    made = Checkout.make(tmp_path_factory.mktemp("release"))
    try:
        made.run("tideflow", "vendor", "--from", str(Path(FOLDER).resolve()))
        yield made
    finally:
        made.stop()


def test_a_release_is_deployed_in_one_pass(checkout: Checkout) -> None:
    """No write is refused, every pod runs on the default nodes, and a rerun writes nothing."""
    printed = checkout.pyinfra("deploys/all.py")
    assert "678 created" in printed
    writes = checkout.writes()
    assert failed(writes) == []
    assert checkout.not_running() == []
    # Three NetworkPolicies come to upstream's objects: without these, such connections would not be let in.
    live = checkout.get("networkpolicy", "--all-namespaces")["items"]
    policies = {policy["metadata"]["name"] for policy in live}
    assert {
        "allow-edge-to-istio-ingressgateway",
        "allow-edge-to-acme-solver",
        "allow-apiserver-to-llmisvc-webhook",
    } <= policies
    mark = checkout.mark()
    again = checkout.pyinfra("deploys/all.py")
    assert checkout.writes(mark) == []
    assert "] Success" not in again


def test_nodes_that_are_too_small_are_refused_before_they_are_made(checkout: Checkout) -> None:
    """Three nodes of 2 vCPU and 4 GB: the run ends with the pod that is too large, and with what would do."""
    printed = checkout.pyinfra(
        "deploys/cluster.py",
        "deploys/load_balancer.py",
        "deploys/kubeflow_base.py",
        "--data",
        "node_size=s-2vcpu-4gb",
        check=False,
        TIDEFLOW_PLATFORM="small",
    )
    assert "too small for Deployment istio-system/istiod" in printed
    assert "Kubeflow does not fit 3 nodes of s-2vcpu-4gb" in printed
    assert "2 of s-4vcpu-8gb ($96 a month)" in printed
    assert "Starting operation" not in printed
    assert "Traceback" not in printed


def test_as_few_nodes_as_are_said_to_hold_it_do(checkout: Checkout) -> None:
    """What is foreseen is what the real scheduler finds."""
    printed = checkout.pyinfra(
        "deploys/cluster.py",
        "deploys/load_balancer.py",
        "deploys/kubeflow_base.py",
        "--data",
        "node_count=2",
        TIDEFLOW_PLATFORM="two",
    )
    assert "678 created" in printed
    assert "all are ready" in printed


@pytest.mark.soak
def test_a_release_takes_the_place_of_the_sample(
    auth_proxy: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As after a first look: what stays of the sample, credentials above all, goes with what comes."""
    assert auth_proxy.exists()
    made = Checkout.make(tmp_path_factory.mktemp("succession"))
    made.platform.mkdir(parents=True)
    (made.platform / "sample-base").touch()
    try:
        assert "leads to Kubeflow's login" in made.pyinfra("deploys/all.py")
        made.run("tideflow", "vendor", "--from", str(Path(FOLDER).resolve()))
        printed = made.pyinfra("deploys/all.py")
        assert "was gone, and is made anew" not in printed
        found = re.search(r"https://(kubeflow\.localhost):(\d+) leads to Kubeflow's login", printed)
        assert found is not None
        password = (made.platform / "password").read_text().strip()
        login(f"https://127.0.0.1:{found[2]}", found[1], "user@example.com", password)
        mark = made.mark()
        made.pyinfra("deploys/all.py")
        assert made.writes(mark) == []
    finally:
        made.stop()
