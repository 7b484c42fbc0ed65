"""What is live, as stand-ins see it: each type is followed once, whoever notices it first."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from tideflow.rehearsal.standins.world import Pass, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tideflow.clients.kubernetes import Kubernetes

GADGETS = ("example.org", "Gadget")


class Slow:
    """A cluster that has the type already, and in which two who look for it at once meet."""

    def __init__(self) -> None:
        self.met = threading.Barrier(2)
        self.ended = threading.Event()
        self.lists = 0

    def resources(self, *, refresh: bool = False) -> Slow:  # noqa: ARG002 - the client's form
        """Return what is served."""
        return self

    def of_kind(self, _: str, kind: str) -> Slow | None:
        """Return the type, once both have asked, or one has in vain waited for the other."""
        if kind != GADGETS[1]:
            return None
        with suppress(threading.BrokenBarrierError):
            self.met.wait(0.5)
        return self

    def collection(self) -> str:
        """Return the path of the type."""
        return "/gadgets"

    def pages(self, _: str) -> Iterator[dict[str, Any]]:
        """Yield what there is of the type: nothing."""
        self.lists += 1
        yield {"metadata": {"resourceVersion": "1"}, "items": []}

    def watch(self, _: str, *, resource_version: str) -> Iterator[dict[str, Any]]:
        """Yield nothing until all has been looked at."""
        assert resource_version == "1"
        self.ended.wait()
        yield from ()


def test_a_type_that_two_notice_at_once_is_followed_once() -> None:
    """Else whoever waits until it was listed may wait for a list that nobody tells of."""
    cluster = Slow()
    world = World(cast("Kubernetes", cluster))
    ready = threading.Event()
    passes = [Pass("gadgets", (GADGETS,), lambda _: None)]
    running = threading.Thread(target=world.run, args=(passes,), kwargs={"ready": ready.set}, daemon=True)
    running.start()
    other = threading.Thread(target=world._follow_served, args=({GADGETS},), daemon=True)
    other.start()
    try:
        assert ready.wait(5)
        other.join(5)
        assert cluster.lists == 1
    finally:
        world.stop()
        cluster.ended.set()
        running.join(5)
