"""The password people log in with: where it comes from, whether it will do, and its hash."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import click

from tideflow.errors import SettingError
from tideflow.files import write_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VARIABLE = "TIDEFLOW_PASSWORD"
FILE = "TIDEFLOW_PASSWORD_FILE"

_SHORTEST = 8  # characters
_LONGEST = 72  # bytes; bcrypt does not look at more
_COST = 12  # bcrypt's rounds, as a power of two; what Dex itself recommends is 10 or more
_KNOWN = frozenset(
    {"12341234", "password", "passw0rd", "kubeflow", "changeme"}
)  # 12341234: upstream's default


@dataclass(frozen=True)
class Password:
    """A password that will do; it does not show in ``repr``.

    One that was ``generated`` is known to nobody until it is shown.
    """

    text: str = field(repr=False)
    generated: bool = False

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


UNASKED = Password("")
"""Stands for a password that a run which changes nothing does not ask for."""


def checked(text: str) -> Password:
    """Return the password, or raise ``SettingError`` that says what is wrong with it, without showing it."""
    try:
        length = len(text.encode())
    except UnicodeEncodeError:  # from bytes of the environment that are no UTF-8
        raise SettingError("the password is not UTF-8 text", hint="choose another") from None
    if not text.strip():
        problem = "is empty"
    elif len(text) < _SHORTEST:
        problem = f"has fewer than {_SHORTEST} characters"
    elif length > _LONGEST:
        problem = f"is longer than {_LONGEST} bytes, of which bcrypt would not see the rest"
    elif not text.isprintable():
        problem = "has a character that cannot be typed, such as the end of a line"
    elif text.lower() in _KNOWN or len(set(text)) == 1:
        problem = "is one that everybody tries first"
    else:
        return Password(text)
    raise SettingError(f"the password {problem}", hint=f"choose another, of {_SHORTEST} characters or more")


def from_environment() -> Password | None:
    """Return the password in ``TIDEFLOW_PASSWORD``, or in the file that ``TIDEFLOW_PASSWORD_FILE`` names.

    None where neither is set. Raises ``SettingError`` for both, and for a file that others can read.
    """
    if VARIABLE in os.environ and FILE in os.environ:
        raise SettingError(f"{VARIABLE} and {FILE} are both set", hint="unset one of them")
    if FILE in os.environ:
        return checked(_private(os.environ[FILE]))
    return checked(os.environ[VARIABLE]) if VARIABLE in os.environ else None


def _private(path: str) -> str:
    """Return the text of a file without the end of its last line."""
    try:
        with open(path, encoding="utf-8", opener=_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
                raise SettingError(
                    f"{path}, which {FILE} names, is not a file that only you can read",
                    hint=f"chmod 600 {path}; if others could read it, choose another password",
                )
            return file.read().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise SettingError(f"{path}, which {FILE} names, is not UTF-8 text", hint="write it anew") from None
    except OSError as error:
        raise SettingError(
            f"{path}, which {FILE} names, cannot be read: {error.strerror or error}", hint=f"unset {FILE}"
        ) from None


def _at_once(path: str, flags: int) -> int:
    """Open a file without waiting for somebody to write into it, as a pipe would."""
    return os.open(path, flags | os.O_NONBLOCK)


def ask(email: str, *, rehearsal_file: Path | None, anew: bool) -> Password:
    """Return the password for ``email``: from the environment, or asked for twice without echo.

    A rehearsal asks nobody: it takes the one in ``rehearsal_file``, or, if there is none or another is wanted
    (``anew``), generates one. Nothing is written here. Raises ``SettingError`` where nobody can be asked.
    """
    given = from_environment()
    if given is not None:
        return given
    if rehearsal_file is not None:
        kept = [] if anew else generated_before(rehearsal_file)
        return kept[0] if kept else Password(secrets.token_urlsafe(12), generated=True)
    return prompt(email, otherwise=f"set {VARIABLE} or {FILE} in the environment")


def prompt(email: str, *, otherwise: str) -> Password:
    """Return the password for ``email`` that a person types twice, without echo.

    ``otherwise`` is what to do where there is no terminal.
    """
    if not sys.stdin.isatty():
        raise SettingError(f"no password for {email}, and no terminal to ask on", hint=otherwise)
    while True:
        try:
            text: str = click.prompt(
                f"Password for {email}, {_SHORTEST} characters or more",
                hide_input=True,
                confirmation_prompt=True,
                err=True,
            )
        except click.Abort:
            raise SettingError(f"no password for {email} was given", hint="nothing was changed") from None
        try:
            return checked(text)
        except SettingError as error:
            click.echo(f"{error.message}: {error.hint}", err=True)


def generated_before(file: Path) -> list[Password]:
    """Return what earlier runs of a rehearsal generated and kept; what cannot be read is left out.

    There are two if a run was killed while it changed the password: one of them is the live one.
    """
    found = []
    for path in (file, _next(file)):
        try:
            found.append(replace(checked(path.read_text().strip()), generated=True))
        except (OSError, UnicodeDecodeError, SettingError):
            continue
    return found


@contextlib.contextmanager
def keeping(file: Path, password: Password) -> Iterator[None]:
    """Keep a generated password in the file, mode 0600, while it becomes the live one in this context.

    One that a person chose is not kept, and what the file held before goes.
    """
    if password.generated:
        write_private(_next(file), password.text + "\n")
    yield
    if password.generated:
        _next(file).replace(file)
    else:
        file.unlink(missing_ok=True)
        _next(file).unlink(missing_ok=True)


def _next(file: Path) -> Path:
    return file.with_name(f"{file.name}.next")
