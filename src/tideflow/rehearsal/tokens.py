"""The token of a twin, kept in its folder for nobody else to read."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from tideflow.files import write_private

if TYPE_CHECKING:
    from pathlib import Path

_BYTES = 32
_FORM = re.compile(rf"dop_v1_[0-9a-f]{{{2 * _BYTES}}}")


def kept(folder: Path) -> str | None:
    """Return the token that is kept in ``folder``; None if there is none, or what is there cannot be one."""
    try:
        token = file(folder).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return token if _FORM.fullmatch(token) else None


def kept_or_new(folder: Path) -> str:
    """Return the token that is kept in ``folder``; make one first if there is none, or none that can be."""
    if (token := kept(folder)) is None:
        token = f"dop_v1_{secrets.token_hex(_BYTES)}"
        write_private(file(folder), f"{token}\n")
    return token


def file(folder: Path) -> Path:
    """Return where it is kept, with mode 0600."""
    return folder / "token"
