"""Files of Tideflow's own: private to their user, written whole, and changed by one process at a time."""

import errno
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tideflow.errors import FileError

_FULL = {errno.ENOSPC, errno.EDQUOT}


def private_folder(folder: Path) -> Path:
    """Create ``folder`` (and what is above it) if it is missing, let nobody else in (0700), and return it.

    Raises ``FileError`` if something is in the way, or the folder is somebody else's.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise _error(f"the folder {folder} cannot be used", error) from error
    return folder


def write_private(file: Path, text: str) -> None:
    """Write ``text`` into ``file`` with mode 0600: all of it or, if we are interrupted, nothing.

    Folders that are missing are created for their user alone. Raises ``FileError`` if the disk is full or the
    folder cannot be written to; the file is then as it was.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(file, text)
    except OSError as error:
        raise _error(f"{file} cannot be written", error) from error


def _replace(file: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # made 0600
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def locked(file: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Hold the lock ``file`` and yield its descriptor; call ``waiting`` first if somebody else holds it.

    The kernel gives the lock back when its last holder is gone, however it ended. A child that is given the
    descriptor is a holder as well. Raises ``FileError`` if the file cannot be made.
    """
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _error(f"{file} cannot be opened", error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _error(problem: str, error: OSError) -> FileError:
    hint = "make room on that disk" if error.errno in _FULL else "make it yours to write to, or move it away"
    return FileError(f"{problem}: {error.strerror}", hint=f"{hint}, then run again")
