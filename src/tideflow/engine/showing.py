"""Changes of fields as lines of text: values in full while they are short, else what differs in them.

What a cluster holds may have been written by anybody, so nothing that a terminal would obey gets through.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tideflow.engine.diff import ABSENT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from tideflow.engine.diff import Change

_NOT_SHOWN = "(not shown)"
_BRIEF = 72  # characters of a value among others on one line; the name of an image has about as many
_WIDE = 100  # characters of a value on a line of its own
_AROUND = 12  # characters before the place from which on two long values differ
_MOST_LINES = 12  # lines for one value
_MOST_ADDED = 8  # fields of an object that is not there yet
_MOST_BRIEF = 5  # fields on one line


@dataclass(frozen=True, slots=True)
class Line:
    """One line to show; ``sign`` is ``+`` for what comes, ``-`` for what goes, and empty for all else."""

    text: str
    sign: str = ""


def printable(text: str) -> str:
    """Return the text with escapes in place of what is not for the eye."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def brief(changes: Sequence[Change]) -> str:
    """Return the changed fields on one line, with their values where these are short."""
    told = [_brief(change) for change in changes[:_MOST_BRIEF]]
    if len(changes) > _MOST_BRIEF:
        told.append(f"and {len(changes) - _MOST_BRIEF} more fields")
    return "; ".join(told)


def changed(changes: Collection[Change]) -> Iterator[Line]:
    """Yield each changed field, with what it was and what it becomes."""
    for change in changes:
        yield from _full(change)


def added(changes: Sequence[Change]) -> Iterator[Line]:
    """Yield the first fields of an object that is not there yet."""
    for change in changes[:_MOST_ADDED]:
        value = _NOT_SHOWN if change.hidden else _cut(_inline(change.after), _WIDE)
        yield Line(f"+ {printable(change.field)}: {value}", "+")
    if len(changes) > _MOST_ADDED:
        yield Line(f"  … and {len(changes) - _MOST_ADDED} more fields")


def _brief(change: Change) -> str:
    field = printable(change.field)
    sign = _sign(change)
    told = f"{sign} {field}" if sign else field
    if change.hidden:
        return f"{told} {_NOT_SHOWN}"
    if sign == "-":
        return told
    new = _inline(change.after)
    if sign == "+":
        return f"{told}: {new}" if len(new) <= _BRIEF else told
    old = _inline(change.before)
    return f"{told}: {old} → {new}" if max(len(old), len(new)) <= _BRIEF else f"{told} changes"


def _full(change: Change) -> Iterator[Line]:
    field = printable(change.field)
    sign = _sign(change)
    if change.hidden:
        yield Line(f"{sign or ' '} {field}: {'' if sign else 'another value '}{_NOT_SHOWN}", sign)
    elif sign:
        value = change.after if sign == "+" else change.before
        text = _inline(value)
        if not _is_long(value) and len(text) <= _WIDE:
            yield Line(f"{sign} {field}: {text}", sign)
        else:
            yield Line(f"{sign} {field}:", sign)
            yield from _cut_lines([Line(f"    {sign} {line}", sign) for line in _lines(value)])
    elif _is_long(change.before) or _is_long(change.after):
        yield Line(f"  {field}:")
        yield from _cut_lines(list(_line_diff(_lines(change.before), _lines(change.after))))
    else:
        old, new = _from_where_they_differ(_inline(change.before), _inline(change.after))
        yield Line(f"  {field}: {old} → {new}")


def _sign(change: Change) -> str:
    if change.before is ABSENT:
        return "+"
    return "-" if change.after is ABSENT else ""


def _inline(value: Any) -> str:
    """Return a value on one line: bare if it is text that cannot be taken for anything else, or as JSON."""
    if isinstance(value, str) and value == value.strip() and _is_plain(value):
        return value
    return printable(json.dumps(value, ensure_ascii=False))


def _is_plain(text: str) -> bool:
    if not text or not text.isprintable() or "→" in text or "; " in text or text[0] in "\"'(":
        return False
    try:
        json.loads(text)
    except ValueError:
        return True
    return False


def _is_long(value: Any) -> bool:
    """Tell whether a value is better shown line by line."""
    if isinstance(value, str):
        return "\n" in value.strip("\n")
    return isinstance(value, dict | list) and len(_inline(value)) > _WIDE


def _lines(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.splitlines()
    if not isinstance(value, dict | list):
        return [_inline(value)]
    dumped: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10**6)
    return dumped.splitlines()


def _line_diff(before: list[str], after: list[str]) -> Iterator[Line]:
    """Yield the lines that go and come, with one line around them that stays."""
    if before == after:
        yield Line("    the same lines, with other line ends")
    elif sorted(before) == sorted(after):
        yield Line("    the same lines in another order")
    for line in list(difflib.unified_diff(before, after, lineterm="", n=1))[2:]:
        if line.startswith("@@"):
            continue
        sign = line[0].strip()
        yield Line(f"    {line[0]} {line[1:]}", sign)


def _cut_lines(lines: Sequence[Line]) -> Iterator[Line]:
    for line in lines[:_MOST_LINES]:
        yield Line(_cut(printable(line.text), _WIDE + 6), line.sign)
    if len(lines) > _MOST_LINES:
        yield Line(f"    … and {len(lines) - _MOST_LINES} more lines")


def _from_where_they_differ(old: str, new: str) -> tuple[str, str]:
    """Return two texts, without most of what both begin with if they are long."""
    if max(len(old), len(new)) <= _WIDE:
        return old, new
    both = min(len(old), len(new))
    differ = next((index for index, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), both)
    start = max(0, differ - _AROUND)
    lead = "…" if start else ""
    return lead + _cut(old[start:], _WIDE // 2), lead + _cut(new[start:], _WIDE // 2)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"
