"""The deploy files end to end, as a user runs them, with the sample base."""

from __future__ import annotations

import base64
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt
import pytest
from tests.integration.deploying import PROJECT, Checkout, failed, written
from tests.integration.planes import eventually, processes_that_mention

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("binaries")

NO_CHANGE = "No changes"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Checkout, str]]:
    """Deploy everything once, with a wrong token in the environment, and return what was printed."""
    checkout = Checkout.make(tmp_path_factory.mktemp("sample"))
    # Upstream is out of reach, or would be fetched: either way this test is about the sample.
    checkout.platform.mkdir(parents=True)
    (checkout.platform / "sample-base").touch()
    try:
        printed = checkout.pyinfra("deploys/all.py", DIGITALOCEAN_ACCESS_TOKEN="canary-token")
        yield checkout, printed
    finally:
        checkout.stop()


def live_hash(checkout: Checkout) -> bytes:
    """Return the hash that Dex has."""
    secret = checkout.get("secret", "-n", "auth", "dex-passwords")
    return base64.b64decode(secret["data"]["DEX_USER_PASSWORD"])


def test_one_command_deploys_everything(sample: tuple[Checkout, str]) -> None:
    """One pass, no refused write, every pod running, and an Ingress with host and address."""
    checkout, printed = sample
    assert failed(checkout.writes()) == []
    assert checkout.not_running() == []
    ingress = checkout.get("ingress", "-n", "istio-system", "kubeflow")
    assert ingress["spec"]["rules"][0]["host"] == "kubeflow.localhost"
    address = ingress["status"]["loadBalancer"]["ingress"][0]["ip"]
    assert address in printed
    service = checkout.get("service", "-n", "ingress-nginx", "ingress-nginx-controller")
    listens = service["metadata"]["annotations"]["rehearsal.tideflow.dev/listens-at"]
    assert f"Name        https://kubeflow.localhost:{listens.rpartition(':')[2]}\n" in printed


def test_a_token_alone_is_still_a_rehearsal(sample: tuple[Checkout, str]) -> None:
    """The first line says so; the token is nowhere."""
    _, printed = sample
    # pyinfra says first that it loads its configuration and the inventory.
    assert printed.splitlines()[2].startswith("--> A rehearsal on this machine")
    assert "DIGITALOCEAN_ACCESS_TOKEN is set but not used" in printed
    assert "canary" not in printed


def test_it_ends_with_what_a_person_wants_next(sample: tuple[Checkout, str]) -> None:
    """User, password, kubeconfig, and the password is really the one that Dex has."""
    checkout, printed = sample
    password = (checkout.platform / "password").read_text().strip()
    for wanted in ("user@example.com", password, str(checkout.platform / "kubeconfig"), "make stop"):
        assert wanted in printed
    assert bcrypt.checkpw(password.encode(), live_hash(checkout))


@pytest.mark.parametrize(
    ("secret", "keys"),
    [
        ("auth/dex-oidc-client", {"OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"}),
        ("kubeflow/mysql-secret", {"username", "password"}),
        ("kubeflow/katib-mysql-secrets", {"MYSQL_ROOT_PASSWORD"}),
        ("kubeflow/mlpipeline-minio-artifact", {"accesskey", "secretkey"}),
    ],
)
def test_every_credential_has_a_value_that_is_not_the_shipped_one(
    sample: tuple[Checkout, str], secret: str, keys: set[str]
) -> None:
    """Generated, and long enough to be one."""
    checkout, _ = sample
    namespace, _, name = secret.partition("/")
    live = checkout.get("secret", "-n", namespace, name)
    assert live["data"].keys() == keys
    shipped = next((PROJECT / "vendored/sample/core_v1--Secret").glob(f"{namespace}--{name}.yaml"))
    for key, value in live["data"].items():
        if key not in {"OIDC_CLIENT_ID", "username"}:
            text = base64.b64decode(value).decode()
            assert len(text) >= 20
            assert text not in shipped.read_text()
            assert value not in shipped.read_text()


def test_each_object_is_written_once(sample: tuple[Checkout, str]) -> None:
    """No object is written twice on the way; auth.py changes what the base made, and that is all."""
    checkout, _ = sample
    paths = [event["requestURI"].partition("?")[0] for event in checkout.writes() if event["verb"] == "patch"]
    twice = {path for path in paths if paths.count(path) > 1 and "/namespaces/tideflow" not in path}
    assert twice == {"/apis/apps/v1/namespaces/auth/deployments/dex"}


def test_a_rerun_changes_nothing(sample: tuple[Checkout, str]) -> None:
    """Every step says so, and the audit log has not one write."""
    checkout, _ = sample
    mark, before = checkout.mark(), live_hash(checkout)
    printed = checkout.pyinfra("deploys/all.py")
    assert checkout.writes(mark) == []
    assert "] Success" not in printed
    assert printed.count(NO_CHANGE) >= 5
    assert live_hash(checkout) == before


def test_a_deleted_object_comes_back_alone(sample: tuple[Checkout, str]) -> None:
    """The step is rerun alone and repairs exactly what is missing."""
    checkout, _ = sample
    checkout.kubectl("delete", "deployment", "-n", "istio-system", "istio-ingressgateway")
    mark = checkout.mark()
    checkout.pyinfra("deploys/kubeflow_base.py")
    assert written(checkout.writes(mark)) == {"deployments istio-system/istio-ingressgateway"}
    assert failed(checkout.writes(mark)) == []
    assert checkout.not_running() == []


@pytest.mark.parametrize(
    "change",
    [
        ("set", "image", "deployment/centraldashboard", "*=example.org/other:1"),
        ("scale", "deployment/centraldashboard", "--replicas=3"),
    ],
)
def test_what_others_changed_is_put_back(sample: tuple[Checkout, str], change: tuple[str, ...]) -> None:
    """An image or a number of replicas changed with kubectl is as it was, and nothing else is written."""
    checkout, _ = sample
    before = checkout.get("deployment", "-n", "kubeflow", "centraldashboard")["spec"]
    checkout.kubectl("-n", "kubeflow", *change)
    assert checkout.get("deployment", "-n", "kubeflow", "centraldashboard")["spec"] != before
    mark = checkout.mark()
    checkout.pyinfra("deploys/kubeflow_base.py")
    assert written(checkout.writes(mark)) == {"deployments kubeflow/centraldashboard"}
    assert checkout.get("deployment", "-n", "kubeflow", "centraldashboard")["spec"] == before


def test_a_chosen_password_is_kept_until_another_is_asked_for(sample: tuple[Checkout, str]) -> None:
    """Neither the base nor a rerun brings another back; change_password does, and restarts Dex."""
    checkout, _ = sample
    before = live_hash(checkout)
    printed = checkout.pyinfra("deploys/auth.py", TIDEFLOW_PASSWORD="another password")
    assert NO_CHANGE in printed
    assert "change_password=true" in printed
    assert live_hash(checkout) == before

    mark = checkout.mark()
    printed = checkout.pyinfra(
        "deploys/auth.py", "--data", "change_password=true", TIDEFLOW_PASSWORD="another password"
    )
    assert "another password" not in printed
    assert bcrypt.checkpw(b"another password", live_hash(checkout))
    assert written(checkout.writes(mark)) == {
        "secrets auth/dex-passwords",
        "secrets oauth2-proxy/oauth2-proxy-sample",
        "deployments auth/dex",
        "deployments oauth2-proxy/oauth2-proxy",
    }
    assert sum(bool(written([each])) for each in checkout.writes(mark)) == 4

    mark, changed = checkout.mark(), live_hash(checkout)
    assert NO_CHANGE in checkout.pyinfra("deploys/kubeflow_base.py", "deploys/auth.py")
    assert checkout.writes(mark) == []
    assert live_hash(checkout) == changed


def test_a_dry_run_leaves_the_password_alone(sample: tuple[Checkout, str]) -> None:
    """The one that is live is in the file before and after, and no other is made."""
    checkout, _ = sample
    checkout.pyinfra("deploys/auth.py", "--data", "change_password=true")
    file = checkout.platform / "password"
    kept = file.read_text()
    assert bcrypt.checkpw(kept.strip().encode(), live_hash(checkout))
    done = checkout.run(
        "pyinfra", "--dry", "--data", "change_password=true", "inventory.py", "deploys/auth.py"
    )
    assert "would set the password" in done.stdout + done.stderr
    assert file.read_text() == kept
    assert bcrypt.checkpw(kept.strip().encode(), live_hash(checkout))


def test_a_profile_does_not_change_hands(sample: tuple[Checkout, str]) -> None:
    """Another e-mail is somebody else, who would get what is the owner's; nothing is written."""
    checkout, _ = sample

    def pods() -> set[str]:
        found = checkout.get("pods", "-n", "auth", "-l", "app=dex")["items"]
        return {pod["metadata"]["name"] for pod in found}

    before = pods()
    printed = checkout.pyinfra("deploys/kubeflow_base.py", "--data", "email=a@example.org", check=False)
    assert "the Profile kubeflow-user-example-com is user@example.com's, and is not made a@" in printed
    assert pods() == before
    profiles = checkout.get("profiles")["items"]
    assert [each["spec"]["owner"]["name"] for each in profiles] == ["user@example.com"]


def test_more_nodes_are_added_and_other_differences_said(sample: tuple[Checkout, str]) -> None:
    """What a run about too little room tells people to do is what helps."""
    checkout, _ = sample
    printed = checkout.pyinfra("deploys/cluster.py", "--data", "node_count=4")
    assert "] Success" in printed
    assert len(checkout.get("nodes")["items"]) == 4
    again = ("deploys/cluster.py", "--data", "node_count=4")
    printed = checkout.pyinfra(*again, "--data", "node_size=s-2vcpu-4gb")
    assert "the setting node_size is s-2vcpu-4gb, and the cluster has s-4vcpu-8gb" in printed
    assert NO_CHANGE in printed
    printed = checkout.pyinfra("deploys/cluster.py", check=False)
    assert "has 4 nodes, and the setting node_count is 3: " in printed
    # For good, as people do it.
    (checkout.folder / "group_data" / "ml-platform.py").write_text("node_count = 4\n")
    assert NO_CHANGE in checkout.pyinfra("deploys/cluster.py")


def test_ctrl_c_ends_cleanly_and_the_next_run_goes_on(sample: tuple[Checkout, str]) -> None:
    """It says how to go on, fails, and leaves nothing half-done."""
    checkout, _ = sample
    checkout.kubectl("delete", "namespace", "kubeflow", "--wait=false")
    pyinfra = Path(sys.executable).with_name("pyinfra")
    command = [str(pyinfra), "-y", "inventory.py", "deploys/kubeflow_base.py"]
    with subprocess.Popen(
        command,
        cwd=checkout.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        printed = ""
        for line in process.stdout:
            printed += line
            if "not ready: " in line:
                process.send_signal(signal.SIGINT)
    assert process.returncode != 0
    assert "stopping: what is being written is waited for" in printed
    assert "stopped by Ctrl-C after" in printed
    assert "Run the same command again: it goes on from there" in printed
    assert "Traceback" not in printed
    checkout.pyinfra("deploys/all.py")
    assert checkout.not_running() == []
    assert NO_CHANGE in checkout.pyinfra("deploys/kubeflow_base.py")


def test_a_rehearsal_that_died_goes_on(sample: tuple[Checkout, str]) -> None:
    """Stopped and started again, the cluster has what it had."""
    checkout, _ = sample
    checkout.stop()
    mark = checkout.mark()
    checkout.pyinfra("deploys/all.py")
    assert checkout.writes(mark) == []


def test_what_a_release_dropped_is_deleted_but_for_users_data(sample: tuple[Checkout, str]) -> None:
    """A controller goes with its webhook and its resources; type and credential wait to be asked for."""
    checkout, _ = sample
    dropped = [
        path
        for path in (checkout.folder / "vendored" / "sample").rglob("*.yaml")
        if "pvcviewer" in f"{path.parent.name}/{path.name}".lower()
        or path.stem == "kubeflow--katib-mysql-secrets"
    ]
    for path in dropped:
        path.unlink()

    mark = checkout.mark()
    done = checkout.run("pyinfra", "--dry", "inventory.py", "deploys/kubeflow_base.py")
    assert "would delete Deployment kubeflow/pvcviewer-controller-manager" in done.stdout + done.stderr
    assert checkout.writes(mark) == []
    printed = checkout.pyinfra("deploys/kubeflow_base.py")
    assert failed(checkout.writes(mark)) == []
    assert (
        "Deployment kubeflow/pvcviewer-controller-manager" in printed.partition("deleted ")[2].splitlines()[0]
    )
    left = ("Secret kubeflow/katib-mysql-secrets", "CustomResourceDefinition pvcviewers.kubeflow.org")
    for name in left:
        assert f'no longer has, {name}: it goes only with prune="everything"' in printed
    assert f"{len(dropped) - 2} pruned" in printed
    assert checkout.not_running() == []
    kinds = "deployment,service,secret,certificate,issuer"
    there = checkout.kubectl("get", kinds, "-n", "kubeflow", "-o", "name")
    assert "pvcviewer" not in there
    assert "secret/katib-mysql-secrets" in there

    mark = checkout.mark()
    printed = checkout.pyinfra("deploys/kubeflow_base.py", "deploys/ingress.py")
    assert printed.count(NO_CHANGE) >= 2
    assert left[0] in printed
    assert checkout.writes(mark) == []

    checkout.pyinfra("deploys/kubeflow_base.py", "--data", "prune=everything")
    assert failed(checkout.writes(mark)) == []
    assert "katib-mysql-secrets" not in checkout.kubectl("get", "secret", "-n", "kubeflow", "-o", "name")
    assert "pvcviewers" not in checkout.kubectl("get", "crd", "-o", "name")
    mark = checkout.mark()
    assert NO_CHANGE in checkout.pyinfra("deploys/kubeflow_base.py")
    assert checkout.writes(mark) == []


def test_all_of_a_rehearsal_ends_when_its_folder_is_removed(sample: tuple[Checkout, str]) -> None:
    """Neither the next run nor ``make stop`` would find what runs on."""
    checkout, _ = sample
    assert processes_that_mention(str(checkout.platform))
    shutil.rmtree(checkout.platform)
    eventually(lambda: processes_that_mention(str(checkout.platform)), lambda found: not found)
