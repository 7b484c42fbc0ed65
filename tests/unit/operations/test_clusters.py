"""What of a cluster has to become another, and what cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.connectors.test_settings import read

from tideflow.clients.provided import Cluster, NodePool
from tideflow.operations import pools
from tideflow.operations.clusters import Wanted, changes
from tideflow.operations.differences import notes, problems

POOL = NodePool("p", "ml-pool", "s-4vcpu-8gb", 3)
FOUND = Cluster(
    id="c",
    name="ml",
    region="nyc3",
    version="1.34.1-do.2",
    state="running",
    message="",
    endpoint="",
    node_pools=(POOL,),
    vpc="v",
    tags=("tideflow", "tideflow:ml"),
    maintenance_window="any 00:00",
)
WANTED = Wanted(name="ml", region="nyc3", version="1.34", size="s-4vcpu-8gb", count=3)


def scaled(least: int, most: int, count: int = 3) -> Cluster:
    """Return the cluster with a pool that DigitalOcean scales."""
    pool = replace(POOL, count=count, auto_scale=True, min_nodes=least, max_nodes=most)
    return replace(FOUND, node_pools=(pool,))


def why_not(found: Cluster = FOUND, *, adopt: bool = False, **wanted: Any) -> list[str]:
    """Return the problems as they are printed."""
    return list(map(str, problems(found, replace(WANTED, **wanted), adopt=adopt)))


def changed_pool(found: Cluster, wanted: Wanted) -> tuple[int | None, dict[str, Any]]:
    """Return how many nodes the pool is to have next, and the fields of the API; None for no change."""
    step = pools.step(found, wanted)
    if step is None:
        return None, {}
    assert isinstance(step, pools.Change)
    return step.count, dict(step.fields)


def test_what_is_not_set_is_left() -> None:
    """Whatever it is."""
    found = replace(scaled(1, 9), ha=True, auto_upgrade=True, surge_upgrade=True, tags=(*FOUND.tags, "mine"))
    assert not changes(found, WANTED)
    assert why_not(found) == []


@pytest.mark.parametrize(
    ("wanted", "words", "cluster"),
    [
        ({"ha": True}, "high_availability: off → on", {"ha": True}),
        ({"auto_upgrade": True}, "auto_upgrade: off → on", {"auto_upgrade": True}),
        ({"surge_upgrade": True}, "surge_upgrade: off → on", {"surge_upgrade": True}),
        (
            {"maintenance_window": "sunday 02:00"},
            "maintenance_window: any 00:00 → sunday 02:00",
            {"maintenance_policy": {"day": "sunday", "start_time": "02:00"}},
        ),
        (
            {"tags": ("a",)},
            "cluster_tags: tideflow, tideflow:ml → a, tideflow, tideflow:ml",
            {"tags": ["a", "tideflow", "tideflow:ml"]},
        ),
    ],
)
def test_a_field_of_the_cluster_is_changed(
    wanted: dict[str, Any], words: str, cluster: dict[str, Any]
) -> None:
    """That field alone, and it is said from what to what."""
    made = changes(FOUND, replace(WANTED, **wanted))
    assert (made.words, made.cluster) == ([words], cluster)
    assert pools.step(FOUND, replace(WANTED, **wanted)) is None


def test_a_tag_is_the_same_in_capitals() -> None:
    """DigitalOcean keeps the spelling that an account's first tag of a name has, and shows no other."""
    found = replace(FOUND, tags=("Tideflow", "TIDEFLOW:ml", "team-a"))
    wanted = replace(WANTED, tags=("Team-A", "TEAM-a"))
    assert not changes(found, wanted)
    assert why_not(found) == []
    assert changes(found, replace(wanted, tags=("Team-A", "b", "B"))).cluster == {
        "tags": ["Team-A", "b", "tideflow", "tideflow:ml"]
    }
    assert replace(wanted, tags=("Tideflow", "a", "A")).cluster_fields()["tags"] == [
        "tideflow",
        "tideflow:ml",
        "a",
    ]


def test_off_is_another_thing_than_not_set() -> None:
    """False switches off what can be."""
    found = replace(FOUND, auto_upgrade=True, surge_upgrade=True)
    made = changes(found, replace(WANTED, auto_upgrade=False, surge_upgrade=False))
    assert made.cluster == {"auto_upgrade": False, "surge_upgrade": False}
    off = replace(WANTED, autoscale=False)
    assert changes(scaled(1, 9), off).words == ["node_autoscale: 1 to 9 → off"]
    assert changed_pool(scaled(1, 9), off) == (3, {"auto_scale": False})


@pytest.mark.parametrize(
    ("bounds", "count", "words"),
    [
        ((3, 6), 3, ["node_autoscale: off → 3 to 6"]),
        ((4, 6), 4, ["node_autoscale: off → 4 to 6", "node_count: 3 → 4"]),
    ],
)
def test_a_pool_is_scaled_between_bounds(bounds: tuple[int, int], count: int, words: list[str]) -> None:
    """It gets the nodes that are missing to the least; node_count is what a pool begins with, no more."""
    wanted = replace(WANTED, autoscale=bounds, count=bounds[1])
    assert changes(FOUND, wanted).words == words
    fields = {"auto_scale": True, "min_nodes": bounds[0], "max_nodes": bounds[1]}
    assert changed_pool(FOUND, wanted) == (count, fields)


def test_nodes_are_added() -> None:
    """By one number; fewer of them take a setting."""
    five = replace(WANTED, count=5)
    assert changes(FOUND, five).words == ["node_count: 3 → 5"]
    assert changed_pool(FOUND, five) == (5, {})
    assert not changes(FOUND, replace(WANTED, count=2))
    assert pools.step(FOUND, replace(WANTED, count=2)) is None


def test_a_pool_that_is_scaled_is_not_counted() -> None:
    """Neither up nor down; the run says so."""
    assert not changes(scaled(1, 9), replace(WANTED, count=5))
    assert why_not(scaled(1, 9), count=2) == []
    assert "scales the pool ml-pool between 1 and 9" in next(notes(scaled(1, 9), WANTED))


@pytest.mark.parametrize(
    ("wanted", "both"),
    [
        ({"region": "fra1"}, ("nyc3", "fra1")),
        ({"vpc": "w"}, ("VPC v", "vpc is w")),
    ],
)
def test_what_cannot_be_changed_is_an_error_with_both_values(
    wanted: dict[str, Any], both: tuple[str, str]
) -> None:
    """A cluster cannot move."""
    (why,) = why_not(**wanted)
    assert all(value in why for value in both)


def test_a_vpc_that_the_token_may_not_know_is_no_problem() -> None:
    """Without the scope vpc:read, clusters come without it."""
    assert why_not(replace(FOUND, vpc=""), vpc="w") == []


def test_high_availability_is_not_taken_back() -> None:
    """DigitalOcean would refuse; not to set it leaves it."""
    (why,) = why_not(replace(FOUND, ha=True), ha=False)
    assert "set high_availability to None or true" in why


def test_all_problems_are_told_at_once() -> None:
    """Nobody likes to find them one after another."""
    assert len(why_not(replace(FOUND, ha=True), region="fra1", vpc="w", ha=False)) == 3


def test_a_cluster_of_somebody_else_is_left_alone() -> None:
    """The error has all that differs, and how to take it over; then it gets our tags, beside its own."""
    pool = replace(POOL, name="theirs", count=2)
    found = replace(FOUND, tags=("theirs",), node_pools=(pool,), version="1.33.6-do.2", region="fra1")
    first, _ = why_not(found)
    assert first.startswith("the cluster ml was not made by Tideflow: it has no tag tideflow.")
    assert first.endswith(
        "What differs from the settings: region: fra1 → nyc3; kubernetes_version: 1.33.6-do.2 → 1.34; "
        "cluster_tags: theirs → theirs, tideflow, tideflow:ml; node_count: 2 → 3; "
        "to take it over, add --data adopt_cluster=true; else name another platform (or give the token the "
        "scope tag:read, without which no tags are seen)"
    )
    assert why_not(replace(found, region="nyc3"), adopt=True) == []
    assert changes(found, WANTED).cluster == {"tags": ["theirs", "tideflow", "tideflow:ml"]}


def test_pools_that_people_made_besides_are_theirs() -> None:
    """What is counted is the pool with our name, wherever it stands; else one of the size."""
    gpus = NodePool("g", "gpus", "gpu-h100x1-80gb", 7)
    found = replace(FOUND, node_pools=(gpus, POOL))
    assert not changes(found, WANTED)
    assert list(notes(found, WANTED)) == []
    assert changed_pool(found, replace(WANTED, count=4)) == (4, {})
    alone = replace(FOUND, node_pools=(gpus,))
    assert pools.step(alone, replace(WANTED, count=4, replace_nodes=True, scale_down=True)) is None
    assert "node_size is s-4vcpu-8gb, and the cluster has gpu-h100x1-80gb" in next(notes(alone, WANTED))


def test_nodes_of_another_size_are_replaced_if_that_is_allowed() -> None:
    """What is left of it, by a run without the setting, is said."""
    other = replace(WANTED, size="s-8vcpu-16gb", count=2)
    assert not changes(FOUND, other)
    assert "to have other nodes, add --data replace_nodes=true" in next(notes(FOUND, other))
    allowed = replace(other, replace_nodes=True)
    (words,) = changes(FOUND, allowed).words
    assert words.startswith(
        "node_size: s-4vcpu-8gb → s-8vcpu-16gb: a pool of 2 nodes is made, then ml-pool is"
    )
    assert pools.step(FOUND, allowed) == pools.Make("ml-pool-s-8vcpu-16gb", "s-8vcpu-16gb", 2)
    new = NodePool("q", "ml-pool-s-8vcpu-16gb", "s-8vcpu-16gb", 2)
    between = replace(FOUND, node_pools=(POOL, new))
    assert pools.step(between, allowed) == pools.Retire(POOL)
    assert not changes(between, other)
    assert "the pool ml-pool of s-4vcpu-8gb is left from replacing nodes" in next(notes(between, other))
    assert pools.step(between, replace(WANTED, replace_nodes=True)) == pools.Retire(new)  # and back again
    done = replace(FOUND, node_pools=(new,))
    assert not changes(done, allowed)
    assert list(notes(done, allowed)) == []


def test_a_pool_that_is_scaled_is_replaced_by_one_that_is() -> None:
    """With the bounds that it has, where none are set."""
    wanted = replace(WANTED, size="s-8vcpu-16gb", replace_nodes=True)
    fields = {"auto_scale": True, "min_nodes": 1, "max_nodes": 9}
    assert pools.step(scaled(1, 9), wanted) == pools.Make("ml-pool-s-8vcpu-16gb", wanted.size, 3, fields)


def test_a_pool_that_goes_is_not_scaled_any_more() -> None:
    """Or DigitalOcean would bring back what is taken away, or refuse to have fewer nodes than the least."""
    wanted = replace(WANTED, size="s-8vcpu-16gb", replace_nodes=True, autoscale=(2, 6))
    new = NodePool("q", "ml-pool-s-8vcpu-16gb", wanted.size, 3, (), auto_scale=True, min_nodes=2, max_nodes=6)
    (old,) = scaled(2, 6).node_pools
    between = replace(FOUND, node_pools=(old, new))
    assert pools.step(between, wanted) == pools.Change(old, 3, {"auto_scale": False})
    still = replace(old, auto_scale=False)
    assert pools.step(replace(between, node_pools=(still, new)), wanted) == pools.Retire(still)


def test_a_newer_patch_is_no_difference() -> None:
    """The setting is a minor; where it is a patch that the cluster has left behind, that is said."""
    assert list(notes(replace(FOUND, version="1.34.7-do.0"), WANTED)) == []
    assert "the setting kubernetes_version is 1.34.1-do.0" in next(
        notes(FOUND, replace(WANTED, version="1.34.1-do.0"))
    )


def test_a_new_cluster_says_whose_it_is_and_that_it_is_not_highly_available() -> None:
    """From Kubernetes 1.36 on, the API takes silence about ``ha`` for a yes."""
    assert WANTED.cluster_fields() == {"ha": False, "tags": ["tideflow", "tideflow:ml"]}
    assert WANTED.pool_fields() == {}
    full = replace(
        WANTED, vpc="v", ha=True, auto_upgrade=False, maintenance_window="any 03:00", autoscale=(3, 5)
    )
    assert (
        full.cluster_fields().items()
        >= {
            "ha": True,
            "vpc_uuid": "v",
            "auto_upgrade": False,
            "maintenance_policy": {"day": "any", "start_time": "03:00"},
        }.items()
    )
    assert full.pool_fields() == {"auto_scale": True, "min_nodes": 3, "max_nodes": 5}
    assert str(full).endswith("node_autoscale: 3 to 5, auto_upgrade: off, maintenance_window: any 03:00)")


def test_each_setting_reaches_the_cluster() -> None:
    """By the name it has in group_data/all.py."""
    settings = read(
        vpc="00000000-0000-4000-8000-000000000000",
        node_count=4,
        node_autoscale=[3, 6],
        high_availability=True,
        auto_upgrade=False,
        surge_upgrade=True,
        maintenance_window="Sunday 02:00",
        cluster_tags=["a", "a", "b"],
    )
    made = Wanted.of(settings, name="ml")
    assert made == Wanted(
        name="ml",
        region="nyc3",
        version="1.34",
        size="s-4vcpu-8gb",
        count=4,
        vpc="00000000-0000-4000-8000-000000000000",
        autoscale=(3, 6),
        ha=True,
        auto_upgrade=False,
        surge_upgrade=True,
        maintenance_window="sunday 02:00",
        tags=("a", "b"),
    )
    assert Wanted.of(read(), name="ml") == WANTED


switch = st.sampled_from([None, False, True])
bounds = st.tuples(st.integers(1, 9), st.integers(0, 9)).map(lambda pair: (pair[0], sum(pair)))


@given(
    st.builds(
        replace,
        st.just(WANTED),
        ha=switch,
        auto_upgrade=switch,
        surge_upgrade=switch,
        autoscale=st.one_of(st.sampled_from([None, False]), bounds),
        count=st.integers(1, 12),
        tags=st.one_of(st.none(), st.just(("a", "b"))),
        maintenance_window=st.sampled_from([None, "any 00:00", "monday 01:00"]),
    ),
    st.builds(
        replace,
        st.just(FOUND),
        ha=st.booleans(),
        auto_upgrade=st.booleans(),
        surge_upgrade=st.booleans(),
        tags=st.sampled_from([(), ("tideflow",), ("b", "c")]),
        node_pools=st.one_of(
            bounds.map(lambda pair: scaled(*pair, count=pair[0]).node_pools),
            st.integers(1, 12).map(lambda count: (replace(POOL, count=count),)),
        ),
    ),
)
def test_what_is_changed_is_as_wanted_then(wanted: Wanted, found: Cluster) -> None:
    """A second run has nothing to do, and no change takes a node away."""
    if list(problems(found, wanted, adopt=True)) or pools.excess(found.node_pools[0], wanted):
        return
    made = changes(found, wanted)
    body = {**made.cluster, "id": "c", "name": "ml", "region": "nyc3", "version": FOUND.version}
    body.setdefault("ha", found.ha)
    body.setdefault("auto_upgrade", found.auto_upgrade)
    body.setdefault("surge_upgrade", found.surge_upgrade)
    body.setdefault("tags", list(found.tags))
    body.setdefault("maintenance_policy", {"day": "any", "start_time": "00:00"})
    pool = found.node_pools[0]
    then, fields = changed_pool(found, wanted)
    count = pool.count if then is None else then
    assert count >= pool.count
    scaling = {"auto_scale": pool.auto_scale, "min_nodes": pool.min_nodes, "max_nodes": pool.max_nodes}
    body["node_pools"] = [
        {"id": "p", "name": pool.name, "size": pool.size, "count": count, **scaling, **fields}
    ]
    assert not changes(Cluster.from_response(body), wanted)
