"""What is told before a real cluster is made, and before a base is applied to live nodes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.integration.deploying import Checkout
from tests.operations.clouds import ANSWERS, NAME, Cloud, described

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.operations.conftest import Scratch

OWN = tuple(
    f"--data={setting}"
    for setting in ("hostname=ml.example.org", "email=me@example.org", "acme_email=me@example.org")
)
OPTIONS = {path: ANSWERS[path] for path in ("kubernetes/options", "1-clicks")}


def dry(folder: Path, cloud: Cloud, *arguments: str) -> tuple[int, str]:
    """Say what would be made, in a checkout of its own; return the exit status and what was printed."""
    checkout = Checkout.make(folder / "checkout")
    with cloud.serving():
        done = checkout.run(
            "pyinfra",
            "--dry",
            *OWN,
            "inventory.py",
            "deploys/cluster.py",
            *arguments,
            check=False,
            **cloud.environment,
        )
    printed = (done.stdout + done.stderr).replace(f"[@doks/{NAME}] ", "")
    assert "Traceback" not in printed
    assert "canary" not in printed
    assert cloud.asked == []
    return done.returncode, printed


def test_what_is_offered_is_no_problem(tmp_path: Path) -> None:
    """The newest patch is shown; that nothing is vendored yet is said."""
    status, printed = dry(tmp_path, Cloud(None, **ANSWERS))
    assert status == 0
    assert "Kubernetes 1.34 is 1.34.10-do.1 now" in printed
    assert "not checked: whether Kubeflow fits the nodes (there is nothing in vendored/kubeflow" in printed
    assert printed.count("not checked") == 1
    assert "it costs about $156 a month" in printed
    assert f"would create the cluster {NAME}: 3 nodes of s-4vcpu-8gb" in printed


def test_a_teardown_that_did_not_end_is_told(tmp_path: Path) -> None:
    """Whoever makes or changes the cluster should know; a run that changes nothing does not ask for it."""
    tag = f"tideflow-teardown:{NAME}:c-1"
    names = [tag, f"{tag}:keep-volumes", f"tideflow-teardown:{NAME}-2:c-2", "tideflow"]
    tags = {"tags": {"tags": [{"name": name} for name in names], "links": {}}}
    status, printed = dry(tmp_path / "1", Cloud(None, **ANSWERS, **tags))
    assert status == 0
    assert f"a teardown of {NAME} was begun, and did not end: finish it (TIDEFLOW_PLATFORM={NAME} " in printed
    assert f"or have it forgotten (doctl compute tag delete {tag} {tag}:keep-volumes)" in printed
    changed = ("--data", "auto_upgrade=true")
    assert "was begun" in dry(tmp_path / "2", Cloud(described(), **ANSWERS, **tags), *changed)[1]
    assert "was begun" not in dry(tmp_path / "3", Cloud(described(), **ANSWERS, **tags))[1]


def test_a_region_without_the_size_and_droplets_that_are_too_many(tmp_path: Path) -> None:
    """Both at once: each is known to the API only, and a refused create would tell one of them."""
    settings = ("--data", "region=fra1", "--data", "node_count=4")
    status, printed = dry(tmp_path, Cloud(None, **ANSWERS), *settings)
    assert status == 1
    assert "the region fra1 has no s-4vcpu-8gb; set node_size to what it has (s-2vcpu-4gb)" in printed
    assert "the account may have 10 droplets and has 7: 4 more for nodes are too many" in printed
    assert "2 problems have to be solved first" in printed


def test_what_later_steps_would_refuse_is_told_at_once(tmp_path: Path) -> None:
    """Slugs, a domain that the account has not, and the version, by the release that would be vendored."""
    settings = ("--data", 'addons=["ingres-nginx", "metrics-server"]', "--data", "dns_zone=example.org")
    version = ("--data", 'kubernetes_version="1.32"', "--data", "edge=istio")
    status, printed = dry(tmp_path, Cloud(None, **ANSWERS), *settings, *version)
    assert status == 1
    assert "the setting addons has what DigitalOcean does not offer: ingres-nginx" in printed
    assert "the account has no domain example.org" in printed
    assert "DigitalOcean offers no kubernetes_version '1.32'" in printed
    assert "Kubeflow 26.03 does not run on Kubernetes 1.32" in printed
    assert "4 problems have to be solved first" in printed


def test_a_cluster_that_would_grow_needs_room_in_the_account(tmp_path: Path) -> None:
    """Only for the nodes that it does not have yet."""
    status, printed = dry(tmp_path, Cloud(described(), **ANSWERS), "--data", "node_count=6")
    assert status == 0
    assert "node_count: 3 → 6" in printed
    status, printed = dry(
        tmp_path / "again", Cloud(described(), **ANSWERS), "--data", "node_count=7", "--data", "region=fra1"
    )
    assert status == 1
    assert "has 7: 4 more for nodes are too many" in printed
    assert "is in nyc3, and the setting region is fra1" in printed


def test_what_costs_more_is_told_with_its_price(tmp_path: Path) -> None:
    """And nothing else is; bounds beyond what the account may have are a problem already."""
    status, printed = dry(tmp_path / "1", Cloud(described()), "--data", "high_availability=true")
    assert status == 0
    assert "it costs about $196 a month (an estimate" in printed
    status, printed = dry(tmp_path / "2", Cloud(described(), **ANSWERS), "--data", "node_autoscale=[3,6]")
    assert status == 0
    assert "it costs about $156 a month, up to $300 with 6 nodes (an estimate" in printed
    status, printed = dry(tmp_path / "3", Cloud(described(), **ANSWERS), "--data", "node_autoscale=[3,7]")
    assert status == 1
    assert "has 7: 4 more for nodes are too many" in printed
    assert "it costs" not in dry(tmp_path / "4", Cloud(described()), "--data", "auto_upgrade=true")[1]


def test_what_a_token_may_not_know_is_said_and_not_checked(tmp_path: Path) -> None:
    """Nodes of clusters are counted then, of which there is none."""
    status, printed = dry(tmp_path, Cloud(None, **OPTIONS), "--data", "node_count=20")
    assert status == 0
    assert "not checked: which sizes the region has (DigitalOcean answered 404 not_found to GET" in printed
    assert "not checked: how many droplets there are; counted are the nodes of clusters" in printed
    assert "not checked: how many droplets the account may have" in printed


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """Return a checkout whose rehearsal deploys the sample, on one node; it is stopped afterwards."""
    (tmp_path / "rehearsed").mkdir()
    made = Checkout.make(tmp_path / "rehearsed")
    made.platform.mkdir(parents=True)
    (made.platform / "sample-base").touch()
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.usefixtures("binaries")
def test_live_nodes_without_room_are_told_before_the_base_is_applied(checkout: Checkout) -> None:
    """Others' pods may have taken the room; with it, the base is applied, and a rerun asks no more."""
    one = ("--data", "node_count=1")
    container = {
        "name": "theirs",
        "image": "example.org/theirs:1",
        "resources": {"requests": {"memory": "4Gi"}},
    }
    theirs = (
        *("run", "theirs", "--image=example.org/theirs:1"),
        f"--overrides={json.dumps({'spec': {'containers': [container]}})}",
    )
    checkout.pyinfra("deploys/cluster.py", *one)
    checkout.kubectl(*theirs)
    for how in ("-y", "--dry"):
        done = checkout.run("pyinfra", how, "inventory.py", "deploys/kubeflow_base.py", *one, check=False)
        assert done.returncode == 1
        assert "Kubeflow does not fit 1 node of s-4vcpu-8gb" in done.stderr
        assert "2 of s-4vcpu-8gb ($96 a month)" in done.stderr
    assert "namespaces" not in str(checkout.writes())
    checkout.kubectl("delete", "pod", "theirs", "--force", "--grace-period=0")
    assert "all are ready" in checkout.pyinfra("deploys/kubeflow_base.py", *one)
    mark = checkout.mark()
    assert "] Success" not in checkout.pyinfra("deploys/kubeflow_base.py", *one)
    assert checkout.writes(mark) == []
    # What is missing is put back all the same.
    checkout.kubectl(*theirs)
    checkout.kubectl("delete", "deployment", "-n", "auth", "dex")
    printed = checkout.pyinfra("deploys/kubeflow_base.py", *one)
    assert "Kubeflow does not fit 1 node of s-4vcpu-8gb" in printed
    assert "1 created" in printed


ROOM = """
from tideflow.engine.manifests import load
from tideflow.operations.bases import Base
from tideflow.operations.credentials import Credentials
from tideflow.operations.room import room

requests = {"memory": "7Gi"}
container = {"name": "main", "image": "example.org/main:1", "resources": {"requests": requests}}
template = {"metadata": {"labels": {"app": "large"}}, "spec": {"containers": [container]}}
manifests = load([{
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "large", "namespace": "default"},
    "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "large"}}, "template": template},
}])
room(name="Room", base=Base(manifests, Credentials(manifests, ()), ()))
"""


def test_nodes_that_somebody_else_makes_may_become_more(here: Scratch) -> None:
    """So that what does not fit now is said, and no error."""
    here.write("room.py", ROOM)
    mark = len(here.requests())
    done = here.pyinfra("-y", "room.py")
    assert done.returncode == 0, done.stderr
    assert "Kubeflow does not fit 1 node" in done.stderr
    assert here.writes(mark) == []
