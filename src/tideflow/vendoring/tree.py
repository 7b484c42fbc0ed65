"""The vendored release on disk: written whole or not at all, and known to be whole when it is read.

``.release.toml`` in it says which release it is and how many objects belong to it. Hidden files are no
objects.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tideflow.errors import VendoringError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tideflow.vendoring.pins import Release

MARKER = ".release.toml"
_AGAIN = "run `make vendor`"
_RENAME_EXCHANGE = 2  # linux/fs.h
_AT_FDCWD = -100  # linux/fcntl.h


@dataclass(frozen=True)
class Vendored:
    """A whole vendored release: its folder, what was rendered into it, and the digest it had then."""

    folder: Path
    release: str
    commit: str
    objects: int
    digest: str

    def edited(self) -> bool:
        """Say whether a file was changed since it was vendored."""
        return (
            _digest({path: (self.folder / path).read_bytes() for path in _paths(self.folder)}) != self.digest
        )


@dataclass(frozen=True)
class Changes:
    """How many files a new tree has more than, other than, and less than the one it replaced."""

    created: int
    changed: int
    removed: int


def vendored(folder: Path) -> Vendored | None:
    """Return what is vendored in ``folder``, or None if nothing is.

    Raise VendoringError if the release in it is not whole.
    """
    if not folder.exists():
        return None
    try:
        marker = tomllib.loads((folder / MARKER).read_text(encoding="utf-8"))
        found = Vendored(
            folder=folder,
            release=str(marker["release"]),
            commit=str(marker["commit"]),
            objects=int(marker["objects"]),
            digest=str(marker["digest"]),
        )
    except FileNotFoundError as e:
        if not _paths(folder):
            return None
        raise VendoringError(f"{folder} is not whole: it has no {MARKER}", hint=_AGAIN) from e
    except (OSError, KeyError, ValueError) as e:
        raise VendoringError(f"{folder / MARKER} cannot be read", hint=_AGAIN) from e
    paths = _paths(folder)
    if len(paths) != found.objects:
        raise VendoringError(
            f"{folder} is not whole: Kubeflow {found.release} has {found.objects} objects, "
            f"{len(paths)} are there",
            hint=_AGAIN,
        )
    # A file of comments only is its owner's way to leave an object out; an empty one is a full disk's.
    if empty := next((path for path in paths if not (folder / path).stat().st_size), None):
        raise VendoringError(f"{folder} is not whole: {empty} is empty", hint=_AGAIN)
    return found


@contextmanager
def workspace(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside ``folder``, on the same file system, which is removed at the end.

    What a killed run left is removed first. Raise VendoringError if another run is at work.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise VendoringError(f"another run is vendoring into {folder}", hint="wait for its end") from e
        work = folder.parent / f".{folder.name}.work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)
    finally:
        os.close(lock)  # which unlocks


def replace(folder: Path, files: Mapping[str, str], release: Release, work: Path) -> Changes:
    """Put ``files``, text by relative path, in the place of what is in ``folder``, in one step.

    ``work`` is the ``workspace``. Whatever happens on the way, ``folder`` has either the old files or the
    new.
    """
    contents = {path: text.encode() for path, text in files.items()}
    before = {path: (folder / path).read_bytes() for path in _paths(folder)} if folder.is_dir() else {}
    new = work / "new"
    new.mkdir()
    for path, content in contents.items():
        target = new / path
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)
    marker = {
        "release": release.name,
        "commit": release.commit,
        "objects": len(contents),
        "digest": _digest(contents),
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in marker.items()]
    text = "\n".join(["# Written by `tideflow vendor`; it tells whether all files are there.", *lines, ""])
    (new / MARKER).write_text(text, encoding="utf-8")
    _swap(new, folder, work / "old")
    return Changes(
        created=len(contents.keys() - before.keys()),
        changed=sum(before[path] != contents[path] for path in before.keys() & contents.keys()),
        removed=len(before.keys() - contents.keys()),
    )


def _paths(folder: Path) -> list[str]:
    """Return the files of objects in ``folder``, relative to it, sorted."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*.yaml")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _digest(contents: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for path in sorted(contents):
        digest.update(f"{path}\0{hashlib.sha256(contents[path]).hexdigest()}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def _swap(new: Path, folder: Path, aside: Path) -> None:
    """Let ``new`` take the place of ``folder``; the old folder ends up in the workspace."""
    if not folder.exists():
        new.rename(folder)
    elif not _exchange(new, folder):
        folder.rename(aside)
        new.rename(folder)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step, by Linux's renameat2(2); False where that does not exist."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL):  # the kernel, or this file system, cannot
        return False
    raise OSError(number, os.strerror(number), str(other))
