"""The proof: what needs no write, and that everything else is written."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine.objects import config_map, key, manifests, namespace

from tideflow.engine.ownership import APPLIED, annotated, digest, not_taken_over, owned, with_some_left
from tideflow.engine.plan import compare
from tideflow.engine.records import Record
from tideflow.engine.snapshot import Snapshot

if TYPE_CHECKING:
    from tideflow.engine.plan import Plan
    from tideflow.engine.writing import Conflicts

BODY = config_map("b", x="1")
MANAGER = "tideflow-set"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def live(**changes: Any) -> dict[str, Any]:
    """Return the object as the API server has it after we applied it, with some fields changed."""
    body = annotated(BODY, digest(BODY))
    metadata = {
        **body["metadata"],
        "uid": "one",
        "managedFields": [
            {
                "manager": MANAGER,
                "operation": "Apply",
                "fieldsV1": {"f:data": {"f:x": {}}, "f:metadata": {"f:annotations": {}}},
            },
            {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:data": {"f:y": {}}}},
        ],
    }
    return {**body, "metadata": {**metadata, **changes}}


def planned(
    found: dict[str, Any] | None,
    record: Record | None,
    *,
    create_once: bool = False,
    conflicts: Conflicts = "own",
) -> Plan:
    """Compare the one object with what is live and recorded."""
    snapshot = Snapshot({key(BODY): found} if found else {})
    records = {key(BODY): record} if record else {}
    return compare(
        manifests(BODY),
        snapshot,
        records,
        set_name="set",
        create_once={key(BODY)} if create_once else (),
        conflicts=conflicts,
    )


PROVEN = Record("one", str(owned(live(), MANAGER)))


def test_what_is_proven_is_not_written() -> None:
    """The same object, the same ownership, the same digest."""
    assert planned(live(), PROVEN).unchanged == (key(BODY),)
    assert not planned(live(), PROVEN).writes


@pytest.mark.parametrize("once", [True, False])
def test_what_is_going_is_created(*, once: bool) -> None:
    """Itself, or with its namespace: it will have gone when its turn comes, credentials too."""
    going = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    assert planned(live(**going), PROVEN, create_once=once).created == (key(BODY),)
    around = namespace("a")
    snapshot = Snapshot({key(BODY): live(), key(around): {**around, "metadata": {"name": "a", **going}}})
    plan = compare(
        manifests(BODY),
        snapshot,
        {key(BODY): PROVEN},
        set_name="set",
        create_once={key(BODY)} if once else (),
    )
    assert plan.created == (key(BODY),)


def test_what_is_missing_is_created() -> None:
    """Whatever the record says."""
    assert planned(None, PROVEN).created == (key(BODY),)


@pytest.mark.parametrize(
    "found",
    [
        live(uid="another"),
        live(annotations={"tideflow.dev/applied": "another"}),
        live(annotations=None),
        live(managedFields=[]),
        live(
            managedFields=[
                {"manager": MANAGER, "operation": "Apply", "fieldsV1": {"f:metadata": {"f:annotations": {}}}}
            ]
        ),
        live(
            managedFields=[
                {"manager": MANAGER, "operation": "Update", "fieldsV1": {"f:data": {"f:x": {}}}},
            ]
        ),
    ],
)
def test_whatever_breaks_the_proof_is_written(found: dict[str, Any]) -> None:
    """Recreated, applied by an older run, or taken over in part or in whole."""
    assert planned(found, PROVEN).changed == (key(BODY),)


@pytest.mark.parametrize("record", [None, Record("one", "foreign"), Record("another", PROVEN.owned)])
def test_a_record_that_is_lost_or_foreign_costs_a_write(record: Record | None) -> None:
    """Records are a memory and no truth."""
    assert planned(live(), record).changed == (key(BODY),)


def test_others_may_own_what_is_theirs() -> None:
    """Fields and labels of other managers do not touch the proof."""
    found = live(labels={"theirs": "1"})
    found["metadata"]["managedFields"].append(
        {"manager": "other", "operation": "Apply", "fieldsV1": {"f:metadata": {"f:labels": {}}}}
    )
    found["metadata"]["managedFields"].append(
        {"manager": MANAGER, "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}}
    )
    assert planned(found, PROVEN).unchanged == (key(BODY),)


@pytest.mark.parametrize(
    ("applied", "accepted"),
    [
        (digest(BODY), {"own", "yield", "fail"}),
        (not_taken_over(digest(BODY)), {"yield", "fail"}),
        (with_some_left(digest(BODY)), {"yield"}),
        (with_some_left(not_taken_over(digest(BODY))), {"yield"}),
        (not_taken_over("another"), set()),
    ],
)
@pytest.mark.parametrize("conflicts", ["own", "yield", "fail"])
def test_what_was_left_is_proven_only_for_who_would_leave_it(
    applied: str, accepted: set[Conflicts], conflicts: Conflicts
) -> None:
    """Whoever would take it has to write."""
    found = live(annotations={APPLIED: applied})
    proven = Record("one", str(owned(found, MANAGER)))
    assert (not planned(found, proven, conflicts=conflicts).writes) is (conflicts in accepted)


def test_where_fields_were_left_it_matters_what_others_own() -> None:
    """Not in which order, nor when, nor what they own of a subresource."""
    found = live(annotations={APPLIED: with_some_left(digest(BODY))})
    managers = found["metadata"]["managedFields"]
    proven = Record("one", str(owned(found, MANAGER)))
    status = {"manager": "c", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}}
    found["metadata"]["managedFields"] = [status, {**managers[1], "time": "now"}, managers[0]]
    assert not planned(found, proven, conflicts="yield").writes
    found["metadata"]["managedFields"] = managers[:1]
    assert planned(found, proven, conflicts="yield").writes


def test_a_credential_that_is_there_is_never_compared() -> None:
    """It is kept whatever it holds, and created when it is missing."""
    assert planned(live(uid="another"), None, create_once=True).kept == (key(BODY),)
    assert planned(None, None, create_once=True).created == (key(BODY),)


@given(JSON)
def test_a_digest_does_not_depend_on_the_order_of_keys(value: Any) -> None:
    """Two equal values have one digest, however they were put together."""
    assert digest(value) == digest(reordered(value))


@given(JSON, JSON)
def test_different_values_have_different_digests(one: Any, other: Any) -> None:
    """Any change of what is desired is a change of the annotation."""
    same = repr(reordered(one)) == repr(reordered(other))
    assert (digest(one) == digest(other)) == same or one == other


def reordered(value: Any) -> Any:
    """Return an equal value whose keys come in sorted order."""
    if isinstance(value, dict):
        return {name: reordered(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [reordered(found) for found in value]
    return copy.copy(value)
