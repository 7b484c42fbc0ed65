"""What is tried again, after how long, and how many writes are under way meanwhile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tideflow.engine import faults
from tideflow.engine.faults import Throttle
from tideflow.errors import Cause, KubernetesError

WEBHOOK = 'failed calling webhook "x": no endpoints available for service "wh"'
RACED = (
    'Operation cannot be fulfilled on resourcequotas "q": the object has been modified; please apply your '
    "changes to the latest version and try again"
)
TERMINATING = (Cause("NamespaceTerminating", "metadata.namespace", "namespace a is being terminated"),)


@pytest.mark.parametrize(
    ("error", "tries", "expected"),
    [
        (KubernetesError("cut", status=0), 100, True),
        (KubernetesError("busy", status=429), 100, True),
        (KubernetesError("away", status=503), 100, True),
        (KubernetesError("late", status=504), 100, True),
        (KubernetesError(WEBHOOK, status=500, reason="InternalError"), 100, True),
        (KubernetesError("no", status=403, causes=TERMINATING), 100, True),
        (KubernetesError("going", status=409, reason="BeingDeleted"), 100, True),
        (KubernetesError("bug", status=500), 3, True),
        (KubernetesError("bug", status=500), 8, False),
        (KubernetesError("404 page not found", status=404), 3, True),
        (KubernetesError("404 page not found", status=404), 8, False),
        (KubernetesError("no such type yet", reason="NotServed"), 3, True),
        (KubernetesError("no such type yet", reason="NotServed"), 8, False),
        (KubernetesError("gone", status=404, reason="NotFound"), 1, False),
        (KubernetesError("bad", status=400), 1, False),
        (KubernetesError("who", status=401), 1, False),
        (KubernetesError("no", status=403), 1, False),
        (KubernetesError("denied the request", status=403), 1, False),
        (KubernetesError(RACED, status=409, reason="Conflict"), 3, True),
        (KubernetesError(RACED, status=409, reason="Conflict"), 8, False),
        (KubernetesError("taken", status=409, reason="Conflict"), 1, False),
        (KubernetesError("invalid", status=422), 1, False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: KubernetesError, tries: int, *, expected: bool) -> None:
    """By status and reason; what may be a defect is tried some times only."""
    assert faults.is_passing(error, tries) is expected


@given(st.integers(1, 50))
def test_pauses_grow_and_are_bounded(tries: int) -> None:
    """Between half and half as much again of what doubles up to ten seconds."""
    middle = min(10.0, 0.5 * 2 ** (tries - 1))
    assert middle / 2 <= faults.pause(KubernetesError("x"), tries) <= middle * 1.5


@given(st.floats(0, 1000), st.integers(1, 9))
def test_the_servers_own_word_counts(seconds: float, tries: int) -> None:
    """Retry-After is obeyed, up to a minute, and what failed together is spread."""
    pause = faults.pause(KubernetesError("x", status=429, retry_after=seconds), tries)
    assert min(seconds, 60) <= pause <= min(seconds, 60) + 0.5


def test_an_overloaded_server_gets_fewer_writes_and_slowly_more_again() -> None:
    """Refusals of one burst count once; what is wrong with an object does not count."""
    throttle = Throttle()
    for _ in range(8):
        throttle.refused(KubernetesError("x", status=429))
    assert throttle.limit == faults.WRITERS // 2
    throttle.refused(KubernetesError("x", status=422))
    assert throttle.limit == faults.WRITERS // 2
    for _ in range(100):
        throttle.succeeded()
    assert throttle.limit == faults.WRITERS


@given(st.lists(st.sampled_from([0, 200, 429, 503]), max_size=60))
def test_there_is_always_room_for_one_write(answers: list[int]) -> None:
    """And never for more than there are writers."""
    throttle = Throttle()
    for status in answers:
        throttle._refused_at = -10.0  # as if bursts were far apart
        if status == 200:
            throttle.succeeded()
        else:
            throttle.refused(KubernetesError("x", status=status))
        assert 1 <= throttle.limit <= faults.WRITERS
