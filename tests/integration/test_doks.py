"""A real platform's connector, with the twin in DigitalOcean's place."""

from __future__ import annotations

import datetime as dt
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.integration.deploying import Checkout
from tests.integration.twins import Twin

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("binaries")

OWN = tuple(
    f"--data={setting}"
    for setting in ("hostname=ml.example.org", "email=me@example.org", "acme_email=me@example.org")
)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Checkout, dict[str, str]]]:
    """Serve a twin in the foreground, and return a checkout and the environment that leads to it."""
    checkout = Checkout.make(tmp_path_factory.mktemp("doks"))
    with Twin(checkout.folder) as serving:
        yield checkout, serving.leading("production")
    assert not answers(serving.port)


def answers(port: int) -> bool:
    """Tell whether the twin answers, be it with a refusal."""
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/account", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def run(twin: tuple[Checkout, dict[str, str]], *arguments: str, **environment: str) -> tuple[int, str]:
    """Run pyinfra on the platform, and return its exit status and what it printed."""
    checkout, leading = twin
    done = checkout.run(
        "pyinfra", "-y", *OWN, "inventory.py", *arguments, check=False, **(leading | environment)
    )
    return done.returncode, done.stdout + done.stderr


def test_a_wrong_token_is_one_line(twin: tuple[Checkout, dict[str, str]]) -> None:
    """It says what to check, and shows no token."""
    status, printed = run(twin, "deploys/all.py", DIGITALOCEAN_ACCESS_TOKEN="canary-wrong-token")
    assert status != 0
    assert printed.count("check the token in DIGITALOCEAN_ACCESS_TOKEN") == 1
    assert "401" in printed
    assert "canary" not in printed
    assert "Traceback" not in printed


def test_nothing_vendored_stops_before_anything_is_created(twin: tuple[Checkout, dict[str, str]]) -> None:
    """A real platform never gets the sample."""
    status, printed = run(twin, "deploys/all.py", TIDEFLOW_PASSWORD="long enough")
    assert status != 0
    assert "run first: make vendor" in printed
    assert not (twin[0].folder / ".tideflow" / "twin" / "clusters").exists()


def test_without_a_password_and_a_terminal_it_stops_at_once(twin: tuple[Checkout, dict[str, str]]) -> None:
    """The password is asked for before the first change, and nobody is there to ask."""
    status, printed = run(twin, "deploys/cluster.py", "deploys/auth.py")
    assert status != 0
    assert "run first" in printed or "TIDEFLOW_PASSWORD" in printed
    assert not (twin[0].folder / ".tideflow" / "twin" / "clusters").exists()


def test_cluster_and_load_balancer_on_a_platform(twin: tuple[Checkout, dict[str, str]]) -> None:
    """The same deploy files act on DigitalOcean; a rerun changes nothing; --debug shows no token."""
    status, printed = run(twin, "deploys/cluster.py", "deploys/load_balancer.py")
    assert status == 0, printed
    assert "--> Platform production on DigitalOcean" in printed
    kubeconfig = twin[0].folder / ".tideflow" / "production" / "kubeconfig"
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    files = (kubeconfig, kubeconfig.with_name("access"))
    secrets = [file.read_text().partition("token: ")[2].split()[0] for file in files]
    status, printed = run(twin, "--debug", "deploys/cluster.py", "deploys/load_balancer.py")
    assert status == 0, printed
    assert "] Success" not in printed
    assert not any(secret in printed for secret in secrets)
    assert "canary" not in printed


SLOW = """
from pathlib import Path

from tideflow.operations import kubernetes

pod = {"containers": [{"name": "main", "image": "example.org/main:1"}]}
template = {
    "metadata": {"labels": {"app": "slow"}, "annotations": {"rehearsal.tideflow.dev/pull": "25s"}},
    "spec": pod,
}
kubernetes.apply(
    name="Slow",
    set_name="slow",
    source=[
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "slow", "namespace": "default"},
            "spec": {"selector": {"matchLabels": {"app": "slow"}}, "template": template},
        }
    ],
)
"""


def test_a_run_outlives_its_access_to_the_cluster(twin: tuple[Checkout, dict[str, str]]) -> None:
    """It gets new access by itself; the next run uses what it left, and people's kubeconfig is another."""
    folder = twin[0].folder
    own, people = (folder / ".tideflow" / "production" / name for name in ("access", "kubeconfig"))
    (folder / "slow.py").write_text(SLOW)
    before = (own.read_text(), people.read_text())
    own.unlink()
    status, printed = run(twin, "slow.py", "--data", "access_minutes=0.1")
    assert status == 0, printed
    assert "1 created" in printed
    assert own.stat().st_mode & 0o777 == 0o600
    last = yaml.safe_load(own.read_text())["extensions"][0]["extension"]
    begun, ends = (dt.datetime.fromisoformat(last[when]) for when in ("issued_at", "expires_at"))
    assert ends - begun < dt.timedelta(seconds=7)
    age = dt.datetime.now(dt.UTC) - begun
    assert age < dt.timedelta(seconds=20), "it was renewed while the run went on"

    own.write_text(before[0])
    status, printed = run(twin, "slow.py")
    assert status == 0, printed
    assert "No changes" in printed
    assert (own.read_text(), people.read_text()) == before


def test_a_taken_port_is_one_line(twin: tuple[Checkout, dict[str, str]]) -> None:
    """Another twin on the same port says what to do."""
    checkout, leading = twin
    port = leading["DIGITALOCEAN_END_POINT"].rpartition(":")[2].partition("/")[0]
    done = checkout.run("tideflow", "twin", "--port", port, "--folder", "other", "--token", "x", check=False)
    assert done.returncode == 1
    assert done.stderr.count(f"port {port} is in use") == 1
    assert "Traceback" not in done.stderr
