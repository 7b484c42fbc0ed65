"""Ctrl-C: what is under way is finished and recorded, and then the run ends; a second one ends it at once."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, ClassVar, Self

import click

if TYPE_CHECKING:
    from types import FrameType, TracebackType

_STATUS = 128 + signal.SIGINT  # what shells report for a program that SIGINT ended


class Interrupt:
    """Within its context, the first Ctrl-C only asks whoever looks at ``reason`` to stop."""

    _current: ClassVar[set[Interrupt]] = set()  # one for each platform whose set is being applied

    def __init__(self) -> None:
        self.asked = False

    def reason(self) -> str:
        """Return why to stop, nothing while nobody has asked."""
        return "stopped by Ctrl-C" if self.asked else ""

    def __enter__(self) -> Self:
        """Have Ctrl-C mean this."""
        self._current.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Have it mean what it did."""
        self._current.discard(self)

    @classmethod
    def install(cls) -> None:
        """Take Ctrl-C over from pyinfra, which would end at once, say no more, and report success."""
        signal.signal(signal.SIGINT, cls._handle)

    @classmethod
    def _handle(cls, number: int, frame: FrameType | None) -> None:  # noqa: ARG003 - signal's form
        asked = [found for found in cls._current if not found.asked]
        for found in asked:
            found.asked = True
        if asked:
            click.echo("\nstopping: what is being written is waited for; Ctrl-C again ends at once", err=True)
            return
        click.echo("\nended by Ctrl-C: what is done stays, and the same command goes on from there", err=True)
        # An exception would end only the greenlet that happens to run; the others would be waited for.
        os._exit(_STATUS)
