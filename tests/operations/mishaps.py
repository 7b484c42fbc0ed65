"""What goes wrong with single requests of a run: the third read, say, or the first that changes something."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from typing_extensions import override

from tideflow.rehearsal.twin.faults import Rule, Switchboard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Kind = Literal["burst", "500", "500 for long", "lost", "504", "422", "killed before", "killed after"]

KINDS: tuple[Kind, ...] = (
    "killed after",
    "killed before",
    "lost",
    "504",
    "500",
    "500 for long",
    "422",
    "burst",
)
_FOR_LONG = 30  # requests; more than anybody has patience for


@dataclass(frozen=True)
class Mishap:
    """What happens to a request: the ``number``-th (from 0) that ``writes``, or that does not."""

    kind: Kind
    number: int
    writes: bool = True

    def __str__(self) -> str:
        """Say it in words."""
        return f"{self.kind} at {'write' if self.writes else 'read'} {self.number}"


class Schedule(Switchboard):
    """The twin's faults, with mishaps of one run; ``kill`` ends that run. ``happened`` are those that did."""

    def __init__(self) -> None:
        super().__init__()
        self._guard = threading.Lock()
        self.happened: list[Mishap] = []
        self.begin((), lambda: None)

    def begin(self, mishaps: Sequence[Mishap], kill: Callable[[], None]) -> None:
        """Count the requests of another run."""
        with self._guard:
            self._mishaps, self._kill = mishaps, kill
            self._counts = {False: 0, True: 0}
            self._failing: list[Rule] = []

    @override
    def rule_for(self, method: str, path: str) -> Rule | None:
        with self._guard:
            writes = method != "GET"
            number = self._counts[writes]
            self._counts[writes] += 1
            if self._failing:
                return self._failing.pop()
            for mishap in self._mishaps:
                if (mishap.writes, mishap.number) == (writes, number):
                    self.happened.append(mishap)
                    return self._of(mishap.kind)
        return super().rule_for(method, path)

    def _of(self, kind: Kind) -> Rule:
        """Return what happens now; the same goes on happening to the next requests for some kinds."""
        refused = Rule(path="*", status=500)
        match kind:
            case "burst":
                refused = Rule(path="*", status=429, retry_after=7)
                self._failing = [refused] * 2
            case "500":
                self._failing = [refused]
            case "500 for long":
                self._failing = [refused] * _FOR_LONG
            case "lost":
                return Rule(path="*", cut=True, carried_out=True)
            case "504":
                return Rule(path="*", status=504, carried_out=True)
            case "422":
                return Rule(path="*", status=422)
            case "killed before":
                self._kill()
            case "killed after":
                self._kill()
                return Rule(path="*", cut=True, carried_out=True)
        return refused
