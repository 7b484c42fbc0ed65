"""Nothing is refused while loading that the API server would take as a new object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.engine_runs import apply
from tests.unit.engine.damage import OTHERS, damaged, paths, valid
from tests.unit.engine.objects import custom, definition

from tideflow.engine.manifests import load
from tideflow.errors import KubernetesError, ManifestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.engine.damage import Path

    from tideflow.clients.kubernetes import Kubernetes

SPACE = "refusing"


def objects() -> list[dict[str, Any]]:
    """Return an object of each kind; the custom resource is of a type that is there."""
    own = custom("Whole", "x", SPACE)
    own["metadata"] |= {"labels": {"app": "x"}, "annotations": {"example.org/note": "x"}}
    return [*valid(SPACE)[:-1], own]


@pytest.fixture(scope="module")
def _there(cluster: Kubernetes) -> Iterator[None]:
    """Yield a namespace that is there, with the account that pods name, and a type of custom resources."""
    path = f"/api/v1/namespaces/{SPACE}"
    cluster.apply(path, valid(SPACE)[0], field_manager="test")
    [account] = [body for body in valid(SPACE) if body["kind"] == "ServiceAccount"]
    cluster.apply(f"{path}/serviceaccounts/me", account, field_manager="test")
    apply(cluster, [definition("Whole")], set_name="refusing")
    yield
    cluster.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/wholes.example.org")
    cluster.delete(path)


def dry_run(cluster: Kubernetes, loaded: dict[str, Any], sent: dict[str, Any]) -> None:
    """Ask the server whether it would take an object; which one it is tells the object before the damage."""
    [manifest] = load([loaded])
    resource = cluster.resources().find(manifest.key.group, manifest.version, manifest.key.kind)
    assert resource, manifest.key
    path = resource.path(manifest.key.namespace, manifest.key.name)
    cluster.apply(path, sent, field_manager="test", force=True, dry_run=True)


@pytest.mark.usefixtures("_there")
def test_what_is_valid_is_taken(cluster: Kubernetes) -> None:
    """By the server, and by us."""
    for body in objects():
        dry_run(cluster, body, body)


@pytest.mark.usefixtures("_there")
@pytest.mark.parametrize("kind", [body["kind"] for body in objects()])
def test_what_is_refused_while_loading_the_server_refuses_too(cluster: Kubernetes, kind: str) -> None:
    """Whatever is put in any place."""
    [body] = [found for found in objects() if found["kind"] == kind]
    taken: list[tuple[Path, object, str]] = []
    refused = 0
    for path in paths(body):
        if path[0] in {"apiVersion", "kind"} or path[:2] == ("metadata", "name") or path == ("metadata",):
            continue  # what is no object at all
        if "template" in path and kind != "Deployment":
            continue  # the same in all workloads
        for other in OTHERS:
            changed = damaged(body, path, other)
            try:
                load([changed])
            except ManifestError as error:
                refused += 1
                try:
                    dry_run(cluster, body, changed)
                except KubernetesError:
                    continue
                taken.append((path, other, str(error)))
    assert not taken
    assert refused
