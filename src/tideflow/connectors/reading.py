"""Reading one setting: its value as the code wants it, or an error that names the setting and what it was."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from tideflow.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

MOST_NODES = 512
"""How many nodes a cluster of DigitalOcean's may have."""

_TAG = re.compile(r"[A-Za-z0-9_:-]{1,255}", re.ASCII)
_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)  # a name of a namespace as well
_OFFER = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)  # such as so1_5-2vcpu-16gb
_WHERE = "see group_data/all.py"


class Data(Protocol):
    """What is needed of pyinfra's ``host.data``."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a setting."""
        ...


def text(data: Data, name: str) -> str:
    """Return a text that is not empty."""
    value = data.get(name)
    # --data kubernetes_version=1.34 arrives as a number.
    if isinstance(value, float):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise SettingError(f"the setting {name} is {value!r}, not a text", hint=_WHERE)
    return value.strip()


def number(data: Data, name: str, *, least: float, most: float) -> float:
    """Return a number between two others, or one of them."""
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise SettingError(
            f"the setting {name} is {value!r}, not a number from {least:g} to {most:g}", hint=_WHERE
        )
    return value


def whole(data: Data, name: str, *, least: int, most: int) -> int:
    """Return a whole number between two others, or one of them."""
    value = number(data, name, least=least, most=most)
    if value != int(value):
        raise SettingError(f"the setting {name} is {value!r}, not a whole number", hint=_WHERE)
    return int(value)


def flag(data: Data, name: str) -> bool:
    """Return true or false."""
    value = data.get(name)
    if not isinstance(value, bool):
        raise SettingError(f"the setting {name} is {value!r}, neither true nor false", hint=_WHERE)
    return value


def if_set(data: Data, name: str, read: Callable[[Data, str], T]) -> T | None:
    """Return what ``read`` reads, or None where the setting is not set."""
    return None if data.get(name) is None else read(data, name)


def formed(data: Data, name: str, form: re.Pattern[str], meant: str) -> str | None:
    """Return a text in lower case that has to have a form, or None where it is not set."""
    value = if_set(data, name, text)
    if value is not None and not form.fullmatch(value.lower()):
        raise SettingError(f"the setting {name} is {value!r}, not {meant}", hint=_WHERE)
    return value and value.lower()


def tags(data: Data, name: str) -> tuple[str, ...]:
    """Return DigitalOcean's tags, each once."""
    value = data.get(name)
    if not isinstance(value, list | tuple) or not all(
        isinstance(tag, str) and _TAG.fullmatch(tag) for tag in value
    ):
        raise SettingError(
            f"the setting {name} is {value!r}, not a list of tags of letters, digits, '_', ':' and '-'",
            hint=_WHERE,
        )
    return tuple(dict.fromkeys(value))


def slug(data: Data, name: str) -> str:
    """Return one of the slugs by which DigitalOcean knows regions and sizes."""
    value = text(data, name)
    if not _OFFER.fullmatch(value):
        raise SettingError(
            f"the setting {name} is {value!r}, not a slug such as 'nyc3' or 's-4vcpu-8gb'",
            hint=_WHERE,
        )
    return value


def slugs(data: Data, name: str) -> tuple[str, ...]:
    """Return DigitalOcean's slugs, each once."""
    value = data.get(name)
    if not isinstance(value, list | tuple) or not all(
        isinstance(slug, str) and _SLUG.fullmatch(slug) for slug in value
    ):
        raise SettingError(
            f"the setting {name} is {value!r}, not a list of slugs such as 'metrics-server'", hint=_WHERE
        )
    return tuple(dict.fromkeys(value))


def between(data: Data, name: str, count: int) -> tuple[int, int] | Literal[False] | None:
    """Return between how many nodes a pool is scaled, False for not at all, None where it is not set."""
    value = data.get(name)
    if value is None or value is False:
        return value
    try:
        least, most = map(int, value)
    except (TypeError, ValueError):
        least, most = 1, 0
    if not 1 <= least <= most <= MOST_NODES or list(value) != [least, most]:
        raise SettingError(
            f"the setting {name} is {value!r}, neither false nor the least and the most "
            "nodes, such as [3, 6]",
            hint=_WHERE,
        )
    if not least <= count <= most:
        raise SettingError(
            f"the setting {name} is {value!r}, and the setting node_count, {count}, is not between them",
            hint="a pool begins with node_count nodes: change one of the two",
        )
    return least, most


def choice(data: Data, name: str, choices: Sequence[T]) -> T:
    """Return one of the choices."""
    value = data.get(name)
    for choice in choices:
        if value == choice:
            return choice
    listed = ", ".join(map(str, choices))
    raise SettingError(f"the setting {name} is {value!r}, none of: {listed}", hint=_WHERE)


def seconds(data: Data, name: str) -> tuple[float, float]:
    """Return the least and the most seconds."""
    value = data.get(name)
    try:
        fastest, slowest = (float(second) for second in value)
    except (TypeError, ValueError):
        fastest, slowest = 1.0, 0.0
    if not 0 <= fastest <= slowest:
        raise SettingError(
            f"the setting {name} is {value!r}, not two numbers of seconds such as [1, 4]", hint=_WHERE
        )
    return fastest, slowest
