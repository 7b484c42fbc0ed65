"""The password people log in with: where it comes from, whether it will do, and its hash."""

from __future__ import annotations

import os
import secrets
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from tideflow.connectors.access import write_private
from tideflow.errors import SettingError

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "TIDEFLOW_PASSWORD"

_SHORTEST = 8  # characters
_LONGEST = 72  # bytes; bcrypt does not look at more
_COST = 12  # bcrypt's rounds, as a power of two; what Dex itself recommends is 10 or more
_KNOWN = frozenset(
    {"12341234", "password", "passw0rd", "kubeflow", "changeme"}
)  # 12341234: upstream's default


@dataclass(frozen=True)
class Password:
    """A password that will do; it does not show in ``repr``."""

    text: str = field(repr=False)

    def hash(self) -> str:
        """Return a new bcrypt hash, in the form that Dex reads."""
        import bcrypt  # noqa: PLC0415 - a compiled library that few steps need

        return bcrypt.hashpw(self.text.encode(), bcrypt.gensalt(_COST)).decode()

    def matches(self, hashed: str) -> bool:
        """Tell whether a hash is of this password; what is no hash is not."""
        import bcrypt  # noqa: PLC0415 - the same

        try:
            return bcrypt.checkpw(self.text.encode(), hashed.encode())
        except ValueError:
            return False


def checked(text: str) -> Password:
    """Return the password, or raise ``SettingError`` that says what is wrong with it, without showing it."""
    if not text.strip():
        problem = "is empty"
    elif len(text) < _SHORTEST:
        problem = f"has fewer than {_SHORTEST} characters"
    elif len(text.encode()) > _LONGEST:
        problem = f"is longer than {_LONGEST} bytes, of which bcrypt would not see the rest"
    elif text.lower() in _KNOWN or len(set(text)) == 1:
        problem = "is one that everybody tries first"
    else:
        return Password(text)
    raise SettingError(f"the password {problem}", hint=f"choose another, of {_SHORTEST} characters or more")


def from_environment() -> Password | None:
    """Return the password in ``TIDEFLOW_PASSWORD``, or None where it is not set."""
    return checked(os.environ[VARIABLE]) if VARIABLE in os.environ else None


def ask(email: str, *, rehearsal_file: Path | None, anew: bool) -> Password:
    """Return the password for ``email``: from ``TIDEFLOW_PASSWORD``, or asked for twice without echo.

    A rehearsal asks nobody: it makes one, and keeps it in ``rehearsal_file`` with mode 0600; ``anew`` makes
    another. Raises ``SettingError`` where nobody can be asked.
    """
    given = from_environment()
    if given is not None:
        return given
    if rehearsal_file is not None:
        kept = None if anew else generated_before(rehearsal_file)
        return kept or _generated(rehearsal_file)
    if not sys.stdin.isatty():
        raise SettingError(
            f"no password for {email}, and no terminal to ask on", hint=f"set {VARIABLE} in the environment"
        )
    text: str = click.prompt(
        f"Password for {email}, {_SHORTEST} characters or more",
        hide_input=True,
        confirmation_prompt=True,
        err=True,
    )
    return checked(text)


def generated_before(file: Path) -> Password | None:
    """Return the password that an earlier run of the rehearsal made; None if the file is gone or damaged."""
    try:
        return checked(file.read_text().strip())
    except (OSError, UnicodeDecodeError, SettingError):
        return None


def _generated(file: Path) -> Password:
    text = secrets.token_urlsafe(12)
    write_private(file, text + "\n")
    return Password(text)
