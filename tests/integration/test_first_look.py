"""Before anything exists: what --dry says, and how bad input is refused."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from tests.integration.deploying import Checkout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("binaries")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Return a checkout in which nothing was deployed; its twin has no cluster."""
    made = Checkout.make(tmp_path_factory.mktemp("first"))
    made.platform.mkdir(parents=True)
    (made.platform / "sample-base").touch()
    try:
        yield made
    finally:
        made.stop()


def clusters(checkout: Checkout) -> list[str]:
    """Return the clusters that the twin has."""
    folder = checkout.platform / "rehearsal" / "clusters"
    return [found.name for found in folder.iterdir()] if folder.exists() else []


def test_a_dry_run_tells_each_step_and_makes_nothing(checkout: Checkout) -> None:
    """The plan names what every step would do."""
    done = checkout.run("pyinfra", "--dry", "inventory.py", "deploys/all.py")
    printed = done.stdout + done.stderr
    for step in (
        "Kubernetes 1.34 is 1.34.1-do.2 now",
        "    offered  3 nodes of s-4vcpu-8gb: ",
        "it costs about $158 a month (an estimate",
        "would create the cluster ml-platform: 3 nodes of s-4vcpu-8gb in nyc3, Kubernetes 1.34",
        "would install the 1-click ingress-nginx",
        "would create Ingress istio-system/kubeflow",
        "would set the password of user@example.com",
    ):
        assert step in printed
    assert "Deployment" in printed
    assert clusters(checkout) == []


def test_the_fields_of_what_would_be_made_are_told_before_there_is_a_cluster(checkout: Checkout) -> None:
    """With --diff; of credentials, which are generated when they are made, only that they come."""
    done = checkout.run("pyinfra", "--dry", "--diff", "inventory.py", "deploys/all.py")
    lines = [line.partition("] ")[2] for line in (done.stdout + done.stderr).splitlines()]
    ingress = lines.index("would create Ingress istio-system/kubeflow")
    assert any("kubeflow.localhost" in line for line in lines[ingress + 1 : ingress + 9])
    credential = lines.index("would create Secret auth/dex-passwords")
    assert lines[credential + 1].startswith("would create ")
    assert clusters(checkout) == []


@pytest.mark.parametrize("step", ["load_balancer", "kubeflow_base", "ingress", "auth"])
def test_a_step_alone_says_what_to_run_first(checkout: Checkout, step: str) -> None:
    """Without a cluster, every other step names the one that makes it."""
    done = checkout.run("pyinfra", "-y", "inventory.py", f"deploys/{step}.py", check=False)
    assert done.returncode != 0
    assert "run first: pyinfra -y inventory.py deploys/cluster.py" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["--data", "hostname=a_b"], {}, "which is not a DNS name"),
        (["--data", "hostname=192.0.2.1"], {}, "which is not a DNS name"),
        (["--data", "node_count=2.5"], {}, "not a whole number"),
        (["--data", "region=moon1"], {}, "offers no region 'moon1'"),
        (["--data", "node_size=s-huge"], {}, "offers no node_size 's-huge'"),
        (["--data", 'kubernetes_version="1.19"'], {}, "offers no kubernetes_version '1.19'"),
        (["--data", "node_cuont=5"], {}, "there is no setting node_cuont; did you mean node_count?"),
        (["--data", "kubernetes_version=latest"], {}, "kubernetes_version is latest, which turns into"),
        (["--data", "node_count=26"], {}, "the account may have 25 droplets and has 0: 26 more"),
        (["--data", "node_size=s-2vcpu-4gb"], {}, "Kubeflow does not fit 3 nodes of s-2vcpu-4gb; set node"),
        ([], {"TIDEFLOW_PLATFORM": "Not A Name"}, "cannot be the name of a cluster"),
        ([], {"TIDEFLOW_PLATFORM": "../../escape"}, "cannot be the name of a cluster"),
        ([], {"TIDEFLOW_PASSWORD": ""}, "the password is empty"),
        ([], {"TIDEFLOW_PASSWORD": "\udcff\udcfeabcdefgh"}, "the password is not UTF-8 text"),
        ([], {"TIDEFLOW_PASSWORD": "x"}, "the password has fewer than 8 characters"),
    ],
)
@pytest.mark.parametrize("how", ["-y", "--dry"])
def test_bad_input_is_one_line_and_makes_nothing(
    checkout: Checkout, arguments: list[str], environment: dict[str, str], expected: str, how: str
) -> None:
    """One clear line, an exit status that is not 0, no traceback, nothing made."""
    done = checkout.run(
        "pyinfra", how, *arguments, "inventory.py", "deploys/all.py", check=False, **environment
    )
    printed = done.stdout + done.stderr
    assert done.returncode != 0, printed
    assert sum(expected in line for line in printed.splitlines()) == 1, printed
    assert "Traceback" not in printed
    assert clusters(checkout) == []
    assert [found.name for found in checkout.platform.parent.iterdir()] == ["ml-platform"]
    assert not (checkout.folder.parent / "escape").exists()


@pytest.mark.parametrize("how", ["-y", "--dry"])
def test_all_problems_are_told_at_once(checkout: Checkout, how: str) -> None:
    """With what is asked, offered and would fit, and what it would cost; nothing is made."""
    problems = ("region=moon1", "node_size=s-2vcpu-4gb", "kubernetes_version=latest", "node_count=26")
    settings = [argument for problem in problems for argument in ("--data", problem)]
    done = checkout.run("pyinfra", how, *settings, "inventory.py", "deploys/all.py", check=False)
    printed = done.stdout + done.stderr
    assert done.returncode == 1
    for expected in (
        "    asked    17 pods: ",
        "    offered  26 nodes of s-2vcpu-4gb: ",
        "too small for Deployment istio-system/istiod, which asks for 0.5 CPU and 2.00 GiB",
        "    fits     1 of s-4vcpu-8gb ($48 a month), or ",
        "it costs about $638 a month (an estimate, by DigitalOcean's prices of ",
        "DigitalOcean offers no region 'moon1'",
        "kubernetes_version is latest",
        "26 more for nodes are too many",
        "Kubeflow does not fit 26 nodes of s-2vcpu-4gb",
        "4 problems have to be solved first: nothing was made or changed",
    ):
        assert printed.count(expected) == 1, printed
    assert clusters(checkout) == []


BAD_MANIFESTS = {
    "a: [b": "this is not YAML",
    "{apiVersion: v1, metadata: {name: x}}": "bad.yaml holds an object without kind",
    "{apiVersion: v1, kind: ConfigMap, metadata: {}}": "holds a ConfigMap without metadata.name",
    "{apiVersion: v1, kind: Namespace, metadata: {name: auth}}": "Namespace auth is there twice",
    "{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: nowhere}}": (
        "ConfigMap nowhere/x is in the namespace nowhere, which is not there and which nobody makes"
    ),
    "{apiVersion: example.org/v1, kind: Thing, metadata: {name: x}}": (
        "Thing x is of a type that nobody defines: example.org/v1 Thing"
    ),
    "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: x}}": (
        "CustomResourceDefinition x in vendored/sample/bad.yaml lacks spec"
    ),
    "{apiVersion: apps/v1, kind: Deployment, metadata: {name: x, namespace: auth}, "
    "spec: {template: {spec: {containers: [foo]}}}}": (
        "Deployment auth/x in vendored/sample/bad.yaml has a text where spec.template.spec.containers[0] "
        "should be a mapping"
    ),
}


@pytest.mark.parametrize("manifest", BAD_MANIFESTS)
def test_a_bad_manifest_is_refused_before_there_is_a_cluster(checkout: Checkout, manifest: str) -> None:
    """With ``-y`` too, where pyinfra plans nothing beforehand: a cluster costs money."""
    bad = checkout.folder / "vendored" / "sample" / "bad.yaml"
    bad.write_text(manifest)
    try:
        done = checkout.run("pyinfra", "-y", "inventory.py", "deploys/all.py", check=False)
    finally:
        bad.unlink()
    printed = done.stdout + done.stderr
    assert done.returncode != 0
    assert sum(BAD_MANIFESTS[manifest] in line for line in printed.splitlines()) == 1, printed
    assert "bad.yaml" in printed
    assert "Traceback" not in printed
    assert clusters(checkout) == []


def test_in_a_folder_that_is_not_the_projects_nothing_is_started(checkout: Checkout) -> None:
    """A twin that runs where nobody looks would go on for ever."""
    elsewhere = Checkout(checkout.folder / "deploys")
    done = elsewhere.run("pyinfra", "-y", "../inventory.py", "all.py", check=False)
    assert done.returncode != 0
    assert "there is no inventory.py in this folder; run this in the project's" in done.stderr
    assert not (elsewhere.folder / ".tideflow").exists()


def test_a_release_that_does_not_run_on_the_version_is_refused(checkout: Checkout) -> None:
    """Before a cluster of it is made and paid for."""
    vendored = checkout.folder / "vendored" / "kubeflow"
    namespace = vendored / "core_v1--Namespace" / "default--auth.yaml"
    namespace.parent.mkdir(parents=True)
    namespace.write_text("{apiVersion: v1, kind: Namespace, metadata: {name: auth}}")
    (vendored / ".release.toml").write_text(
        'release = "26.03"\ncommit = "c"\nobjects = 1\ndigest = "sha256:d"\n'
    )
    try:
        done = checkout.run(
            "pyinfra",
            "-y",
            "--data",
            'kubernetes_version="1.32"',
            "inventory.py",
            "deploys/all.py",
            check=False,
        )
        assert done.returncode != 0
        assert "Kubeflow 26.03 does not run on Kubernetes 1.32: it supports 1.33, 1.34; set " in done.stderr
        assert clusters(checkout) == []
    finally:
        shutil.rmtree(vendored)


def test_a_half_written_base_is_refused(checkout: Checkout) -> None:
    """Files without the marker that is written last are not taken for a release."""
    vendored = checkout.folder / "vendored" / "kubeflow"
    namespace = vendored / "core_v1--Namespace" / "default--auth.yaml"
    namespace.parent.mkdir(parents=True)
    namespace.write_text("{apiVersion: v1, kind: Namespace, metadata: {name: auth}}")
    try:
        done = checkout.run("pyinfra", "-y", "inventory.py", "deploys/all.py", check=False)
        assert done.returncode != 0
        assert done.stderr.count("make vendor") == 1
        assert "Traceback" not in done.stderr
        assert clusters(checkout) == []
    finally:
        shutil.rmtree(vendored)


@pytest.mark.parametrize("name", ["kubeconfig", "access"])
def test_a_rehearsal_leaves_the_files_of_a_real_platform_alone(tmp_path: Path, name: str) -> None:
    """A forgotten token makes a rehearsal of the same name, which starts nothing and writes nothing."""
    checkout = Checkout.make(tmp_path)
    file = checkout.folder / ".tideflow" / "production" / name
    file.parent.mkdir(parents=True)
    file.write_text(
        "clusters: [{cluster: {server: 'https://1b2c.k8s.ondigitalocean.com'}, name: production}]"
    )
    for step in ("cluster", "teardown"):
        before = file.read_text()
        done = checkout.run(
            "pyinfra", "-y", "inventory.py", f"deploys/{step}.py", check=False, TIDEFLOW_PLATFORM="production"
        )
        assert done.returncode != 0
        assert (
            f"{name} leads to a real platform, and a rehearsal of production would overwrite it"
            in done.stderr
        )
        assert "TIDEFLOW_PLATFORM=production-rehearsal" in done.stderr
        assert file.read_text() == before
        assert [found.name for found in file.parent.iterdir()] == [name]


def test_a_real_platform_refuses_placeholders_before_it_asks_anybody(checkout: Checkout) -> None:
    """Named and with a token, the default hostname is refused without one request."""
    done = checkout.run(
        "pyinfra",
        "-y",
        "inventory.py",
        "deploys/all.py",
        check=False,
        TIDEFLOW_PLATFORM="production",
        DIGITALOCEAN_ACCESS_TOKEN="canary-token",
    )
    assert done.returncode != 0
    assert "the setting hostname is still the placeholder kubeflow.example.com" in done.stderr
    assert "canary" not in done.stdout + done.stderr
