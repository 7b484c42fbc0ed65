"""Taking over the fields that kubectl has applied."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tideflow.engine.adoption import adoption, needs_adoption, union, without_abandoned
from tideflow.engine.ownership import APPLIED, not_taken_over, with_some_left

FIELDS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.just({}), lambda inside: st.dictionaries(st.sampled_from(["f:a", "f:b", "k:c", "."]), inside)
)
OURS = "tideflow-test"


def entry(manager: str, operation: str, **more: Any) -> dict[str, Any]:
    """Return an entry of managedFields."""
    fields: dict[str, Any] = {"f:data": {f"f:{manager}": {}}}
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields, **more}


def live(*entries: dict[str, Any]) -> dict[str, Any]:
    """Return an object with these managers."""
    return {"metadata": {"managedFields": list(entries), "resourceVersion": "7"}}


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([entry("kubectl-client-side-apply", "Update")], True),
        ([entry("kubectl", "Apply")], True),
        ([entry("kubectl-client-side-apply", "Update"), entry("kube-controller-manager", "Update")], True),
        ([entry("kubectl-client-side-apply", "Update"), entry(OURS, "Apply")], False),
        ([entry("kubectl-client-side-apply", "Update", subresource="status")], False),
        ([entry("kubectl-edit", "Update")], False),
        ([entry("helm", "Apply")], False),
        ([], False),
    ],
)
def test_only_what_kubectl_applied_and_we_never_did_is_adopted(
    entries: list[dict[str, Any]], *, expected: bool
) -> None:
    """Others' edits are theirs, and once an object is ours nobody's later kubectl makes it new."""
    assert needs_adoption(live(*entries), OURS) is expected


@pytest.mark.parametrize(
    ("annotation", "ours", "expected"),
    [
        (not_taken_over("d"), True, True),
        (with_some_left(not_taken_over("d")), True, True),
        (with_some_left("d"), True, False),
        ("d", True, False),
        (not_taken_over("d"), False, False),  # another set's
    ],
)
def test_what_a_run_noted_as_not_taken_over_is_adopted_later(
    annotation: str, *, ours: bool, expected: bool
) -> None:
    """By the set whose note it is; its own fields become part of the one entry."""
    note: dict[str, Any] = {"f:metadata": {"f:annotations": {f"f:{APPLIED}": {}}}}
    mine = owner(OURS, "Apply", note if ours else {"f:data": {}})
    found = live(mine, entry("kubectl-client-side-apply", "Update"))
    found["metadata"]["annotations"] = {APPLIED: annotation}
    assert needs_adoption(found, OURS) is expected
    if expected:
        [only] = adoption(found, OURS)[0]["value"]
        assert only["fieldsV1"] == {"f:data": {"f:kubectl-client-side-apply": {}}, **note}


def test_adopting_makes_one_owner_of_kubectls_and_leaves_all_others() -> None:
    """Refused if the object is another by then: the resourceVersion goes with it."""
    controller = entry("kube-controller-manager", "Update", subresource="status")
    found = live(entry("kubectl-client-side-apply", "Update"), controller, entry("kubectl", "Apply"))
    managers, version = adoption(found, OURS)
    assert version["value"] == "7"
    assert [owner["manager"] for owner in managers["value"]] == ["kube-controller-manager", OURS]
    assert managers["value"][1]["operation"] == "Apply"
    assert managers["value"][1]["fieldsV1"] == {
        "f:data": {"f:kubectl-client-side-apply": {}, "f:kubectl": {}}
    }


def paths(fields: dict[str, Any], before: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Return the paths of all elements of a fieldsV1."""
    found: set[tuple[str, ...]] = set()
    for name, inside in fields.items():
        found |= {(*before, name)} | paths(inside, (*before, name))
    return found


@given(FIELDS, FIELDS)
def test_the_union_has_the_paths_of_both_and_no_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    """It does not matter which comes first."""
    assert paths(union(one, other)) == paths(one) | paths(other)
    assert union(one, other) == union(other, one)
    assert union(one, {}) == one


def owner(manager: str, operation: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return an entry of managedFields over these fields."""
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields}


@pytest.mark.parametrize(
    ("spec", "kubectls", "ours", "others", "expected"),
    [
        ({"a": 1, "b": 2}, {"f:a": {}, "f:b": {}}, {"f:a": {}}, {}, {"a": 1}),
        ({"a": 1, "b": 2}, {"f:a": {}, "f:b": {}}, {"f:a": {}}, {"f:b": {}}, {"a": 1, "b": 2}),
        ({"a": 1, "default": 2}, {"f:a": {}}, {"f:a": {}}, {}, {"a": 1, "default": 2}),
        (
            {"l": [{"name": "x", "a": 1, "b": 2}, {"name": "y", "default": 1}]},
            {
                "f:l": {
                    'k:{"name":"x"}': {".": {}, "f:a": {}, "f:b": {}, "f:name": {}},
                    'k:{"name":"y"}': {".": {}, "f:name": {}},
                    'k:{"name":"gone"}': {".": {}},
                }
            },
            {"f:l": {'k:{"name":"x"}': {".": {}, "f:a": {}, "f:name": {}}}},
            {},
            {"l": [{"name": "x", "a": 1}]},
        ),
        ({"m": {"x": 1, "y": 2}}, {"f:m": {".": {}, "f:x": {}}}, {}, {"f:m": {"f:y": {}}}, {"m": {"y": 2}}),
        ({"m": {"x": 1}}, {"f:m": {".": {}, "f:x": {}}}, {}, {}, {}),
        (
            {"s": ["a", "b", "c"]},
            {"f:s": {'v:"a"': {}, 'v:"c"': {}}},
            {"f:s": {'v:"c"': {}}},
            {},
            {"s": ["b", "c"]},
        ),
    ],
)
def test_what_goes_when_it_is_adopted_is_what_nobody_owns_then(
    spec: Any, kubectls: dict[str, Any], ours: dict[str, Any], others: dict[str, Any], expected: Any
) -> None:
    """Not what others own, nor what nobody ever owned; the object given is as it was."""
    kubectl, other = owner("kubectl", "Apply", kubectls), owner("other", "Update", others)
    applied = live(kubectl, other, owner(OURS, "Apply", ours)) | {"spec": spec}
    for found in applied["metadata"]["managedFields"]:
        found["fieldsV1"] = {"f:spec": found["fieldsV1"]}
    before = copy.deepcopy(applied)
    assert without_abandoned(live(kubectl), applied)["spec"] == expected
    assert applied == before
