"""Files of our own: private, whole, and one process at a time."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tideflow import files
from tideflow.errors import FileError
from tideflow.files import locked, private_folder, write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_NOBODY = 65534


def write_private_into(folder: Path) -> None:
    """Write a file in a folder."""
    write_private(folder / "secret", "one")


def lock_in(folder: Path) -> None:
    """Hold a lock in a folder."""
    with locked(folder / "lock"):
        pass


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be somebody whom the kernel forbids things, if the tests are run by root."""
    before = os.geteuid()
    os.seteuid(before or _NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    """Nobody else may read it, and nothing temporary stays."""
    file = tmp_path / "secret"
    file.touch(mode=0o644)
    write_private(file, "one")
    write_private(file, "two")
    assert file.read_text() == "two"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """What cannot be encoded is not half written."""
    file = tmp_path / "secret"
    write_private(file, "one")
    with pytest.raises(UnicodeEncodeError):
        write_private(file, "two \udcff")
    assert file.read_text() == "one"
    assert list(tmp_path.iterdir()) == [file]


def test_on_a_full_disk_the_file_stays_as_it_was(tmp_path: Path) -> None:
    """The kernel takes some of the text and then refuses more: one line says so, and no half file stays."""
    file = tmp_path / "secret"
    write_private(file, "one")
    script = """
import resource, sys
from pathlib import Path
from tideflow.errors import FileError
from tideflow.files import write_private
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_private(Path(sys.argv[1]), "two" * 10_000)
except FileError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, file], capture_output=True, text=True, check=True
    ).stdout
    assert done.startswith(f"{file} cannot be written: File too large; ")
    assert done.count("\n") == 1
    assert file.read_text() == "one"
    assert list(tmp_path.iterdir()) == [file]


def test_what_to_do_about_a_full_disk_is_to_make_room() -> None:
    """Not to change the permissions of anything."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(files._error("x cannot be written", full)) == (
        "x cannot be written: No space left on device; make room on that disk, then run again"
    )


def test_folders_above_a_private_file_are_private(tmp_path: Path) -> None:
    """They are made if they are missing; one that is there keeps its mode."""
    tmp_path.chmod(0o755)
    write_private(tmp_path / "platform" / "kubeconfig", "one")
    assert (tmp_path / "platform").stat().st_mode & 0o777 == 0o700
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_folder_becomes_private(tmp_path: Path) -> None:
    """Also one that was there before."""
    (tmp_path / "open").mkdir(mode=0o755)
    for folder in (tmp_path / "open", tmp_path / "new" / "deep"):
        assert private_folder(folder).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("use", [private_folder, write_private_into, lock_in])
def test_what_is_in_the_way_is_said(tmp_path: Path, use: Callable[[Path], object]) -> None:
    """A file where a folder should be is one line that names it, not a traceback."""
    (tmp_path / "taken").write_text("kept")
    with pytest.raises(FileError, match=r"taken.* cannot be .*: (File exists|Not a directory); make it"):
        use(tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "kept"


@pytest.mark.parametrize("use", [write_private_into, lock_in])
def test_a_folder_that_is_not_ours_is_said(tmp_path: Path, use: Callable[[Path], object]) -> None:
    """One line, and nothing is left in it."""
    (tmp_path / "closed").mkdir(mode=0o500)
    expected = r"closed/.* cannot be .*: Permission denied; make it yours"
    with unprivileged(), pytest.raises(FileError, match=expected):
        use(tmp_path / "closed")
    assert list((tmp_path / "closed").iterdir()) == []


def test_the_second_waits_until_the_first_is_done(tmp_path: Path) -> None:
    """It says that it waits, and does not go on before."""
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with locked(tmp_path / "lock", waiting.set):
            order.append("second")

    with locked(tmp_path / "lock", lambda: pytest.fail("nobody holds it")):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(30)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_lock_is_held_as_long_as_a_child_has_it(tmp_path: Path) -> None:
    """A compiler that outlives a killed parent keeps others from starting a second one."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with locked(tmp_path / "lock") as descriptor:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[descriptor])

    waited: list[bool] = []

    def let_go() -> None:
        waited.append(True)
        child.communicate()

    with locked(tmp_path / "lock", let_go):
        pass
    assert waited == [True]
