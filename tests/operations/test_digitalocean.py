"""The operations that make a cluster and change it, and what they make of one that is not as it should be."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.deploying import Checkout
from tests.integration.planes import eventually
from tests.operations.clouds import ANSWERS, NAME, Cloud, described

from tideflow.rehearsal.control_plane import NAMES

if TYPE_CHECKING:
    from pathlib import Path

OWN = tuple(
    f"--data={setting}"
    for setting in ("hostname=ml.example.org", "email=me@example.org", "acme_email=me@example.org")
)


@pytest.fixture
def broken(binaries: Path, auth_proxy: Path, tmp_path: Path) -> Path:
    """Return the programs of a control plane whose etcd ends as soon as it is started."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / auth_proxy.name).symlink_to(auth_proxy)
    for name in NAMES[:-1]:
        (folder / name).symlink_to(binaries / name)
    (folder / "etcd").unlink()
    (folder / "etcd").write_text("#!/bin/sh\necho there is no room >&2\nexit 1\n")
    (folder / "etcd").chmod(0o755)
    return folder


def test_a_cluster_that_does_not_come_up_says_why(checkout: Checkout, broken: Path) -> None:
    """What keeps it is in the line that ends the run, and not only in a log."""
    done = checkout.run(
        *("pyinfra", "-y", "inventory.py", "deploys/cluster.py", "--data", "timeout_minutes=0.1"),
        check=False,
        TIDEFLOW_CONTROL_PLANE=str(broken),
    )
    assert done.returncode == 1
    assert "for the cluster ml-platform: provisioning, 0 of 3 nodes running (" in done.stderr
    assert "there is no room" in done.stderr
    assert "Traceback" not in done.stderr


def run(cloud: Cloud, folder: Path, *arguments: str, how: str = "-y") -> tuple[int, str]:
    """Run the step against a cloud, and return its exit status and what it printed, without its prefixes."""
    with cloud.serving():
        done = Checkout.make(folder / "checkout").run(
            "pyinfra",
            how,
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
    return done.returncode, printed


@pytest.mark.parametrize("how", ["-y", "--dry"])
@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("error", "DigitalOcean could not make the cluster production: no capacity; delete it"),
        ("deleting", "the cluster production is being deleted; wait until it is gone"),
    ],
)
def test_a_cluster_that_will_not_run_is_told_at_once(tmp_path: Path, how: str, state: str, told: str) -> None:
    """With DigitalOcean's reason, in --dry too; nothing is asked for."""
    cloud = Cloud(described(state, message="no capacity"))
    status, printed = run(cloud, tmp_path, how=how)
    assert status == 1
    assert told in printed
    assert cloud.asked == []


@pytest.mark.parametrize(
    ("then", "told"),
    [
        (described("error", message="no capacity"), "could not make the cluster production: no capacity"),
        (None, "the cluster production was deleted meanwhile; run this step again"),
        (described("deleting"), "the cluster production was deleted meanwhile; run this step again"),
    ],
)
def test_a_cluster_that_is_waited_for_may_never_run(
    tmp_path: Path, then: dict[str, Any] | None, told: str
) -> None:
    """It is waited for until it is clear that it will not."""
    status, printed = run(Cloud(described("provisioning"), then), tmp_path)
    assert status == 1
    assert printed.count(told) == 1


def test_a_cluster_that_does_not_run_yet_is_waited_for(tmp_path: Path) -> None:
    """The end of patience says how it is, and that a rerun goes on."""
    status, printed = run(Cloud(described("degraded")), tmp_path, how="--dry")
    assert status == 0
    assert "would wait for the cluster production, which is degraded" in printed
    cloud = Cloud(described("degraded", message="two of three"))
    status, printed = run(cloud, tmp_path / "again", "--data", "timeout_minutes=0.1")
    assert status == 1
    how = "for the cluster production: degraded, 0 of 3 nodes running (two of three)"
    assert f"waiting 0 s {how}" in printed
    assert "the cluster production is degraded: two of three (waited " in printed
    assert "0 of 3 nodes running: pool-0 is provisioning, pool-1" in printed
    assert cloud.asked == []


def test_nodes_that_people_have_besides_are_told_of(tmp_path: Path) -> None:
    """And not waited for; the run gets as far as Kubernetes, which nobody serves here."""
    found = described()
    nodes = [{"id": "g", "name": "gpu-526c3", "status": {"state": "provisioning"}}]
    found["node_pools"].append({"id": "p-2", "name": "gpu", "size": "g-1", "count": 1, "nodes": nodes})
    _, printed = run(Cloud(found), tmp_path, how="--dry")
    told = "the pool gpu, which Tideflow did not make, has 0 of 1 nodes running: gpu-526c3 is provisioning"
    assert told in printed
    assert "would wait" not in printed
    assert "GET /v2/kubernetes/clusters/c-1/credentials" in printed


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (described("upgrading"), "the cluster production is upgrading"),
        (described("degraded", message="two of three"), "the cluster production is degraded: two of three"),
    ],
)
def test_other_steps_go_on_with_a_cluster_that_serves(tmp_path: Path, found: Any, told: str) -> None:
    """They get as far as its Kubernetes, which nobody serves here, and say how it is."""
    checkout = Checkout.make(tmp_path / "checkout")
    with (cloud := Cloud(found)).serving():
        done = checkout.run(
            *("pyinfra", "-y", *OWN, "inventory.py", "deploys/load_balancer.py"),
            check=False,
            **cloud.environment,
        )
    assert done.stderr.count(f"] {told}\n") == 1
    assert "GET /v2/kubernetes/clusters/c-1/credentials" in done.stderr
    assert "run first" not in done.stderr


FOREIGN = described(tags=["k8s", "theirs"], count=2, region="nyc3", version="1.33.6-do.2")


@pytest.mark.parametrize("how", ["-y", "--dry"])
def test_a_cluster_that_tideflow_did_not_make_is_left_alone(tmp_path: Path, how: str) -> None:
    """The error names it, what differs, and the setting."""
    cloud = Cloud(FOREIGN)
    status, printed = run(cloud, tmp_path, how=how)
    assert status == 1
    assert "the cluster production was not made by Tideflow" in printed
    assert "kubernetes_version: 1.33.6-do.2 → 1.34" in printed
    assert "node_count: 2 → 3" in printed
    assert "--data adopt_cluster=true" in printed
    assert cloud.asked == []


def test_a_cluster_that_is_adopted_gets_our_tags_and_what_the_settings_say(tmp_path: Path) -> None:
    """Once it is asked for; --dry says so, and does nothing."""
    cloud = Cloud(FOREIGN, **ANSWERS)
    status, printed = run(cloud, tmp_path, "--data", "adopt_cluster=true", how="--dry")
    assert status == 0
    for words in ("cluster_tags: theirs → theirs, tideflow, tideflow:production", "node_count: 2 → 3"):
        assert f"would change the cluster production: {words}" in printed
    assert cloud.asked == []
    # It goes away once it has been asked for, since nobody serves its Kubernetes here.
    cloud = Cloud(FOREIGN, FOREIGN, FOREIGN, None, **ANSWERS)
    same = ("--data", 'kubernetes_version="1.33"')
    assert run(cloud, tmp_path / "again", "--data", "adopt_cluster=true", *same)[0] == 1
    assert cloud.asked == [
        (
            "PUT",
            "kubernetes/clusters/c-1",
            {"name": NAME, "tags": ["theirs", "tideflow", f"tideflow:{NAME}"]},
        ),
        ("PUT", "kubernetes/clusters/c-1/node_pools/p-1", {"name": f"{NAME}-pool", "count": 3}),
    ]


def test_nodes_that_an_autoscaler_makes_meanwhile_are_not_taken_away(tmp_path: Path) -> None:
    """How many there are is looked at again just before it is written."""
    looks = [described(count=count) for count in (3, 5)]
    for look in looks:
        look["node_pools"][0] |= {"auto_scale": True, "min_nodes": 3, "max_nodes": 6}
    cloud = Cloud(*looks, looks[-1], None, **ANSWERS)
    run(cloud, tmp_path, "--data", "node_autoscale=[3,5]")
    scaling = {"auto_scale": True, "min_nodes": 3, "max_nodes": 5}
    assert [body for _, _, body in cloud.asked] == [{"name": f"{NAME}-pool", "count": 5, **scaling}]


def test_other_steps_leave_a_cluster_of_somebody_else_alone_too(tmp_path: Path) -> None:
    """Even if they are run by themselves."""
    checkout = Checkout.make(tmp_path / "checkout")
    with (cloud := Cloud(FOREIGN)).serving():
        done = checkout.run(
            *("pyinfra", "-y", *OWN, "inventory.py", "deploys/load_balancer.py"),
            check=False,
            **cloud.environment,
        )
    assert done.returncode == 1
    assert "the cluster production was not made by Tideflow" in done.stderr
    assert cloud.asked == []


def test_what_cannot_be_changed_names_both_values(tmp_path: Path) -> None:
    """Nothing is asked for."""
    cloud = Cloud(described(region="fra1"))
    status, printed = run(cloud, tmp_path)
    assert status == 1
    assert "the cluster production is in fra1, and the setting region is nyc3" in printed
    assert cloud.asked == []


CHANGES = {
    "node_count": ("4", "node_count: 3 → 4"),
    "high_availability": ("true", "high_availability: off → on"),
    "auto_upgrade": ("true", "auto_upgrade: off → on"),
    "surge_upgrade": ("true", "surge_upgrade: off → on"),
    "maintenance_window": ("sunday 02:00", "maintenance_window: any 00:00 → sunday 02:00"),
    "cluster_tags": (
        '["a"]',
        "cluster_tags: tideflow, tideflow:ml-platform → a, tideflow, tideflow:ml-platform",
    ),
    "node_autoscale": ("[4,6]", "node_autoscale: off → 4 to 6"),
}


@pytest.mark.usefixtures("binaries")
def test_a_cluster_is_made_and_changed_as_it_was_announced(checkout: Checkout) -> None:
    """Field by field; a rerun changes nothing, and settings that are taken away leave what is there."""
    settings = [
        argument for name, (value, _) in CHANGES.items() for argument in ("--data", f"{name}={value}")
    ]
    step = ("deploys/cluster.py",)
    planned = checkout.run("pyinfra", "--dry", "inventory.py", *step).stderr
    assert "would create the cluster ml-platform: 3 nodes of s-4vcpu-8gb in nyc3" in planned
    assert "high_availability: off" in planned
    assert "] Success" in checkout.pyinfra(*step)
    assert "] No changes" in checkout.pyinfra(*step)
    planned = checkout.run("pyinfra", "--dry", "inventory.py", *step, *settings).stderr
    words = [line.partition("would change the cluster ml-platform: ")[2] for line in planned.splitlines()]
    assert sorted(filter(None, words)) == sorted(words for _, words in CHANGES.values())
    done = checkout.pyinfra(*step, *settings)
    assert [f"changed {words}" in done for _, words in CHANGES.values()] == [True] * len(CHANGES)
    assert len(checkout.get("nodes")["items"]) == 4
    assert "] No changes" in checkout.pyinfra(*step, *settings)
    assert "] No changes" in checkout.pyinfra(*step, "--data", 'cluster_tags=["A"]')


@pytest.mark.usefixtures("binaries")
def test_a_cluster_whose_mesh_could_not_work_is_refused(checkout: Checkout) -> None:
    """Before a base is spent on it."""
    checkout.pyinfra("deploys/cluster.py")
    where = ("configmap", "-n", "kube-system", "cilium-config", "--type=merge")
    checkout.kubectl("patch", *where, "-p", '{"data": {"cni-exclusive": "true"}}')
    printed = checkout.pyinfra("deploys/cluster.py", check=False)
    assert "Kubeflow's mesh would not work in this cluster: cni-exclusive is true" in printed
    checkout.kubectl("patch", *where, "-p", '{"data": {"cni-exclusive": "false"}}')
    assert "] No changes" in checkout.pyinfra("deploys/cluster.py")
    checkout.kubectl("delete", *where[:-1])
    printed = checkout.pyinfra("deploys/cluster.py")
    assert "not checked: whether Kubeflow's mesh will work (there is no ConfigMap kube-system/" in printed
    assert "] No changes" in printed


@pytest.mark.usefixtures("binaries")
def test_what_digitalocean_says_of_a_cluster_is_a_fact(checkout: Checkout) -> None:
    """For whoever looks, and for deploy files of their own."""
    question = ("pyinfra", "inventory.py", "fact", "tideflow.facts.digitalocean.Cluster")
    assert '"@rehearsal/ml-platform": null' in checkout.run(*question).stderr
    checkout.pyinfra("deploys/cluster.py")
    told = checkout.run(*question).stderr
    for field in ('"state": "running"', '"ha": false', '"size": "s-4vcpu-8gb"', '"tideflow:ml-platform"'):
        assert field in told


@pytest.mark.usefixtures("binaries")
def test_a_new_cluster_is_made_once_though_lists_are_behind(checkout: Checkout) -> None:
    """It is known by its id once it was answered, and looked for as long as lists may take if it was not."""
    step = ("deploys/cluster.py", "--data", "node_count=1")
    for lost in (
        [],
        [{"method": "POST", "path": "/v2/kubernetes/clusters", "status": 502, "carried_out": True}],
    ):
        checkout.run("pyinfra", "--dry", "inventory.py", *step)
        checkout.switch(*lost, list_delay=2)
        assert "] Success" in checkout.pyinfra(*step)
        log = (checkout.platform / "rehearsal" / "twin.log").read_text()
        assert log.count("POST /v2/kubernetes/clusters ") == 1
        checkout.stop()
        shutil.rmtree(checkout.platform)


@pytest.mark.usefixtures("binaries")
def test_a_degraded_cluster_is_no_circle(checkout: Checkout) -> None:
    """Its own step says how it is, and the others are run."""
    step = ("deploys/cluster.py", "--data", "node_count=1")
    checkout.pyinfra(*step)
    checkout.switch(degraded_clusters=["*"])
    eventually(
        lambda: checkout.run("pyinfra", "--dry", "inventory.py", *step).stderr.count("which is degraded")
    )
    printed = checkout.pyinfra(*step, "--data", "timeout_minutes=0.1", check=False)
    assert "the cluster ml-platform is degraded: degraded on request (waited " in printed
    assert "1 of 1 nodes running); the other steps can be run all the same" in printed
    planned = checkout.run("pyinfra", "--dry", "inventory.py", "deploys/kubeflow_base.py", *step[1:]).stderr
    assert planned.count("the cluster ml-platform is degraded: degraded on request\n") == 1
    assert "] would " in planned
    checkout.switch()
    assert "] No changes" in checkout.pyinfra(*step)


@pytest.mark.usefixtures("binaries")
def test_a_run_that_is_killed_while_a_cluster_is_made_is_gone_on_with(checkout: Checkout) -> None:
    """The next run finds the cluster by its name, waits for it, and makes no other."""
    slow = ("--data", "rehearsal_speed=30")
    run = ("pyinfra", "-y", "inventory.py", "deploys/cluster.py", *slow)
    process = checkout.begin(*run)
    clusters = checkout.platform / "rehearsal" / "clusters"
    deadline = time.monotonic() + 60
    while not clusters.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.kill()
    process.communicate()
    assert len(list(clusters.iterdir())) == 1
    done = checkout.run("pyinfra", "--dry", *run[2:]).stderr
    assert "would wait for the cluster ml-platform, which is provisioning" in done
    assert "] Success" in checkout.pyinfra("deploys/cluster.py", *slow)
    assert "] No changes" in checkout.pyinfra("deploys/cluster.py", *slow)
    assert len(list(clusters.iterdir())) == 1
