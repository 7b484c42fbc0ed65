"""The arguments of ``kubernetes.apply``, checked when it is called: before anything of the run is written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from tideflow.engine.lease import Busy
from tideflow.engine.prune import Prune
from tideflow.engine.writing import REPLACEABLE, Conflicts
from tideflow.errors import SettingError

_SET_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?")  # part of names, and of a label's value
_CHOICES = {"conflicts": get_args(Conflicts), "prune": get_args(Prune), "busy": get_args(Busy)}


def check(
    *, set_name: object, source: object, timeout: object, wait: object, replace: Any, **chosen: object
) -> None:
    """Raise ``SettingError`` for what ``apply`` cannot work with; ``chosen`` are those with a few choices.

    What a source holds is never quoted: it may be a Secret.
    """
    if not isinstance(set_name, str) or not _SET_NAME.fullmatch(set_name):
        raise SettingError(
            f"the set_name {set_name!r} cannot be part of a Kubernetes name",
            hint="use lower-case letters, digits and '-', 50 at most",
        )
    where = f"of the set {set_name},"
    if source is not None and not isinstance(source, Path) and not _is_list_of(Mapping, source):
        raise SettingError(
            f"{where} source is a {_shape(source)}",
            hint='it is a Path, as in source=Path("folder"), or a list of objects',
        )
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise SettingError(f"{where} timeout is {timeout!r}", hint="it is a number of seconds, more than 0")
    if not isinstance(wait, bool):
        raise SettingError(f"{where} wait is {wait!r}", hint="it is True or False")
    if not _is_list_of(str, replace):
        raise SettingError(f"{where} replace is {replace!r}", hint='it is a list of kinds, such as ["Job"]')
    for kind in replace:
        if kind not in REPLACEABLE:
            raise SettingError(
                f"{where} replace has {kind!r}, which is never deleted to be changed",
                hint="it may have: " + ", ".join(REPLACEABLE),
            )
    for name, value in chosen.items():
        if value not in _CHOICES[name]:
            raise SettingError(
                f"{where} {name} is {value!r}", hint="it is one of: " + ", ".join(_CHOICES[name])
            )


def _is_list_of(wanted: type, value: object) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and all(isinstance(item, wanted) for item in value)
    )


def _shape(value: object) -> str:
    name = type(value).__name__
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"{name} of {', '.join(sorted({type(item).__name__ for item in value}))}"
    return name
