"""Which refused writes are tried again, after how long, and how many are under way at once."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, TypeVar

from tideflow.clients.refusals import MISFIT
from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MOST_TRIES = 8
"""Tries of what may pass, and may as well be a defect of the server or of a webhook."""

WRITERS = 8
"""Writes at once, at most; more do not make a control plane of this size faster."""

NOT_SERVED = "NotServed"
"""The reason in the error of a write that was not sent, since discovery does not have the type."""

_AWAY = frozenset({0, 429, 503, 504})  # no answer, or the server's own word that it has too much to do
_WEBHOOK = "failed calling webhook"
_RACED = "the object has been modified"
_TERMINATING = "NamespaceTerminating"
_FEW_TRIES = 3  # of what lasts a moment at most
_FIRST_PAUSE = 0.5  # seconds
_LONGEST_PAUSE = 10.0
_LONGEST_ORDER = 60.0  # seconds of Retry-After that are obeyed
_BURST = 1.0  # seconds in which refusals count as one


def is_passing(error: KubernetesError, tries: int) -> bool:
    """Tell whether the same write may succeed later, after ``tries`` of it.

    A server that is away or busy, a webhook without pods and a namespace that is going are waited for as long
    as the step may take. Other faults of the server's own, and races lost, may be here to stay: those are
    tried some times. Whatever else it answers, it will answer again.
    """
    if error.reason == MISFIT:
        return tries < _FEW_TRIES  # a definition that was changed just now may not be what answers yet
    if error.reason == NOT_SERVED:
        return tries < MOST_TRIES
    if error.status in _AWAY or (error.status >= 500 and _WEBHOOK in error.message):  # noqa: PLR2004 - HTTP
        return True
    if error.reason == "BeingDeleted" or is_terminating(error):
        return True
    # Whoever gives no version still loses races: with other writers of the object, or of a quota of its own.
    raced = error.reason == "Conflict" and _RACED in error.message
    no_match = error.status == 404 and error.reason != "NotFound"  # noqa: PLR2004 - the type is not served
    return (error.status >= 500 or no_match or raced) and tries < MOST_TRIES  # noqa: PLR2004 - HTTP


def is_terminating(error: KubernetesError) -> bool:
    """Tell whether a write was refused since its namespace is being deleted."""
    return any(cause.reason == _TERMINATING for cause in error.causes)


def pause(error: KubernetesError, tries: int) -> float:
    """Return the seconds to wait before the next try: longer each time, as long as the server asks for.

    Spread, so that what failed together is not tried together.
    """
    if error.retry_after is not None:
        return min(error.retry_after, _LONGEST_ORDER) + random.uniform(0, _FIRST_PAUSE)  # noqa: S311 - no secret
    longest: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (tries - 1))
    return longest * random.uniform(0.5, 1.5)  # noqa: S311 - no secret


def insisted(write: Callable[[], T]) -> T:
    """Return what a single write returns, tried again for a while where that helps."""
    tries = 0
    while True:
        try:
            return write()
        except KubernetesError as error:
            tries += 1
            if tries >= MOST_TRIES or not is_passing(error, tries):
                raise
            time.sleep(pause(error, tries))


class Throttle:
    """How many writes may be under way: half as many when the server is overloaded, and slowly more again."""

    def __init__(self) -> None:
        self._limit = float(WRITERS)
        self._refused_at = 0.0

    @property
    def limit(self) -> int:
        """Writes at once, from 1 to ``WRITERS``."""
        return int(self._limit)

    def succeeded(self) -> None:
        """Note a write that was answered: about one more may be under way after each round of them."""
        self._limit = min(float(WRITERS), self._limit + 1 / self._limit)

    def refused(self, error: KubernetesError) -> None:
        """Note a write that failed; those that were under way together count once."""
        now = time.monotonic()
        if error.status in _AWAY and now - self._refused_at >= _BURST:
            self._refused_at = now
            self._limit = max(1.0, self._limit / 2)
