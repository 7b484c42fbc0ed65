"""Vendoring of the real releases, from the sources in the folder TIDEFLOW_TEST_KUBEFLOW."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tideflow.vendoring import patching, pins, tree

PROJECT = Path(__file__).parents[2]
TIDEFLOW = str(Path(sys.executable).with_name("tideflow"))
OBJECTS = {"26.03": 675, "v1.10.2": 611}


@pytest.fixture(scope="module")
def source() -> Path:
    """Give the folder of the sources."""
    folder = os.environ.get("TIDEFLOW_TEST_KUBEFLOW")
    if not folder:
        pytest.skip("TIDEFLOW_TEST_KUBEFLOW does not name a folder with Kubeflow's sources")
    return Path(folder).resolve()


@pytest.fixture(scope="module")
def folders(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Vendor each release once, by the command, and give the folders they are in."""
    made = {}
    for release, count in OBJECTS.items():
        project = tmp_path_factory.mktemp("project")
        prepare(project)
        done = command(project, "--from", str(source), "--release", release)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == (
            f"vendored Kubeflow {release}: {count} objects, in vendored/kubeflow "
            f"(created {count}, changed 0, removed 0)"
        )
        made[release] = project / "vendored"
    return made


@pytest.fixture(scope="module")
def objects(folders: dict[str, Path]) -> dict[str, list[dict[str, Any]]]:
    """Read the objects of each release."""
    return {
        release: [
            yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
            for path in sorted((folder / "kubeflow").rglob("*.yaml"))
        ]
        for release, folder in folders.items()
    }


def prepare(project: Path) -> None:
    """Give ``project`` the pins."""
    (project / "vendored").mkdir()
    shutil.copy(PROJECT / "vendored/kubeflow.toml", project / "vendored/kubeflow.toml")


def command(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``tideflow vendor`` in ``project``."""
    return subprocess.run(
        [TIDEFLOW, "vendor", *arguments], cwd=project, check=False, capture_output=True, text=True
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Read all files of a tree."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stated(release: str) -> pins.Release:
    """Read what is stated about a release."""
    return pins.read(PROJECT / "vendored/kubeflow.toml").release(release)


@pytest.mark.parametrize("release", OBJECTS)
def test_a_release_is_whole(
    folders: dict[str, Path], objects: dict[str, list[dict[str, Any]]], release: str
) -> None:
    """Its marker says so, and its objects are as many as upstream's."""
    found = tree.vendored(folders[release] / "kubeflow")
    assert found is not None
    assert (found.release, found.objects) == (release, OBJECTS[release])
    assert found.commit == stated(release).commit
    assert not found.edited()
    assert len(objects[release]) == OBJECTS[release]


@pytest.mark.parametrize("release", OBJECTS)
def test_the_profile_has_its_name_and_owner(objects: dict[str, list[dict[str, Any]]], release: str) -> None:
    """Kubeflow 1.10 loses them with a kustomize of today, unless its selectors are adapted."""
    [profile] = [each for each in objects[release] if each["kind"] == "Profile"]
    assert profile["metadata"]["name"] == "kubeflow-user-example-com"
    assert profile["spec"]["owner"] == {"kind": "User", "name": "user@example.com"}


@pytest.mark.parametrize("release", OBJECTS)
def test_settings_reach_owner_and_login(objects: dict[str, list[dict[str, Any]]], release: str) -> None:
    """Profile and Dex get the same e-mail, and MySQL the password that its clients read."""
    owner = "o'brien@example.org"
    after = patching.patched(
        objects[release], stated(release).patches, {"email": owner, "certificate": "tls"}
    )
    named = {(each["kind"], each["metadata"]["name"]): each for each in after}
    assert named["Profile", "kubeflow-user-example-com"]["spec"]["owner"]["name"] == owner
    dex = yaml.safe_load(named["ConfigMap", "dex"]["data"]["config.yaml"])
    assert [each["email"] for each in dex["staticPasswords"]] == [owner]
    [mysql] = named["Deployment", "mysql"]["spec"]["template"]["spec"]["containers"]
    read = {"name": "mysql-secret", "key": "password"}
    assert mysql["env"] == [{"name": "MYSQL_ROOT_PASSWORD", "valueFrom": {"secretKeyRef": read}}]


@pytest.mark.parametrize("release", OBJECTS)
def test_no_image_is_of_a_registry_that_is_gone(
    objects: dict[str, list[dict[str, Any]]], release: str
) -> None:
    """Such a pod would stay in ImagePullBackOff for ever."""
    after = patching.patched(
        objects[release], stated(release).patches, {"email": "a@example.org", "certificate": "tls"}
    )
    images = [
        container["image"]
        for each in after
        if each["kind"] in {"Deployment", "StatefulSet", "DaemonSet"}
        for container in each["spec"]["template"]["spec"]["containers"]
    ]
    assert len(images) > 40
    assert not [image for image in images if image.startswith("gcr.io/ml-pipeline/")]


@pytest.mark.parametrize("release", OBJECTS)
def test_every_shared_credential_is_stated(objects: dict[str, list[dict[str, Any]]], release: str) -> None:
    """No Secret of the base has a value that is not replaced, but for what is no secret."""
    public = {"OIDC_CLIENT_ID", "client-id", "username"}
    for secret in (each for each in objects[release] if each["kind"] == "Secret"):
        for key in {**(secret.get("data") or {}), **(secret.get("stringData") or {})}:
            replaced = any(each.matches(secret) and each.key == key for each in stated(release).credentials)
            assert replaced or key in public, (secret["metadata"], key)


@pytest.mark.parametrize("release", OBJECTS)
def test_defaults_and_readers_are_those_of_upstream(
    objects: dict[str, list[dict[str, Any]]], release: str
) -> None:
    """What upstream ships is recognised, and all that read it when they start are known."""
    deployments = {
        f"{each['metadata']['namespace']}/{each['metadata']['name']}": json.dumps(
            each["spec"]["template"], sort_keys=True
        )
        for each in patching.patched(
            objects[release],
            stated(release).patches,
            {"email": "a@example.org", "certificate": "kubeflow-tls-files"},
        )
        if each["kind"] in {"Deployment", "StatefulSet", "DaemonSet"}
    }
    for credential in stated(release).credentials:
        (secret,) = (each for each in objects[release] if credential.matches(each))
        encoded = (secret.get("data") or {}).get(credential.key)
        shipped = base64.b64decode(encoded) if encoded else secret["stringData"][credential.key].encode()
        assert credential.is_default(shipped), credential.key
        named = f'"name": "{secret["metadata"]["name"]}"'
        reading = {
            name
            for name, template in deployments.items()
            if name.startswith(f"{credential.namespace}/")
            and (
                f'"secretKeyRef": {{"key": "{credential.key}", {named}' in template
                or f'"secretRef": {{{named}' in template
            )
        }
        present = {name for name in credential.readers if name in deployments}
        assert reading == present, credential.key


def test_git_gives_what_the_folder_gave(source: Path, folders: dict[str, Path], tmp_path: Path) -> None:
    """The release without remotes, fetched by its commit, is the same to the byte; only the commit is not."""
    release = "v1.10.2"
    upstream = tmp_path / "upstream"
    shutil.copytree(source / release / "manifests", upstream, copy_function=shutil.copyfile)
    for path in [upstream, *upstream.rglob("*")]:
        path.chmod(0o755)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "core.autocrlf=false"]
    for step in (["init", "--quiet"], ["add", "--all", "--force"], ["commit", "--quiet", "-m", "all"]):
        subprocess.run(["git", *identity, *step], cwd=upstream, check=True)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=upstream, check=True, capture_output=True, text=True
    ).stdout.strip()
    prepare(tmp_path)
    pinned = tmp_path / "vendored/kubeflow.toml"
    before, section, after = pinned.read_text().partition(f'[releases."{release}"]')
    ours = after.replace(stated(release).commit, commit)
    pinned.write_text(before + section + ours.replace(stated(release).repository, f"file://{upstream}"))
    shutil.copytree(folders[release] / "kubeflow", tmp_path / "vendored/kubeflow")
    done = command(tmp_path, "--release", release)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"fetching file://{upstream} at {commit[:12]}"
    assert lines[-1].endswith("611 objects, in vendored/kubeflow (created 0, changed 0, removed 0)")
    found = tree.vendored(tmp_path / "vendored/kubeflow")
    assert found is not None
    assert found.commit == commit


def test_a_run_killed_while_rendering_leaves_the_old_tree(source: Path, tmp_path: Path) -> None:
    """What it left beside it does not keep the next run from working."""
    prepare(tmp_path)
    target = tmp_path / "vendored/kubeflow"
    old = {"core_v1--ConfigMap/default--old.yaml": "old\n"}
    with tree.workspace(target) as work:
        tree.replace(target, old, stated("26.03"), work)
    before = contents(target)
    with subprocess.Popen(
        [TIDEFLOW, "vendor", "--from", str(source)], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if line.startswith("rendering Kubeflow"):
                run.send_signal(signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL
    assert contents(target) == before
    left = tmp_path / "vendored/.kubeflow.work"
    assert (left / "manifests").is_dir()
    with tree.workspace(target) as work:
        assert not list(work.iterdir())
    assert not left.exists()
