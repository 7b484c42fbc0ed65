"""The end of a platform, with real runs against the twin: shown, confirmed, killed, finished."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.integration.deploying import Checkout
from tests.integration.planes import eventually
from tests.operations.clouds import NAME, Cloud, described

from tideflow.clients.provided import Cluster, Credentials
from tideflow.connectors import access

OWN = tuple(
    f"--data={setting}"
    for setting in ("hostname=ml.example.org", "email=me@example.org", "acme_email=me@example.org")
)
STEP = "deploys/teardown.py"
CONFIRMED = ("--data", "confirm=ml-platform")
# As slow as this, there is time to kill a run.
SLOWLY = (
    *("--data", "rehearsal_speed=120"),
    *("--data", "node_count=1"),
    *("--data", "dns_zone=example.com"),
)
MADE = [
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "edge"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    },
    {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "do-block-storage",
            "resources": {"requests": {"storage": "5Gi"}},
        },
    },
]


RECORDS = [
    {"type": "TXT", "name": "_tideflow.kubeflow", "data": "tideflow platform=ml-platform A 203.0.113.7"},
    {"type": "A", "name": "kubeflow", "data": "203.0.113.7", "ttl": 60},
    {"type": "A", "name": "somebodys", "data": "203.0.113.7", "ttl": 60},
]


class Twin:
    """The twin of a rehearsal, asked past Tideflow."""

    def __init__(self, checkout: Checkout) -> None:
        self._folder = checkout.platform / "rehearsal"

    def ask(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """Return the JSON that it answers."""
        port = json.loads((self._folder / "settings.json").read_text())["port"]
        answer = requests.request(
            method,
            f"http://127.0.0.1:{port}{path}",
            json=body,
            headers={"Authorization": f"Bearer {(self._folder / 'token').read_text().strip()}"},
            timeout=30,
        )
        assert answer.ok, answer.text
        return answer.json()

    def there(self) -> dict[str, int]:
        """Return how many there are of what is billed, and of tags."""
        kinds = ("kubernetes/clusters", "droplets", "load_balancers", "volumes", "snapshots", "tags")
        counts = {kind: self.ask(f"/v2/{kind}")["meta"]["total"] for kind in kinds}
        return {kind: count for kind, count in counts.items() if count}


@pytest.mark.usefixtures("binaries")
def test_the_whole_life_of_a_teardown(checkout: Checkout) -> None:
    """Nothing, something, dry, unconfirmed, killed, finished, and nothing again."""
    twin = Twin(checkout)
    printed = checkout.pyinfra(STEP, *SLOWLY)
    assert "there is nothing of ml-platform at DigitalOcean" in printed
    assert twin.there() == {}

    checkout.pyinfra("deploys/cluster.py", *SLOWLY)
    for made in MADE:
        (checkout.folder / "made.json").write_text(json.dumps(made))
        checkout.kubectl("apply", "-f", "made.json")
    all_of_it = {"kubernetes/clusters": 1, "droplets": 1, "load_balancers": 1, "volumes": 1}
    eventually(twin.there, lambda there: there == all_of_it)

    for record in RECORDS:
        twin.ask("/v2/domains/example.com/records", "POST", record)

    dry = checkout.run("pyinfra", "--dry", "inventory.py", STEP, *SLOWLY).stderr
    assert "would delete the DNS record kubeflow.example.com. 60 IN A 203.0.113.7" in dry
    assert "would delete the cluster ml-platform (" in dry
    assert "would delete the load balancer a" in dry
    assert "(claim default/data, 5 GiB, $0.50 a month)" in dry
    assert "about $60.50 a month (an estimate" in dry
    done = checkout.run("pyinfra", "-y", "inventory.py", STEP, *SLOWLY, check=False)
    assert done.returncode == 1
    assert done.stderr.count("nobody confirms that ml-platform is deleted, and there is no terminal") == 1
    done = typed(checkout, "ml-plattform")
    assert done.returncode == 1
    assert "To delete it, type its name, ml-platform" in done.stderr
    assert "'ml-plattform' is not ml-platform: nothing was changed" in done.stderr
    assert twin.there() == all_of_it
    assert (checkout.platform / "kubeconfig").exists()

    # The load balancer is not deleted with the cluster, although it was named.
    twin.ask("/rehearsal/faults", "PUT", {"left_behind": ["load_balancers"]})
    killed_while(checkout, "until all is gone: ", *CONFIRMED, "--data", "keep_volumes=true")
    assert not (checkout.platform / "kubeconfig").exists()
    assert not (checkout.platform / "access").exists()
    left = {"load_balancers": 1, "volumes": 1, "tags": 3}
    eventually(twin.there, lambda there: there == left)

    printed = checkout.pyinfra(STEP, *SLOWLY, *CONFIRMED)
    assert "an earlier teardown that did not end was to keep volumes: they stay" in printed
    assert "nothing of ml-platform is left that is billed, but" in printed
    assert "(5 GiB, $0.50 a month), which is kept; to delete it: doctl compute volume delete" in printed
    assert twin.there() == {"volumes": 1}
    records = twin.ask("/v2/domains/example.com/records?type=A")["domain_records"]
    assert [record["name"] for record in records] == ["somebodys"]
    printed = checkout.pyinfra(STEP, *SLOWLY)
    assert "] Success" not in printed.partition("Beginning operation run")[2].partition("Results")[0]
    assert "not touched, since its cluster is gone and was perhaps another: volume pvc-" in printed
    assert "ml-platform: twin at" in checkout.run("tideflow", "rehearsal", "status").stdout


def killed_while(checkout: Checkout, says: str, *arguments: str) -> None:
    """Run the step, and kill it the hard way once it says something."""
    process = checkout.begin("pyinfra", "-y", "inventory.py", STEP, *SLOWLY, *arguments)
    assert process.stderr is not None
    assert process.stdout is not None
    with process.stderr, process.stdout:
        assert any(says in line for line in process.stderr)
        process.kill()
    assert process.wait(60) == -signal.SIGKILL


def typed(checkout: Checkout, name: str) -> subprocess.CompletedProcess[str]:
    """Run the step on a terminal, on which a person types."""
    ours, theirs = os.openpty()
    os.write(ours, f"{name}\n".encode())
    done = subprocess.run(
        [Path(sys.executable).parent / "pyinfra", "-y", "inventory.py", STEP, *SLOWLY],
        cwd=checkout.folder,
        env={
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("TIDEFLOW_P", "DIGITALOCEAN_"))
        },
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    return done


def shown(cloud: Cloud, checkout: Checkout, *arguments: str, own: tuple[str, ...] = OWN) -> tuple[int, str]:
    """Run the step, which changes nothing of a cloud; return its exit status and what it printed."""
    with cloud.serving():
        done = checkout.run(
            "pyinfra", *arguments, *own, "inventory.py", STEP, check=False, **cloud.environment
        )
    printed = (done.stdout + done.stderr).replace(f"[@doks/{NAME}] ", "")
    assert "Traceback" not in printed
    assert "canary" not in printed
    assert cloud.asked == []
    return done.returncode, printed


def nothing(**answers: Any) -> dict[str, Any]:
    """Return the answers of an account that has nothing but what is given."""
    kinds = ("domains", "tags", "droplets", "load_balancers", "volumes", "snapshots")
    return {kind: {kind: answers.get(kind, []), "links": {}} for kind in kinds}


@pytest.mark.parametrize("how", ["--dry", "-y"])
def test_what_tideflow_did_not_make_is_refused(tmp_path: Path, how: str) -> None:
    """Even with its name typed; nothing is asked of DigitalOcean but what there is."""
    cloud = Cloud(described(tags=["k8s", "k8s:c-1", "team-a"]), **nothing())
    status, printed = shown(cloud, Checkout.make(tmp_path / "checkout"), how, "--data", f"confirm={NAME}")
    assert status == 1
    assert f"the cluster {NAME} was not made by Tideflow: it has no tag tideflow" in printed
    assert "adopt_cluster=true" in printed


def test_a_cluster_of_ours_with_another_name_is_named_and_left(tmp_path: Path) -> None:
    """Somebody renamed it; what the platform's name is typed for is not that."""
    cloud = Cloud(described(name="renamed"), **nothing())
    status, printed = shown(cloud, Checkout.make(tmp_path / "checkout"), "-y")
    assert status == 0
    assert f"not touched: the cluster renamed has the tag tideflow:{NAME}, and another name" in printed
    assert f"there is nothing of {NAME} at DigitalOcean" in printed


def test_a_cluster_that_was_renamed_after_a_teardown_that_did_not_end_is_refused(tmp_path: Path) -> None:
    """The journal has its id, but nobody was asked about that name; how to have it forgotten is told."""
    tag = f"tideflow-teardown:{NAME}:c-1"
    tags = [{"name": tag}, {"name": f"{tag}:keep-volumes"}]
    cloud = Cloud(described(name="renamed"), **nothing(tags=tags))
    checkout = Checkout.make(tmp_path / "checkout")
    status, printed = shown(cloud, checkout, "-y", "--data", f"confirm={NAME}")
    assert status == 1
    assert "was to delete the cluster c-1, which is named renamed now: it is not deleted" in printed
    assert f"run this step again: doctl compute tag delete {tag} {tag}:keep-volumes" in printed

    status, printed = shown(Cloud(described(), **nothing(tags=tags)), checkout, "--dry")
    assert status == 0
    assert "an earlier teardown that did not end was to keep volumes: they stay" in printed
    assert f"doctl compute tag delete {tag}:keep-volumes" in printed


def test_settings_that_it_does_not_need_may_be_placeholders(tmp_path: Path) -> None:
    """Whoever has not the hostname takes a platform down all the same, and its records, by their marks."""
    records = [
        {"id": 1, "type": "A", "name": "ml", "data": "203.0.113.7", "ttl": 60},
        {"id": 2, "type": "A", "name": "www", "data": "203.0.113.7", "ttl": 60},
        {"id": 3, "type": "TXT", "name": "_tideflow.ml", "data": f"tideflow platform={NAME} A 203.0.113.7"},
    ]
    cloud = Cloud(described(), **nothing(domains=[{"name": "example.org"}]))
    cloud.answers["domains/example.org/records"] = {"domain_records": records, "links": {}}
    checkout = Checkout.make(tmp_path / "checkout")
    status, printed = shown(cloud, checkout, "--dry", own=())
    assert status == 0
    assert f"would delete the cluster {NAME} (c-1, running, 3 nodes of s-4vcpu-8gb" in printed
    assert "would delete the DNS record ml.example.org. 60 IN A 203.0.113.7" in printed
    assert "www" not in printed


def kubeconfig_of(checkout: Checkout, name: str = "kubeconfig") -> Path:
    """Write a file that leads to the cluster ``c-1``, and return it."""
    file = checkout.folder / ".tideflow" / NAME / name
    access.write(
        file,
        cluster=Cluster.from_response(described()),
        credentials=Credentials("https://127.0.0.1:1", "", "canary-token", dt.datetime.now(dt.UTC)),
    )
    return file


def test_files_of_a_cluster_that_nobody_saw_go_stay(tmp_path: Path) -> None:
    """It may be another account's, and its id is known from nowhere else."""
    checkout = Checkout.make(tmp_path / "checkout")
    files = kubeconfig_of(checkout), kubeconfig_of(checkout, "access")
    status, printed = shown(Cloud(None, **nothing()), checkout, "-y")
    assert status == 0
    assert f"there is nothing of {NAME} at DigitalOcean that could be deleted" in printed
    told = "kubeconfig and {}, which lead to the cluster c-1: this account has nothing of it"
    assert told.format(files[1]) in printed
    assert all(map(Path.exists, files))

    tags = [{"name": f"tideflow-teardown:{NAME}:c-1"}]  # the account had it, and a run was killed
    status, printed = shown(Cloud(None, **nothing(tags=tags)), checkout, "--dry")
    assert status == 0
    assert "would remove kubeconfig, which leads to the cluster" in printed
    assert "would remove access, which leads to the cluster" in printed


def test_load_balancers_without_droplets_are_named(tmp_path: Path) -> None:
    """Deleting a cluster by hand leaves them, billed; those that have, or wait for, droplets are in use."""
    idle = {"id": "b-1", "name": "a123", "ip": "203.0.113.9", "droplet_ids": [], "size_unit": 2}
    used = [
        {"id": "b-2", "name": "used", "droplet_ids": [7]},
        {"id": "b-3", "name": "tagged", "droplet_ids": [], "tag": "web"},
        {"id": "b-4", "name": "global", "droplet_ids": [], "target_load_balancer_ids": ["b-2"]},
        {"id": "b-5", "name": "new", "droplet_ids": []},
    ]
    cloud = Cloud(described(name="another", id="c-2"), **nothing(load_balancers=[idle, *used]))
    cloud.answers["kubernetes/clusters/c-2/destroy_with_associated_resources"] = {
        "load_balancers": [{"id": "b-5", "name": "new"}]
    }
    status, printed = shown(cloud, Checkout.make(tmp_path / "checkout"), "-y")
    assert status == 0
    assert "nothing tells whose it was: load balancer a123 (203.0.113.9, no droplets, $24 a month)" in printed
    assert "to delete it: doctl compute load-balancer delete b-1" in printed
    assert printed.count("doctl compute load-balancer delete") == 1


def test_volumes_of_a_cluster_that_somebody_deleted_are_found(tmp_path: Path) -> None:
    """By the id that our kubeconfig has; without that they are named, and nothing more."""
    left = {"id": "v-1", "name": "pvc-1", "size_gigabytes": 5, "tags": ["k8s:c-1"]}
    cloud = Cloud(None, **nothing(volumes=[left, left | {"id": "v-2", "tags": ["k8s:c-2"]}]))
    checkout = Checkout.make(tmp_path / "checkout")
    status, printed = shown(cloud, checkout, "--dry")
    assert status == 0
    assert "would delete" not in printed
    assert printed.count("not touched, since its cluster is gone and was perhaps another: volume pvc-1") == 2
    kubeconfig = kubeconfig_of(checkout)
    cloud = Cloud(None, **cloud.answers)
    status, printed = shown(cloud, checkout, "--dry")
    assert status == 0
    assert printed.count("would delete the volume pvc-1 (5 GiB, $0.50 a month)") == 1
    assert "would remove kubeconfig, which leads to the cluster" in printed
    assert kubeconfig.exists()
