"""Secrets that must turn up nowhere, and the search for them in every form that they may take."""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SHORTEST = 16  # bytes; what is shorter may be anywhere by chance
_PEM = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s(.*?)-----END", re.DOTALL)
_PUBLIC = (b"-----BEGIN CERTIFICATE", b"-----BEGIN PUBLIC KEY")
_BLOCK = 4096  # bytes; what is all zeros is left out: logs of databases are reserved in advance


class Canaries:
    """Secrets by what they are, each with the forms that are looked for."""

    def __init__(self) -> None:
        self._forms: dict[bytes, str] = {}
        self._values: dict[bytes, str] = {}

    def add(self, name: str, value: bytes | str) -> None:
        """Look for a secret; of a private key, for its longest line. What is public or short is left out."""
        value = value.encode() if isinstance(value, str) else value
        if key := _PEM.search(value):
            value = max(key[1].split(), key=len)
        if len(value) < _SHORTEST or value.startswith(_PUBLIC):
            return
        self._values.setdefault(value, name)
        for form in _forms(value):
            self._forms.setdefault(form, name)

    def __len__(self) -> int:
        """Return how many secrets are looked for."""
        return len(self._values)

    @property
    def forms(self) -> int:
        """How many forms are looked for."""
        return len(self._forms)

    @property
    def names(self) -> set[str]:
        """What the secrets are."""
        return set(self._values.values())

    def found(self, data: bytes | str) -> set[str]:
        """Return which of them are in there."""
        data = data.encode(errors="surrogateescape") if isinstance(data, str) else data
        return {name for form, name in self._forms.items() if form in data}


def _forms(value: bytes) -> Iterator[bytes]:
    """Yield a secret as it is, escaped as JSON and in URLs, in hexadecimal digits, and within base64."""
    yield value
    yield value.hex().encode()
    text = value.decode(errors="replace")
    for quoted in (quote(text, safe=""), quote(text), quote_plus(text)):
        yield quoted.encode()
        yield quoted.lower().encode()
    for ascii_only in (True, False):
        yield json.dumps(text, ensure_ascii=ascii_only)[1:-1].encode()
    yield repr(text)[1:-1].encode()
    yield repr(value)[2:-1].encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # Whatever stands before and after, these characters are the same.
            encoded = encode(b"\0" * before + value).rstrip(b"=")
            first = (8 * before + 5) // 6
            whole = encoded[first : (8 * (before + len(value))) // 6]
            yield whole


def below(*folders: Path, since: float = 0.0) -> Iterator[Path]:
    """Yield all files below folders that were changed since then; links are not followed."""
    for folder in folders:
        for parent, _, names in os.walk(folder, onerror=lambda _: None):
            for name in names:
                path = Path(parent, name)
                try:
                    status = path.lstat()
                except OSError:  # it is gone by now
                    continue
                if path.is_file() and not path.is_symlink() and status.st_mtime >= since:
                    yield path


def content(path: Path) -> bytes:
    """Return what is in a file, without blocks of zeros; nothing if it is gone by now."""
    try:
        with path.open("rb") as file:
            blocks: Iterable[bytes] = iter(lambda: file.read(_BLOCK), b"")
            return b"".join(block for block in blocks if block.strip(b"\0"))
    except OSError:
        return b""


def readers(path: Path, top: Path) -> str:
    """Return why somebody else could read a file below a folder; empty if nobody can."""
    if path.lstat().st_mode & 0o077:
        return f"{path} has mode {path.lstat().st_mode & 0o777:o}"
    folders = [folder for folder in path.parents if folder.is_relative_to(top)]
    if not any(folder.lstat().st_mode & 0o077 == 0 for folder in folders):
        return f"{path} is in folders that others can enter"
    return ""
