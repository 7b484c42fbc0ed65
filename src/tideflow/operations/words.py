"""Values as people read them."""

from __future__ import annotations


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
