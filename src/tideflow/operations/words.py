"""Values as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def said(value: object) -> str:
    """Return the value of a setting."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        between = " to " if all(isinstance(part, int) for part in value) else ", "
        return between.join(map(str, value)) or "none"
    return str(value) or "none"


def counted(number: int, noun: str) -> str:
    """Return so many of something, such as ``1 node`` or ``3 nodes``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def some(words: Sequence[str], most: int = 8) -> str:
    """Return a list that people still want to read; how many more there are is said."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
