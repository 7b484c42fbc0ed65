"""How two states of one object differ, field by field, as a person would name the fields.

What the server keeps for itself is left aside, and so is our own annotation. No value of a Secret gets into a
change: what is found there tells that a value was added, changed or removed, and nothing of the value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tideflow.engine.ownership import APPLIED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Mark(Enum):
    """What stands in a change where there is no value, or one that nobody may see."""

    ABSENT = "there is nothing"
    HIDDEN = "hidden"
    HIDDEN_NOW = "hidden, and another one than before"


ABSENT: Final = Mark.ABSENT


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a list: where it is, and what it is known by, which may be nothing but that.

    ``index`` is its place in the list before if it is removed, and in the list after otherwise.
    """

    index: int
    known_by: str = ""

    def __str__(self) -> str:
        """Return it as it stands in a path, such as ``[main]`` or ``[0]``."""
        return f"[{self.known_by or self.index}]"


Path: TypeAlias = "tuple[str | Item, ...]"


@dataclass(frozen=True, slots=True)
class Change:
    """One field's value before and after; ``Mark.ABSENT`` where there is none."""

    path: Path
    before: Any
    after: Any

    @property
    def field(self) -> str:
        """The path as text, such as ``spec.template.spec.containers[main].image``."""
        text = ""
        for step in self.path:
            if isinstance(step, Item):
                text += str(step)
            elif _PLAIN.fullmatch(step):
                text += f".{step}" if text else step
            else:
                text += f"[{step}]"
        return text

    @property
    def hidden(self) -> bool:
        """Whether the values are a Secret's."""
        return isinstance(self.after if self.before is ABSENT else self.before, Mark)


_PLAIN = re.compile(r"[A-Za-z0-9_-]+")

_SERVERS = frozenset(
    {"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"}
)
"""Metadata that the server keeps for itself."""

_NAMED_ABOVE = frozenset({"name", "namespace"})

_KEYS: tuple[tuple[str, ...], ...] = (
    ("name",),
    ("kind", "name"),
    ("mountPath",),
    ("containerPort",),
    ("containerPort", "protocol"),
    ("port",),
    ("port", "protocol"),
    ("key",),
    ("type",),
    ("ip",),
    ("topologyKey",),
)
"""Fields by which people know the items of a list, the best first; the first that fits all items is taken."""

_NO_SECRET = frozenset({"apiVersion", "immutable", "kind", "metadata", "type"})
"""What a Secret has besides its data; whatever else a manifest may hold, by mistake, is hidden."""


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return the changes that make ``after`` of ``before``, two states of one object as the server has it."""
    return tuple(_compared(*_masked(_shown(before), _shown(after)), ()))


def additions(body: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return each single field of an object that is not there yet, those that say least at the end."""
    _, shown = _masked({"kind": body.get("kind")}, _shown(body))
    metadata = {
        name: value for name, value in shown.pop("metadata", {}).items() if value and name not in _NAMED_ABOVE
    }
    fields = {name: value for name, value in shown.items() if name not in {"apiVersion", "kind"}}
    return (*_leaves(fields, ()), *(_leaves(metadata, ("metadata",)) if metadata else ()))


def _shown(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object without what the server, its controllers and our proof keep in it."""
    shown = {name: value for name, value in body.items() if name != "status"}
    metadata = {name: value for name, value in (body.get("metadata") or {}).items() if name not in _SERVERS}
    # None and an empty map are the same, and the first of them is then one key that comes.
    annotations, labels = (metadata.get(name) or {} for name in ("annotations", "labels"))
    metadata["annotations"] = {name: text for name, text in annotations.items() if name != APPLIED}
    return {**shown, "metadata": {**metadata, "labels": labels}}


def _masked(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return both, with marks for a Secret's values that tell only whether they are the same."""
    if "Secret" not in {before.get("kind"), after.get("kind")}:
        return before, after
    for holder in {**before, **after}.keys() - _NO_SECRET:
        before, after = _hidden(before, after, holder)
    # Annotations too: kubectl keeps all that it applied in one.
    old, new = _hidden(before.get("metadata", {}), after.get("metadata", {}), "annotations")
    return {**before, "metadata": old}, {**after, "metadata": new}


def _hidden(
    before: dict[str, Any], after: dict[str, Any], holder: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return both with the values in the field ``holder`` hidden, key by key."""
    old, new = before.get(holder), after.get(holder)
    if not old and not new:
        return before, after
    if not isinstance(old or {}, dict) or not isinstance(new or {}, dict):
        # Nothing that a server would keep, but maybe what a manifest holds by mistake.
        old, new = ({"": found} if found else {} for found in (old, new))
    old, new = old or {}, new or {}
    marks = {
        name: Mark.HIDDEN if name not in old or _same(old[name], value) else Mark.HIDDEN_NOW
        for name, value in new.items()
    }
    return {**before, holder: dict.fromkeys(old, Mark.HIDDEN)}, {**after, holder: marks}


def _compared(before: Any, after: Any, path: Path) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in (*before, *(name for name in after if name not in before)):
            yield from _compared(before.get(name, ABSENT), after.get(name, ABSENT), (*path, name))
    elif isinstance(before, list) and isinstance(after, list):
        fields = _known_by(before, after)
        if fields:
            yield from _by_key(before, after, fields, path)
        else:
            yield from _by_index(before, after, path)
    elif not _same(before, after):
        yield Change(path, before, after)


def _same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same JSON: true is not 1, although Python says so."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _known_by(*lists: Sequence[Any]) -> tuple[str, ...] | None:
    """Return the fields by which all items of the lists can be told from each other."""
    if not all(isinstance(item, dict) for items in lists for item in items):
        return None
    for fields in _KEYS:
        # As text, 1 and "1" would be the same.
        if all(_tells_apart(items, fields) for items in lists) and all(
            len({type(item[field]) for items in lists for item in items}) <= 1 for field in fields
        ):
            return fields
    return None


def _tells_apart(items: Sequence[dict[str, Any]], fields: tuple[str, ...]) -> bool:
    # A key is text or a number; True would be taken for 1.
    if not all(type(item.get(field)) in {str, int} for item in items for field in fields):
        return False
    return len({_key(item, fields) for item in items}) == len(items)


def _key(item: Mapping[str, Any], fields: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(item[field] for field in fields)


def _label(key: tuple[Any, ...], fields: tuple[str, ...]) -> str:
    """Return what an item is called in a path: its name alone, or field and value where that says more."""
    if fields == ("name",) and isinstance(key[0], str) and key[0] and not key[0].isdigit():
        return key[0]
    return ",".join(f"{field}={value}" for field, value in zip(fields, key, strict=True))


def _by_key(
    before: list[dict[str, Any]], after: list[dict[str, Any]], fields: tuple[str, ...], path: Path
) -> Iterator[Change]:
    old = {_key(item, fields): (index, item) for index, item in enumerate(before)}
    new = {_key(item, fields): (index, item) for index, item in enumerate(after)}
    if [key for key in old if key in new] != [key for key in new if key in old]:
        # Items that only changed places would be told as many changes of fields.
        yield Change(path, before, after)
        return
    for key in (*old, *(key for key in new if key not in old)):
        index, _ = new.get(key) or old[key]
        step = Item(index, _label(key, fields))
        _, was = old.get(key, (0, ABSENT))
        _, becomes = new.get(key, (0, ABSENT))
        yield from _compared(was, becomes, (*path, step))


def _by_index(before: list[Any], after: list[Any], path: Path) -> Iterator[Change]:
    """Compare item by item between what both begin and what both end with."""
    shorter = min(len(before), len(after))
    start = end = 0
    while start < shorter and _same(before[start], after[start]):
        start += 1
    while end < shorter - start and _same(before[-1 - end], after[-1 - end]):
        end += 1
    both = shorter - end
    for index in range(start, both):
        yield from _compared(before[index], after[index], (*path, Item(index)))
    for index in range(both, len(before) - end):
        yield Change((*path, Item(index)), before[index], ABSENT)
    for index in range(both, len(after) - end):
        yield Change((*path, Item(index)), ABSENT, after[index])


def _leaves(value: Any, path: Path) -> Iterator[Change]:
    """Yield each single field of something new."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    elif isinstance(value, list) and value:
        fields = _known_by(value)
        for index, item in enumerate(value):
            label = _label(_key(item, fields), fields) if fields else ""
            yield from _leaves(item, (*path, Item(index, label)))
    elif path:
        yield Change(path, ABSENT, value)
