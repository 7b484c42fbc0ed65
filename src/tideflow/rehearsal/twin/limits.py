"""How many requests may be made: some in an hour, and some in a burst of a minute."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_HOUR, _MINUTE = 3600.0, 60.0


@dataclass(frozen=True)
class Standing:
    """Where one stands after a request: what the headers of the answer say.

    ``reset`` is when the oldest request that counts is forgotten, in seconds since 1970. ``retry_after``
    is in seconds, and only told when a burst was too long.
    """

    admitted: bool
    limit: int
    remaining: int
    reset: int
    retry_after: int | None = None


class Limits:
    """Counts requests; hours and minutes are shorter by the ``speed`` of the twin.

    Refused requests do not count.
    """

    def __init__(self, speed: float = 1.0, *, clock: Callable[[], float] = time.time) -> None:
        self._hour, self._minute = _HOUR / speed, _MINUTE / speed
        self._clock = clock
        self._made: deque[float] = deque()
        self._lock = threading.Lock()

    def count(self, *, per_hour: int, per_minute: int) -> Standing:
        """Count a request that is made now, if it is within both limits."""
        with self._lock:
            now = self._clock()
            while self._made and self._made[0] <= now - self._hour:
                self._made.popleft()
            made, retry_after = len(self._made), None
            if made >= per_minute and self._made[-per_minute] > now - self._minute:
                retry_after = max(1, math.ceil(self._made[-per_minute] + self._minute - now))
            admitted = made < per_hour and retry_after is None
            if admitted:
                self._made.append(now)
            oldest = self._made[0] if self._made else now
            return Standing(
                admitted=admitted,
                limit=per_hour,
                remaining=max(0, per_hour - len(self._made)),
                reset=math.ceil(oldest + self._hour),
                retry_after=retry_after,
            )
