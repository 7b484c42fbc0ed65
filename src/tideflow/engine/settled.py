"""Fields that are settled once an object is there, and that a write wanted to change.

Which they are is read off the API server's refusal. Of some kinds it only says that ``spec`` has changed in
other fields than those it lists; then what is desired is compared with what is live.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tideflow.errors import Cause, KubernetesError

# What the API server's validations say of a field that is settled when an object is created.
_IMMUTABLE = re.compile(
    r"immutable|may not (?:be )?change|cannot (?:be )?change|updates to .*(?:forbidden|fields other than)"
)
_WHOLE = "spec"
_WORD = re.compile(r"\w+")


def causes(error: KubernetesError) -> list[Cause]:
    """Return what a refusal says of settled fields; nothing if that is not its reason."""
    if error.status != 422:  # noqa: PLR2004 - Invalid
        return []
    return [cause for cause in error.causes if _IMMUTABLE.search(cause.message)]


def fields(
    found: list[Cause], desired: Mapping[str, Any], live: Callable[[], Mapping[str, Any]]
) -> list[str]:
    """Return the paths of the settled fields that ``desired`` would change; ``live`` is asked if need be."""
    named: dict[str, None] = {}
    for cause in found:
        within = _changed(cause, desired, live()) if cause.field == _WHOLE else ()
        named.update(dict.fromkeys(within or filter(None, [cause.field])))
    return list(named)


def _changed(cause: Cause, desired: Mapping[str, Any], live: Mapping[str, Any]) -> list[str]:
    # Below its first line stand both values, as Go prints them.
    free = set(_WORD.findall(cause.message.partition("\n")[0]))
    return [
        f"{_WHOLE}.{name}"
        for name in _other(desired.get(_WHOLE) or {}, live.get(_WHOLE) or {})
        if name not in free
    ]


def _other(desired: Mapping[str, Any], live: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields that live has not as they are desired; it may have more, such as defaults."""
    for name, value in desired.items():
        if not _is_within(value, live.get(name)):
            yield name


def _is_within(desired: Any, live: Any) -> bool:
    if isinstance(desired, dict) and isinstance(live, dict):
        return not any(_other(desired, live))
    if isinstance(desired, list) and isinstance(live, list):
        return len(desired) == len(live) and all(map(_is_within, desired, live))
    return bool(desired == live)
