"""Files of a rehearsal: private to their user, written whole, and changed by one process at a time."""

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tideflow.errors import RehearsalError


def private_folder(folder: Path) -> Path:
    """Create ``folder`` (and what is above it) if it is missing, let nobody else in (0700), and return it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise RehearsalError(
            f"the folder {folder} cannot be used: {error.strerror}", hint="make it writable, or move it away"
        ) from error
    return folder


def write_private(file: Path, text: str) -> None:
    """Write ``text`` into ``file`` with mode 0600: all of it or, if we are interrupted, nothing."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
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
    descriptor is a holder as well.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
