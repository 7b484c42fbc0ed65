"""The sample base: what is stated about every release is true of it too, and it holds nobody's secret."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tideflow.engine import graph, webhooks
from tideflow.engine.manifests import Key, load
from tideflow.vendoring import patching, pins, splitting

VENDORED = Path(__file__).parents[3] / "vendored"
SAMPLE = VENDORED / "sample"


@pytest.fixture(scope="module")
def manifests() -> dict[str, splitting.Manifest]:
    """Give the objects of the sample by the file they are in."""
    texts = {str(path.relative_to(SAMPLE)): path.read_text() for path in SAMPLE.rglob("*.yaml")}
    return {path: splitting.Manifest(text, yaml.safe_load(text)) for path, text in texts.items()}


def test_files_are_named_as_vendoring_names_them(manifests: dict[str, splitting.Manifest]) -> None:
    """One object per file, and the name tells which."""
    assert {path: manifest.path for path, manifest in manifests.items()} == {path: path for path in manifests}
    identities = [manifest.identity for manifest in manifests.values()]
    assert len(set(identities)) == len(identities) > 40


def test_what_is_stated_for_every_release_fits(manifests: dict[str, splitting.Manifest]) -> None:
    """Gates, patches and credentials are about objects that it has, as they have to be in a release."""
    pinned = pins.read(VENDORED / "kubeflow.toml")
    stated = replace(
        pinned.release(), gates=pinned.gates, patches=pinned.patches, credentials=pinned.credentials
    )
    patching.check(stated, [manifest.content for manifest in manifests.values()])


def test_credentials_are_placeholders(manifests: dict[str, splitting.Manifest]) -> None:
    """All that any Secret holds is a placeholder, or no secret: names of users and clients."""
    held = {
        (key, value)
        for manifest in manifests.values()
        if manifest.content["kind"] == "Secret"
        for key, value in manifest.content["stringData"].items()
        if key not in {"username", "client-id", "OIDC_CLIENT_ID"}
    }
    assert {value for _, value in held} == {"generated-at-install"}
    stated = {credential.key for credential in pins.read(VENDORED / "kubeflow.toml").credentials}
    assert {key for key, _ in held} == stated


def test_namespaces_are_its_own_or_always_there(manifests: dict[str, splitting.Manifest]) -> None:
    """Nothing lies in a namespace that nobody makes."""
    made = {manifest.name for manifest in manifests.values() if manifest.content["kind"] == "Namespace"}
    used = {manifest.namespace for manifest in manifests.values()}
    assert used == made | {"", "kube-system"}


def test_its_objects_wait_for_all_that_a_release_makes_them_wait_for() -> None:
    """No circle; and the last in the chain waits, in the end, for injector, certificate and CA bundle."""
    manifests = load(SAMPLE)
    builtin = {"Deployment": "deployments", "DaemonSet": "daemonsets"}
    world = graph.World(
        namespaces={"kube-system": {}},
        configurations=(),
        plurals={("apps", kind): (plural, True) for kind, plural in builtin.items()},
    )
    needs = graph.needs(manifests, world)
    kinds = {type(need).__name__ for wanted in needs.values() for need in wanted}
    assert kinds == {"Written", "Ready", "Webhook"}

    controller = Key("apps", "Deployment", "kubeflow", "pvcviewer-controller-manager")
    viewer = Key("kubeflow.org", "PVCViewer", "kubeflow", "mysql")
    certificate = Key("cert-manager.io", "Certificate", "kubeflow", "pvcviewer-serving-cert")
    called = {
        key: {need.owner.name for need in wanted if isinstance(need, webhooks.Webhook)}
        for key, wanted in needs.items()
    }
    assert called[controller] == {"istio-sidecar-injector"}
    assert called[certificate] == {"cert-manager-webhook"}
    assert "pvcviewer-validating-webhook-configuration" in called[viewer]
    assert called[Key("apps", "Deployment", "istio-system", "istiod")] == set()
