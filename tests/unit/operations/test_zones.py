"""What is done to a zone is decided so that no record of others changes, and a killed run can be repeated."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tideflow.clients.domains import Record
from tideflow.operations.zones import TTL, Mark, maker, owned, plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tideflow.operations.zones import Plan, Step

ZONE, NAME = "example.com", "ml.example.com"
NEW, OLD, THEIRS = "203.0.113.7", "203.0.113.6", "198.51.100.1"
WANTED = Record(type="A", name=NAME, data=NEW, ttl=TTL)
WILD = replace(WANTED, name=f"*.{NAME}")


def record(data: str, *, kind: str = "A", name: str = NAME, ttl: int = TTL, number: int = 1) -> Record:
    """Return a record that is there."""
    return Record(type=kind, name=name, data=data, ttl=ttl, id=number)


def mark(data: str, *, kind: str = "A", name: str = NAME, platform: str = "ours", number: int = 11) -> Record:
    """Return the mark of a record, as it is there."""
    return replace(Mark(platform, name, kind, data).record, id=number)


def planned(
    *found: Record, wanted: Sequence[Record] = (WANTED,), overwrite: bool = False, platform: str = "ours"
) -> Plan:
    """Return what is done to a zone with these records."""
    return plan(ZONE, found, wanted, platform=platform, overwrite=overwrite)


def after(found: Sequence[Record], steps: Sequence[Step]) -> list[Record]:
    """Return a zone's records once steps were taken."""
    zone = {there.id: there for there in found}
    for step in steps:
        if step.verb == "create":
            number = max(zone, default=0) + 1
            zone[number] = replace(step.record, id=number)
        elif step.verb == "change":
            assert step.record.id in zone
            zone[step.record.id] = step.record
        else:
            del zone[step.record.id]
    return list(zone.values())


def said(steps: Sequence[Step]) -> list[str]:
    """Return verb, type and data of each step."""
    return [f"{step.verb} {step.record.type} {step.record.data}" for step in steps]


def test_a_new_record_is_marked_first() -> None:
    """So that a run which is killed between the two leaves none that nobody made."""
    marked, made = planned().steps
    assert str(marked) == (
        'create the record _tideflow.ml.example.com. 60 IN TXT "tideflow platform=ours A 203.0.113.7"'
    )
    assert str(made) == "create the record ml.example.com. 60 IN A 203.0.113.7"
    assert made.done == "created the record ml.example.com. 60 IN A 203.0.113.7"


def test_what_is_there_is_left() -> None:
    """Whether we made it or others did; only of ours is the time to live ours to say."""
    assert planned(record(NEW), mark(NEW)).steps == ()
    assert planned(record(NEW, ttl=1800)).steps == ()
    (step,) = planned(record(NEW, ttl=1800), mark(NEW)).steps
    assert str(step) == (
        "change the record ml.example.com. 1800 IN A 203.0.113.7, to 203.0.113.7 for 60 seconds"
    )


def test_another_address_is_changed_in_place() -> None:
    """Marked before, and the old mark goes after."""
    steps = planned(record(OLD), mark(OLD)).steps
    assert said(steps) == [
        f"create TXT tideflow platform=ours A {NEW}",
        f"change A {NEW}",
        f"delete TXT tideflow platform=ours A {OLD}",
    ]
    assert [step.record.id for step in steps[1:]] == [1, 11]


@pytest.mark.parametrize(
    "foreign",
    [
        [record(THEIRS)],
        [record("other.example.org", kind="CNAME")],
        [record("2001:db8::1", kind="AAAA")],
        [record(THEIRS), record("198.51.100.2", number=2)],
        [record(OLD), mark(OLD, platform="theirs")],
        [record(THEIRS), mark(OLD)],  # it was ours, and somebody has changed it
    ],
)
def test_records_of_others_are_named_and_only_replaced_if_that_is_asked_for(foreign: list[Record]) -> None:
    """Those of other platforms too; then nothing else leads away from the load balancer."""
    left = planned(*foreign)
    assert left.foreign == tuple(there for there in foreign if there.type != "TXT")
    assert {step.record.id for step in left.steps}.isdisjoint(there.id for there in left.foreign)
    done = after(foreign, planned(*foreign, overwrite=True).steps)
    leading = [there for there in done if there.name == NAME]
    assert [(there.type, there.data, there.ttl) for there in leading] == [("A", NEW, TTL)]
    assert leading[0] in owned(done, platform="ours")


def test_one_of_others_beside_ours_is_in_the_way() -> None:
    """Half of the visitors would go there."""
    found = [record(NEW), mark(NEW), record(THEIRS, number=2)]
    assert planned(*found).foreign == (found[2],)
    assert said(planned(*found, overwrite=True).steps) == [f"delete A {THEIRS}"]


def test_the_same_record_twice_becomes_one() -> None:
    """If it is ours."""
    steps = planned(record(NEW), record(NEW, number=2), mark(NEW)).steps
    assert [(step.verb, step.record.id) for step in steps] == [("delete", 2)]
    steps = planned(record(NEW), mark(NEW), mark(NEW, number=12)).steps
    assert [(step.verb, step.record.id) for step in steps] == [("delete", 12)]


def test_an_address_that_becomes_a_name() -> None:
    """Nothing can be beside an alias, so the old record goes first."""
    alias = Record(type="CNAME", name=NAME, data="lb.example.net", ttl=TTL)
    steps = planned(record(OLD), mark(OLD), wanted=[alias]).steps
    assert [(step.verb, step.record.type) for step in steps] == [
        ("create", "TXT"),
        ("delete", "A"),
        ("create", "CNAME"),
        ("delete", "TXT"),
    ]
    text = record("v=spf1 -all", kind="TXT")
    assert planned(text, wanted=[alias], overwrite=True).fixed == (text,)
    assert planned(text).fixed == ()


def test_a_name_that_is_delegated_can_have_no_address() -> None:
    """But for the zone's own, whose servers are no delegation."""
    elsewhere = record("ns1.example.org", kind="NS")
    assert planned(elsewhere).fixed == (elsewhere,)
    apex = record("ns1.digitalocean.com", kind="NS", name=ZONE)
    assert planned(apex, wanted=[replace(WANTED, name=ZONE)]).fixed == ()


def test_what_is_no_longer_wanted_goes() -> None:
    """A wildcard, and another hostname of before; what others have there stays."""
    found = [
        record(NEW, name="old.example.com"),
        mark(NEW, name="old.example.com"),
        record(NEW, name=f"*.{NAME}", number=2),
        mark(NEW, name=f"*.{NAME}", number=12),
        record(THEIRS, name="theirs.example.com", number=3),
        mark(THEIRS, name="theirs.example.com", platform="theirs", number=13),
    ]
    done = after(found, planned(*found).steps)
    assert found[4] in done
    assert found[5] in done
    assert {there.name for there in done} == {
        NAME,
        f"_tideflow.{NAME}",
        "theirs.example.com",
        "_tideflow.theirs.example.com",
    }
    assert planned(*found, wanted=[WANTED, WILD]).steps[0].record.name == f"_tideflow.{NAME}"


def test_marks_tell_whose_a_record_is() -> None:
    """Whoever wrote a text that looks like one elsewhere is not heard."""
    found = [
        record(NEW),
        mark(NEW, platform="theirs"),
        record("tideflow platform=ours A 1", kind="TXT", number=3),
    ]
    assert maker(found, found[0]) == "theirs"
    assert maker(found, record(OLD)) == ""
    assert owned(found, platform="ours") == []
    assert owned(found, platform="theirs") == found[:2]
    assert Mark.read(replace(mark(NEW), data=f'"{mark(NEW).data}"')) == Mark("ours", NAME, "A", NEW)
    wild = mark(NEW, name=f"*.{NAME}")
    assert wild.name == f"_tideflow-wildcard.{NAME}"
    assert Mark.read(wild) == Mark("ours", f"*.{NAME}", "A", NEW)


RECORDS = st.one_of(
    st.builds(
        record,
        st.sampled_from([NEW, OLD, THEIRS]),
        name=st.sampled_from([NAME, f"*.{NAME}", "other.example.com"]),
        ttl=st.sampled_from([TTL, 1800]),
    ),
    st.builds(
        mark,
        st.sampled_from([NEW, OLD]),
        name=st.sampled_from([NAME, f"*.{NAME}", "other.example.com"]),
        platform=st.sampled_from(["ours", "theirs"]),
    ),
)


@given(
    st.lists(RECORDS, max_size=8),
    st.sampled_from([[WANTED], [WANTED, WILD]]),
    st.booleans(),
    st.integers(0, 20),
)
def test_a_run_that_was_killed_is_finished_by_the_next(
    zone: list[Record],
    wanted: list[Record],
    overwrite: bool,  # noqa: FBT001 - Hypothesis gives it
    killed_after: int,
) -> None:
    """Wherever it was; what others made is as it was, unless it is in the way and may be replaced."""
    zone = [replace(there, id=number) for number, there in enumerate(zone, 1)]
    first = planned(*zone, wanted=wanted, overwrite=overwrite)
    ours = owned(zone, platform="ours")
    left = after(zone, first.steps[:killed_after])
    second = planned(*left, wanted=wanted, overwrite=overwrite)
    done = after(left, second.steps)
    assert planned(*done, wanted=wanted, overwrite=overwrite).steps == ()
    for there in zone:
        assert there in done or there in ours or (overwrite and there in first.foreign)
    for asked in wanted:
        leading = [there for there in done if there.name == asked.name and there.type == asked.type]
        assert any(there.data == asked.data for there in leading)
        if overwrite:
            assert {there.data for there in leading} == {asked.data}
