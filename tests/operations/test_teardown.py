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


def shown(cloud: Cloud, checkout: Checkout, *arguments: str) -> tuple[int, str]:
    """Run the step, which changes nothing of a cloud; return its exit status and what it printed."""
    with cloud.serving():
        done = checkout.run(
            "pyinfra", *arguments, *OWN, "inventory.py", STEP, check=False, **cloud.environment
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


def test_volumes_of_a_cluster_that_somebody_deleted_are_found(tmp_path: Path) -> None:
    """By the id that our kubeconfig has; without that they are named, and nothing more."""
    left = {"id": "v-1", "name": "pvc-1", "size_gigabytes": 5, "tags": ["k8s:c-1"]}
    cloud = Cloud(None, **nothing(volumes=[left, left | {"id": "v-2", "tags": ["k8s:c-2"]}]))
    checkout = Checkout.make(tmp_path / "checkout")
    status, printed = shown(cloud, checkout, "--dry")
    assert status == 0
    assert "would delete" not in printed
    assert printed.count("not touched, since its cluster is gone and was perhaps another: volume pvc-1") == 2
    kubeconfig = checkout.folder / ".tideflow" / NAME / "kubeconfig"
    access.write(
        kubeconfig,
        cluster=Cluster.from_response(described()),
        credentials=Credentials("https://127.0.0.1:1", "", "canary-token", dt.datetime.now(dt.UTC)),
    )
    cloud = Cloud(None, **cloud.answers)
    status, printed = shown(cloud, checkout, "--dry")
    assert status == 0
    assert printed.count("would delete the volume pvc-1 (5 GiB, $0.50 a month)") == 1
    assert "would remove kubeconfig, which leads to the cluster" in printed
    assert kubeconfig.exists()
