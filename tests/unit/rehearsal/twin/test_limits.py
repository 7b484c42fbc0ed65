"""Requests are counted as DigitalOcean counts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tideflow.rehearsal.twin.limits import Limits

if TYPE_CHECKING:
    from tideflow.rehearsal.twin.limits import Standing


class Clock:
    """A time that is set."""

    now = 1_000_000.0

    def __call__(self) -> float:
        """Return it."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


def standings(limits: Limits, times: int, **allowed: int) -> list[Standing]:
    """Return where one stands after each of some requests."""
    return [limits.count(**{"per_hour": 100, "per_minute": 100} | allowed) for _ in range(times)]


def test_an_hour_has_so_many_requests(clock: Clock) -> None:
    """What remains goes down to nothing; the header says when the oldest is forgotten, and it is then."""
    limits = Limits(clock=clock)
    found = standings(limits, 4, per_hour=3)
    assert [standing.admitted for standing in found] == [True, True, True, False]
    assert [standing.remaining for standing in found] == [2, 1, 0, 0]
    assert {standing.reset for standing in found} == {int(clock.now) + 3600}
    assert found[-1].retry_after is None
    clock.now = found[-1].reset - 1
    assert not standings(limits, 1, per_hour=3)[0].admitted
    clock.now += 1
    assert standings(limits, 1, per_hour=3)[0].admitted


def test_a_burst_is_told_when_to_come_back(clock: Clock) -> None:
    """After a minute at most, and not before; refused requests do not count."""
    limits = Limits(clock=clock)
    standings(limits, 1, per_minute=2)
    clock.now += 20
    found = standings(limits, 3, per_minute=2)
    assert [standing.admitted for standing in found] == [True, False, False]
    assert [standing.retry_after for standing in found] == [None, 40, 40]
    assert found[-1].remaining == 98
    clock.now += 39
    assert not standings(limits, 1, per_minute=2)[0].admitted
    clock.now += 1
    assert standings(limits, 1, per_minute=2)[0].admitted


def test_time_is_as_fast_as_the_twin(clock: Clock) -> None:
    """An hour takes a minute at sixty times the speed, and a wait is a second at least."""
    limits = Limits(60, clock=clock)
    found = standings(limits, 2, per_minute=1)
    assert found[-1].retry_after == 1
    assert found[-1].reset == int(clock.now) + 60
    clock.now += 1.01
    assert standings(limits, 1, per_minute=1)[0].admitted


def test_the_api_refuses_what_is_too_much(api: Any) -> None:
    """With the headers of DigitalOcean's API; the rehearsal's own paths are let through."""
    assert api.put("/rehearsal/faults", json={"requests_per_minute": 2}).status_code == 200
    answers = [api.get("/v2/account") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["4999", "4998", "4998"]
    assert answers[-1].json["id"] == "too_many_requests"
    assert answers[-1].headers["retry-after"] == "1"
    assert api.put("/rehearsal/faults", json={"requests_per_hour": 2}).status_code == 200
    refused = api.get("/v2/account")
    assert (refused.status_code, refused.headers["ratelimit-remaining"]) == (429, "0")
    assert "retry-after" not in refused.headers
