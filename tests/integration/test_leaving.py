"""What a run leaves to others is taken by a later one that may, and applied once they give it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.engine_runs import apply, apply_and_tell
from tests.integration.test_writing import kubectl
from tests.unit.engine.objects import config_map, deployment, namespace

from tideflow.engine.applying import Application, Options
from tideflow.engine.manifests import load
from tideflow.errors import ApplyError

if TYPE_CHECKING:
    from tests.integration.planes import Plane

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.engine.comparing import Difference
    from tideflow.engine.writing import Conflicts

OTHERS = ("yield", "fail")


def announced(
    cluster: Kubernetes, objects: list[dict[str, Any]], conflicts: Conflicts = "own"
) -> list[Difference]:
    """Return what a dry run tells of the objects that would be changed."""
    options = Options(conflicts=conflicts)
    applying = Application(cluster, set_name="test", manifests=load(objects), options=options)
    return list(applying.differences(applying.plan(), created=True, progress=lambda _: None).values())


def fields(differences: list[Difference]) -> list[str]:
    """Return the fields that change."""
    return [change.field for found in differences for change in found.changes]


def managers(live: dict[str, Any]) -> list[str]:
    """Return who owns fields of an object."""
    return sorted(entry["manager"] for entry in live["metadata"]["managedFields"])


@pytest.mark.parametrize("first", OTHERS)
def test_what_was_left_to_kubectl_is_taken_over_by_a_later_run_that_may(
    plane: Plane, cluster: Kubernetes, space: str, first: Conflicts
) -> None:
    """As it would have been at first; reruns of either kind write nothing, and what is announced is done."""
    kubectl(plane, [namespace(space), config_map("c", space, a="1", old="1")])
    objects = [config_map("c", space, a="1")]
    path = f"/api/v1/namespaces/{space}/configmaps/c"
    assert not fields(announced(cluster, objects, first))
    apply(cluster, objects, conflicts=first)
    live = cluster.get(path)
    assert live["data"] == {"a": "1", "old": "1"}
    assert managers(live) == ["kubectl-client-side-apply", "tideflow-test"]
    for other in OTHERS:
        assert not apply(cluster, objects, conflicts=other).writes
    objects[0]["metadata"]["labels"] = {"written": "again"}
    apply(cluster, objects, conflicts=first)
    assert not apply(cluster, objects, conflicts=first).writes
    assert "data.old" in fields(announced(cluster, objects))
    _, summary = apply_and_tell(cluster, objects)
    assert summary
    assert summary.notes == (f"ConfigMap {space}/c was kubectl's, and is taken over",)
    live = cluster.get(path)
    assert live["data"] == {"a": "1"}
    assert managers(live) == ["tideflow-test"]
    assert "kubectl.kubernetes.io/last-applied-configuration" not in live["metadata"]["annotations"]
    for conflicts in ("own", *OTHERS):
        assert not apply(cluster, objects, conflicts=conflicts).writes


def test_fields_that_kubectl_has_set_otherwise_are_left_and_then_taken_with_the_rest(
    plane: Plane, cluster: Kubernetes, space: str
) -> None:
    """Both at once: a value that differs, and a field that the set does not have."""
    kubectl(plane, [namespace(space), config_map("c", space, a="theirs", old="1")])
    objects = [config_map("c", space, a="ours", b="1")]
    path = f"/api/v1/namespaces/{space}/configmaps/c"
    apply(cluster, objects, conflicts="yield")
    assert cluster.get(path)["data"] == {"a": "theirs", "b": "1", "old": "1"}
    assert not apply(cluster, objects, conflicts="yield").writes
    with pytest.raises(ApplyError, match=r"kubectl-client-side-apply owns \.data\.a"):
        apply(cluster, objects, conflicts="fail")
    apply(cluster, objects)
    assert cluster.get(path)["data"] == {"a": "ours", "b": "1"}
    assert managers(cluster.get(path)) == ["tideflow-test"]


@pytest.mark.parametrize("between", OTHERS)
def test_what_kubectl_applies_to_what_is_ours_stays_whatever_comes_next(
    plane: Plane, cluster: Kubernetes, space: str, between: Conflicts
) -> None:
    """It is another manager's, and not swept away in two steps either."""
    objects = [namespace(space), config_map("c", space, a="1")]
    apply(cluster, objects)
    kubectl(plane, [config_map("c", space, a="1", theirs="1")])
    for conflicts in (between, "own"):
        objects[1]["metadata"]["labels"] = {"written": conflicts}
        assert apply(cluster, objects, conflicts=conflicts).changed
        assert cluster.get(f"/api/v1/namespaces/{space}/configmaps/c")["data"] == {"a": "1", "theirs": "1"}


def test_a_field_that_was_left_is_applied_once_its_owner_gives_it_up(cluster: Kubernetes, space: str) -> None:
    """Nobody would own it otherwise, and the run would say that all is well."""
    objects = [namespace(space), config_map("c", space, a="1", k="ours")]
    path = f"/api/v1/namespaces/{space}/configmaps/c"
    apply(cluster, objects)
    cluster.patch(path, {"data": {"k": "theirs"}}, query={"fieldManager": "bob"})
    apply(cluster, objects, conflicts="yield")
    assert not apply(cluster, objects, conflicts="yield").writes
    cluster.patch(path, {"data": {"k": "theirs, again"}}, query={"fieldManager": "bob"})
    assert not apply(cluster, objects, conflicts="yield").writes
    cluster.patch(path, {"data": {"k": None}}, query={"fieldManager": "bob"})
    assert fields(announced(cluster, objects, "yield")) == ["data.k"]
    _, summary = apply_and_tell(cluster, objects, conflicts="yield")
    assert summary
    assert not summary.notes
    assert cluster.get(path)["data"] == {"a": "1", "k": "ours"}
    for conflicts in ("own", *OTHERS):
        assert not apply(cluster, objects, conflicts=conflicts).writes


def test_beside_a_field_that_is_left_what_others_do_costs_one_write_at_most(
    cluster: Kubernetes, space: str
) -> None:
    """Status, scaling and new values cost none, and no controller is fought."""
    objects = [namespace(space), deployment("d", space)]
    path = f"/apis/apps/v1/namespaces/{space}/deployments/d"
    apply(cluster, objects)
    cluster.patch(path, {"spec": {"replicas": 2}}, query={"fieldManager": "bob"})
    objects[1]["metadata"]["labels"] = {"x": "1"}
    apply(cluster, objects, conflicts="yield")
    assert not apply(cluster, objects, conflicts="yield").writes
    cluster.patch(path, {"spec": {"replicas": 3}}, query={"fieldManager": "bob"})
    assert not apply(cluster, objects, conflicts="yield").writes
    cluster.patch(path, {"metadata": {"annotations": {"seen": "1"}}}, query={"fieldManager": "controller"})
    assert len(apply(cluster, objects, conflicts="yield").changed) == 1
    cluster.patch(path, {"metadata": {"annotations": {"seen": "2"}}}, query={"fieldManager": "controller"})
    assert not apply(cluster, objects, conflicts="yield").writes
    live = cluster.get(path)
    assert (live["spec"]["replicas"], live["metadata"]["annotations"]["seen"]) == (3, "2")
