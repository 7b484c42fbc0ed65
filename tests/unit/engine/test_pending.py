"""What waits to be written: everything gets its turn, and nothing before its needs are met."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tideflow.engine.graph import Ready, Written
from tideflow.engine.manifests import Key
from tideflow.engine.pending import Pending

if TYPE_CHECKING:
    import random

    from tideflow.engine.graph import Need


def key(number: int) -> Key:
    """Return a key that sorts by its number."""
    return Key("", "ConfigMap", "a", f"{number:03}")


@st.composite
def graphs(draw: st.DrawFn) -> dict[Key, frozenset[Written]]:
    """Return an acyclic graph: objects need objects that have smaller numbers, and come in any order."""
    size = draw(st.integers(1, 25))
    needs = {
        key(number): frozenset(
            Written(key(other)) for other in draw(st.sets(st.integers(0, max(0, number - 1)), max_size=4))
        )
        if number
        else frozenset()
        for number in range(size)
    }
    return {found: needs[found] for found in draw(st.permutations(list(needs)))}


@given(graphs(), st.randoms(use_true_random=False), st.integers(1, 8))
def test_every_acyclic_graph_is_released_in_order(
    needs: dict[Key, frozenset[Written]], chance: random.Random, limit: int
) -> None:
    """However many are under way, whichever of them ends first, and whatever has to be tried again."""
    pending, written, in_flight, tries = Pending(needs, needs), set[Key](), list[Key](), 0
    while pending:
        free = pending.next(lambda need: isinstance(need, Written) and need.key in written)
        while len(in_flight) < limit and (found := next(free, None)) is not None:
            assert all(need.key in written for need in needs[found])
            assert found not in in_flight
            in_flight.append(found)
        assert in_flight, f"nothing can be written, and {list(pending)} are left"
        ended = in_flight.pop(chance.randrange(len(in_flight)))
        tries += 1
        if tries < 200 and chance.random() < 0.3:
            pending.pause(ended, 0.0)
        else:
            written.add(ended)
            pending.discard(ended)
            pending.written(ended)
    assert written == set(needs)


def test_an_object_waits_under_the_need_it_lacks_and_can_be_given_up() -> None:
    """So that who looks for what will never be need not look at each object."""
    needs = {key(1): frozenset({Ready(key(0))}), key(2): frozenset({Ready(key(0))})}
    pending = Pending(needs, needs)
    assert list(pending.next(lambda _: False)) == []
    assert pending.gates() == [Ready(key(0))]
    assert pending.waiting_for(Ready(key(0))) == [key(1), key(2)]
    pending.discard(key(1))
    assert pending.waiting_for(Ready(key(0))) == [key(2)]
    assert list(pending.next(lambda _: True)) == [key(2)]
    assert pending.gates() == []


def test_what_waits_for_a_write_is_told_of_it_and_not_asked() -> None:
    """A set may have thousands of such needs; asking for all of them after each write would take minutes."""
    asked = []

    def met(need: Need) -> bool:
        asked.append(need)
        return False

    need = Written(key(0))
    pending = Pending([key(1)], {key(1): [need]})
    assert list(pending.next(met)) == list(pending.next(met)) == []
    assert asked == [need]
    assert pending.gates() == []
    assert pending.waiting_for(need) == [key(1)]
    pending.written(key(0))
    assert list(pending.next(lambda _: True)) == [key(1)]


def test_a_need_that_is_no_longer_met_holds_again() -> None:
    """A webhook's pod may have gone while something else was waited for."""
    first, second = Ready(key(0)), Ready(key(1))
    pending = Pending([key(2)], {key(2): [first, second]})
    assert list(pending.next(lambda need: need == first)) == []
    assert pending.gates() == [second]
    assert list(pending.next(lambda need: need == second)) == []
    assert pending.gates() == [first]
    assert list(pending.next(lambda _: True)) == [key(2)]


def test_what_is_held_back_comes_when_its_time_has_come() -> None:
    """And not while it has not."""
    pending = Pending([key(1)], {})
    assert list(pending.next(lambda _: True)) == [key(1)]
    pending.pause(key(1), 60)
    assert list(pending.next(lambda _: True)) == []
    pending.pause(key(1), 0)
    assert list(pending.next(lambda _: True)) == [key(1)]
