"""Differences between two states of an object: all of them, nothing else, and no Secret's value."""

from __future__ import annotations

import base64
import copy
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine.objects import config_map, deployment

from tideflow.engine import showing
from tideflow.engine.diff import ABSENT, Item, _same, additions, compare
from tideflow.engine.ownership import annotated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tideflow.engine.diff import Change

SCALARS = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "b", "1", "two\nlines"])
NAMED = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b", "c", "d", "1"])}, optional={"image": SCALARS, "port": SCALARS}
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(NAMED, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "key", "spec", "x.y/z"]), inner, max_size=3)
    ),
    max_leaves=20,
)


def made(before: Any, changes: Sequence[Change], depth: int = 0) -> Any:
    """Return what the changes make of a value, by what their documentation says and nothing else."""
    here = [change for change in changes if len(change.path) == depth]
    if here:
        (change,) = changes
        return change.after
    below: dict[str | Item, list[Change]] = defaultdict(list)
    for change in changes:
        below[change.path[depth]].append(change)
    if isinstance(before, dict):
        made_of = dict(before)
        for step, inner in below.items():
            assert isinstance(step, str)
            value = made(before.get(step, ABSENT), inner, depth + 1)
            made_of.pop(step, None)
            if value is not ABSENT:
                made_of[step] = value
        return made_of
    if not below:
        return before
    return _list_made(before, below, depth)


def _list_made(before: list[Any], below: dict[str | Item, list[Change]], depth: int) -> list[Any]:
    items = {step: inner for step, inner in below.items() if isinstance(step, Item)}
    assert len(items) == len(below)
    removed, added = set(), {}
    for step, (first, *_) in items.items():
        if len(first.path) == depth + 1:
            if first.after is ABSENT:
                removed.add(step.index)
            elif first.before is ABSENT:
                added[step.index] = first.after
    result = [item for index, item in enumerate(before) if index not in removed]
    for index in sorted(added):
        result.insert(index, added[index])
    for step, inner in items.items():
        edge = len(inner[0].path) == depth + 1 and ABSENT in (inner[0].before, inner[0].after)
        if not edge:
            result[step.index] = made(result[step.index], inner, depth + 1)
    return result


@given(JSON, JSON)
def test_the_changes_make_what_is_after_of_what_was_before(before: Any, after: Any) -> None:
    """Nothing is missing, nothing is too much, whatever two objects hold."""
    changes = compare({"spec": before}, {"spec": after})
    assert _same(made({"spec": before}, changes), {"spec": after})
    assert all(not _same(change.before, change.after) for change in changes)


@given(st.lists(NAMED, max_size=6), st.lists(NAMED, max_size=6))
def test_lists_of_named_items_are_no_exception(before: list[Any], after: list[Any]) -> None:
    """Added, removed, changed, moved, with names twice, or known by their ports."""
    changes = compare({"spec": before}, {"spec": after})
    assert _same(made({"spec": before}, changes), {"spec": after})


@given(JSON)
def test_equal_objects_have_no_differences(value: Any) -> None:
    """Nor have those that differ only in what the server and our proof keep in them."""
    before = {"kind": "X", "metadata": {"name": "x"}, "spec": value}
    kept = {"resourceVersion": "7", "generation": 2, "managedFields": [{"manager": "m"}], "uid": "u"}
    after = annotated({**copy.deepcopy(before), "status": {"phase": "new"}}, "digest")
    after["metadata"].update(kept)
    assert compare(before, after) == ()
    assert compare(after, before) == ()


@given(JSON)
def test_all_fields_of_a_new_object_are_told(value: Any) -> None:
    """Each leaf by its own path, and none twice."""
    changes = additions({"kind": "X", "metadata": {"name": "x"}, "spec": {"of": value}})
    assert all(change.before is ABSENT for change in changes)
    assert all(change.after in ({}, []) or not isinstance(change.after, dict | list) for change in changes)
    assert len({change.path for change in changes}) == len(changes)
    assert changes


CANARY = st.text("abcdefghij", min_size=8, max_size=12).map(lambda text: f"canary-{text}")
SECRETS = st.fixed_dictionaries(
    {
        "data": st.none()
        | st.dictionaries(st.sampled_from(["a", "b", "c.d"]), CANARY | st.lists(CANARY))
        | CANARY,
        "stringData": st.none() | st.dictionaries(st.sampled_from(["a", "b"]), CANARY | st.just(17171717)),
        "Data": st.none() | CANARY,
    }
)


@given(before=SECRETS, after=SECRETS, annotated_too=st.booleans())
def test_no_value_of_a_secret_is_ever_told(
    before: dict[str, Any], after: dict[str, Any], *, annotated_too: bool
) -> None:
    """Not in any text, not even in what is kept in memory to make text of."""
    one, other = ({"kind": "Secret", "metadata": {"name": "s"}, **body} for body in (before, after))
    if annotated_too:
        other["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": repr(before)}
    for changes in (compare(one, other), compare(one, {}), compare({}, one), additions(other)):
        told = [repr(changes), showing.brief(changes), *(line.text for line in showing.changed(changes))]
        assert not any("canary" in text or "17171717" in text for text in told)


def test_of_a_secret_it_is_told_which_keys_come_change_and_go() -> None:
    """What a person has to know, and no more."""
    before = {"kind": "Secret", "metadata": {"name": "s"}, "data": {"stays": "x", "other": "x", "goes": "x"}}
    after = {
        "kind": "Secret",
        "metadata": {"name": "s"},
        "data": {"stays": "x", "other": "y", "comes": "canary"},
    }
    assert not any("canary" in line.text for line in showing.added(additions(after)))
    assert [line.text for line in showing.changed(compare(before, after))] == [
        "  data.other: another value (not shown)",
        "- data.goes: (not shown)",
        "+ data.comes: (not shown)",
    ]
    assert showing.brief(compare(before, after)) == (
        "data.other (not shown); - data.goes (not shown); + data.comes (not shown)"
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"replicas": 1}, {"replicas": 3}, ["spec.replicas: 1 → 3"]),
        ({"replicas": 1}, {"replicas": "1"}, ['spec.replicas: 1 → "1"']),
        ({"on": 1}, {"on": True}, ["spec.on: 1 → true"]),
        ({"a": None}, {}, ["- spec.a"]),
        ({}, {"a.b/c": "x"}, ["+ spec[a.b/c]: x"]),
        (
            [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y"}],
            [{"name": "new"}, {"name": "a", "image": "x:2"}, {"name": "b", "image": "y"}],
            ["spec[a].image: x:1 → x:2", '+ spec[new]: {"name": "new"}'],
        ),
        (
            [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "UDP"}],
            [{"containerPort": 80, "protocol": "TCP"}],
            ["- spec[containerPort=80,protocol=UDP]"],
        ),
        (["--a=1", "--b", "--c"], ["--a=2", "--b", "--new", "--c"], ["spec[0]: --a=1 → --a=2", "spec[2]"]),
        (["a", "c"], ["a", "b", "c"], ["+ spec[1]: b"]),
        (["a", "b", "c"], ["a", "c"], ["- spec[1]"]),
        (
            [{"name": "a"}, {"name": "b"}],
            [{"name": "b"}, {"name": "a"}],
            ['spec: [{"name": "a"}, {"name": "b"}] → [{"name": "b"}, {"name": "a"}]'],
        ),
        ([{"name": "1", "x": 1}], [{"name": "1", "x": 2}], ["spec[name=1].x: 1 → 2"]),
    ],
)
def test_fields_are_named_as_people_name_them(before: Any, after: Any, expected: list[str]) -> None:
    """By what items are known by, else by their place; text apart from numbers."""
    told = showing.brief(compare({"spec": before}, {"spec": after}))
    for text in expected:
        assert text in told


def test_an_item_put_in_the_middle_of_a_list_is_one_change() -> None:
    """And not a change of all that comes after it."""
    rules = [{"apiGroups": [group], "verbs": ["get"]} for group in "abcd"]
    changes = compare({"rules": rules}, {"rules": [rules[0], {"apiGroups": ["new"]}, *rules[1:]]})
    assert [(change.field, change.before) for change in changes] == [("rules[1]", ABSENT)]


def test_a_long_text_is_told_by_the_lines_that_differ() -> None:
    """With one line around them, and no more than a few."""
    lines = [f"line {number}" for number in range(50)]
    before = config_map("c", text="\n".join(lines))
    after = config_map("c", text="\n".join([*lines[:20], "another", *lines[21:]]))
    assert [(line.sign, line.text) for line in showing.changed(compare(before, after))] == [
        ("", "  data.text:"),
        ("", "      line 19"),
        ("-", "    - line 20"),
        ("+", "    + another"),
        ("", "      line 21"),
    ]
    everything = list(showing.changed(compare(before, config_map("c", text="\n".join(lines[::-1])))))
    assert len(everything) < 16
    assert "more lines" in everything[-1].text


def test_long_values_on_one_line_are_told_from_where_they_differ() -> None:
    """A digest at the end of a long name is seen to change."""
    same = "x" * 300
    (line,) = showing.changed(compare({"spec": {"a": f"{same}1"}}, {"spec": {"a": f"{same}2"}}))
    assert line.text == f"  spec.a: …{same[:12]}1 → …{same[:12]}2"
    (line,) = showing.changed(compare({"spec": {"a": same}}, {"spec": {"a": f"{same}2"}}))
    assert line.text == f"  spec.a: …{same[:12]} → …{same[:12]}2"


def test_a_new_object_tells_its_first_fields() -> None:
    """What it does before what it is called, and that there is more."""
    told = [line.text for line in showing.added(additions(deployment("d")))]
    assert "+ spec.replicas: 1" in told
    assert "+ spec.template.spec.containers[main].image: example.org/main:1" in told
    assert not any("metadata.name" in text or "kind" in text for text in told)
    many = [
        line.text for line in showing.added(additions(config_map("c", **{f"k{n}": "v" for n in range(20)})))
    ]
    assert len(many) == 9
    assert many[-1] == "  … and 12 more fields"


@given(st.text(max_size=30), st.text(max_size=30))
def test_nothing_shown_is_obeyed_by_a_terminal(before: str, after: str) -> None:
    """Whoever may write to a cluster may not write to our terminal."""
    one, other = {"spec": {before: "\x1b[2J", "a": before}}, {"spec": {"a": after, "b": [after]}}
    changes = compare(one, other)
    for line in [*showing.changed(changes), *showing.added(additions(one))]:
        assert line.text.isprintable()
    assert showing.brief(changes).isprintable()


def test_encoded_data_of_secrets_is_hidden_as_a_server_answers_it() -> None:
    """Data comes encoded, and decoded it is as secret."""
    encoded = base64.b64encode(b"canary").decode()
    changes = additions(
        {"kind": "Secret", "metadata": {"name": "s"}, "type": "Opaque", "data": {"k": encoded}}
    )
    told = " ".join(line.text for line in showing.added(changes))
    assert encoded not in told
    assert "data.k: (not shown)" in told
    assert "type: Opaque" in told
