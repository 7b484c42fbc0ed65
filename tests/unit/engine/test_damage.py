"""Whatever a manifest says, it is planned, or refused by object and file: nothing in it is our defect."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.engine.damage import OTHERS, damaged, others_kinds, paths, valid

from tideflow.engine import diff, placing, pods
from tideflow.engine.capacity import replicas
from tideflow.engine.graph import World, needs
from tideflow.engine.manifests import load
from tideflow.engine.observing import watched
from tideflow.engine.ownership import annotated, digest
from tideflow.engine.snapshot import HPA
from tideflow.engine.webhooks import selects
from tideflow.engine.yielding import scale_targets, yielded
from tideflow.errors import GraphError, ManifestError

if TYPE_CHECKING:
    from tests.unit.engine.damage import Path

SET = valid("a")
CUSTOM = others_kinds("a")
PLACES: list[tuple[int, Path]] = [(at, path) for at, body in enumerate(SET) for path in paths(body)]
CUSTOM_PLACES: list[tuple[int, Path]] = [(at, path) for at, body in enumerate(CUSTOM) for path in paths(body)]
WORLD = World({"a": {}}, (), {})


def planned(objects: list[dict[str, Any]]) -> None:
    """Do with the objects what a plan does without a cluster, and what a run does besides."""
    manifests = load(objects)
    placing.refuse_undefined(manifests)
    needs(manifests, WORLD)
    scaled = scale_targets(manifest.body for manifest in manifests if manifest.key.type == HPA)
    for manifest in manifests:
        body = yielded(manifest, scaled)
        digest(annotated(body, digest(body)))
        diff.additions(body)
        watched(manifest)
        replicas(body)
        if manifest.key.type == ("", "Service"):
            list(pods.behind(manifest.key, {found.key: found for found in manifests}))
        selects(pods.selector(body), {"app": "x"})


def test_what_is_not_damaged_is_planned() -> None:
    """Nothing of it is refused."""
    planned(SET)
    planned(CUSTOM)


def survives(objects: list[dict[str, Any]], at: int, path: Path, other: Any) -> None:
    """Plan the objects with one of them damaged."""
    changed = damaged(objects[at], path, other)
    with contextlib.suppress(ManifestError, GraphError):
        planned([*objects[:at], changed, *objects[at + 1 :]])


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(PLACES), st.sampled_from(OTHERS))
def test_any_damage_is_planned_or_refused(place: tuple[int, Path], other: Any) -> None:
    """At any depth of any kind with rules."""
    survives(SET, *place, other)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(CUSTOM_PLACES), st.sampled_from(OTHERS))
def test_kinds_that_are_only_named_alike_may_look_as_they_like(place: tuple[int, Path], other: Any) -> None:
    """No rule for the built-in kind of that name is one for them."""
    survives(CUSTOM, *place, other)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PLACES), JSON)
def test_any_json_in_any_place_is_planned_or_refused(place: tuple[int, Path], other: Any) -> None:
    """Not only what is likely."""
    survives(SET, *place, other)


@pytest.mark.soak
@pytest.mark.parametrize("at", range(len(SET)), ids=lambda at: str(SET[at]["kind"]))
def test_every_damage_is_planned_or_refused(at: int) -> None:
    """All of them, one by one."""
    for path in paths(SET[at]):
        for other in OTHERS:
            survives(SET, at, path, other)
