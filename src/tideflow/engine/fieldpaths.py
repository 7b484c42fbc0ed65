"""Field paths as the API server writes them in a conflict, such as ``.spec.containers[name="main"].image``.

Names are not quoted in them, though a name may have dots (``.data.app.conf``): which name is meant is found
in the object itself. The form is that of structured-merge-diff's ``fieldpath.Path.String``.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_DECODER = json.JSONDecoder()
_INDEX = re.compile(r"\[(\d+)\]")


def value(body: Any, path: str) -> Any:
    """Return what is at the path of an object, None if there is nothing."""
    found = body
    try:
        for step in steps(body, path):
            found = found[step]
    except (LookupError, ValueError):
        return None
    return found


def without(body: Any, path: str) -> Any:
    """Return a copy of the object without what is at the path; the object itself if there is nothing."""
    try:
        return _without(body, list(steps(body, path)))
    except (LookupError, ValueError):
        return body


def _without(body: Any, way: Sequence[Any]) -> Any:
    first, *rest = way
    if isinstance(body, list):
        return [
            _without(item, rest) if index == first else item
            for index, item in enumerate(body)
            if rest or index != first
        ]
    return {
        name: _without(item, rest) if name == first else item
        for name, item in body.items()
        if rest or name != first
    }


def steps(body: Any, path: str) -> Iterator[Any]:
    """Yield the keys and indexes that lead to the path in the object.

    Raises ``LookupError`` where the object has nothing of the kind, ``ValueError`` for what is no path.
    """
    while path:
        step: str | int
        if path[0] == "[":
            step, path = _in_list(body, path)
        else:
            name = _name(body, path[1:])
            step, path = name, path[1 + len(name) :]
        yield step
        body = body[step]


def _name(body: Any, rest: str) -> str:
    """Return the longest name of the object that the rest of a path can begin with."""
    names = [
        name
        for name in (body if isinstance(body, dict) else ())
        if rest == name or rest.startswith((f"{name}.", f"{name}["))
    ]
    if not names:
        raise LookupError(rest)
    return str(max(names, key=len))


def _in_list(body: Any, path: str) -> tuple[int, str]:
    """Return which item of the list the bracket at the beginning of a path means, and what follows it.

    ``[3]`` is an index, ``[="x"]`` the item that equals, ``[name="main"]`` the one with such keys.
    """
    index = _INDEX.match(path)
    if index:
        return int(index[1]), path[index.end() :]
    wanted: dict[str, Any] = {}
    at = 0
    while path[at] != "]":
        equals = path.index("=", at)
        name = path[at + 1 : equals]
        wanted[name], at = _DECODER.raw_decode(path, equals + 1)
    return _index(body, wanted), path[at + 1 :]


def _index(body: Any, wanted: Mapping[str, Any]) -> int:
    for index, item in enumerate(body if isinstance(body, list) else ()):
        if wanted.keys() == {""}:
            if item == wanted[""]:
                return index
        elif isinstance(item, dict) and all(item.get(name) == want for name, want in wanted.items()):
            return index
    raise LookupError(str(wanted))
