"""What is not written yet: each object under the one of its needs that it waits for.

Many wait for nothing but that another is written, and are told when it is. All others wait for the same few
gates, so what is asked again and again is whether those are met, and not each object.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from tideflow.engine.graph import Written

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from tideflow.engine.graph import Need
    from tideflow.engine.manifests import Key


class Pending:
    """The objects to write, in the order in which those are written that can be."""

    def __init__(self, keys: Iterable[Key], needs: Mapping[Key, Collection[Need]]) -> None:
        self._needs = needs
        self._numbers = itertools.count()
        self._order: dict[Key, int] = {}
        self._free: list[tuple[int, Key]] = []
        self._held: dict[Need, list[Key]] = defaultdict(list)
        self._gates: set[Need] = set()
        self._paused: list[tuple[float, int, Key]] = []
        for key in keys:
            self.add(key)

    def __iter__(self) -> Iterator[Key]:
        """Iterate over all that is left."""
        return iter(list(self._order))

    def __contains__(self, key: object) -> bool:
        """Tell whether the object is still to be written."""
        return key in self._order

    def __len__(self) -> int:
        """Return how many are left."""
        return len(self._order)

    def add(self, key: Key) -> None:
        """Have one more object written, after those that are there."""
        self._order[key] = next(self._numbers)
        heapq.heappush(self._free, (self._order[key], key))

    def discard(self, key: Key) -> None:
        """Forget an object: it is written, or never will be."""
        self._order.pop(key, None)

    def pause(self, key: Key, seconds: float) -> None:
        """Hold an object back that could not be written just now."""
        heapq.heappush(self._paused, (time.monotonic() + seconds, self._order[key], key))

    def written(self, key: Key) -> None:
        """Have those go on that waited until the object was written."""
        self._go_on(Written(key))

    def gates(self) -> list[Need]:
        """Return the needs that objects wait for, but for those that ``written`` tells of."""
        return list(self._gates)

    def waiting_for(self, need: Need) -> list[Key]:
        """Return the objects that wait for a need."""
        return [key for key in self._held.get(need, ()) if key in self._order]

    def next(self, met: Callable[[Need], bool]) -> Iterator[Key]:
        """Yield the objects whose needs are all met now, first those that come first.

        Whoever takes one writes it, and discards or pauses it.
        """
        now = time.monotonic()
        while self._paused and self._paused[0][0] <= now:
            _, number, key = heapq.heappop(self._paused)
            heapq.heappush(self._free, (number, key))
        for need in [need for need in self._gates if met(need)]:
            self._gates.discard(need)
            self._go_on(need)
        while self._free:
            _, key = heapq.heappop(self._free)
            if key not in self._order:
                continue
            unmet = next((need for need in self._needs.get(key, ()) if not met(need)), None)
            if unmet is None:
                yield key
            else:
                self._held[unmet].append(key)
                if not isinstance(unmet, Written):
                    self._gates.add(unmet)

    def _go_on(self, need: Need) -> None:
        for key in self._held.pop(need, ()):
            if key in self._order:
                heapq.heappush(self._free, (self._order[key], key))
