"""Files of a rehearsal: private, whole, and one process at a time."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tideflow.errors import RehearsalError
from tideflow.rehearsal.files import locked, private_folder, write_private

if TYPE_CHECKING:
    from pathlib import Path


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


def test_a_folder_becomes_private(tmp_path: Path) -> None:
    """Also one that was there before."""
    (tmp_path / "open").mkdir(mode=0o755)
    for folder in (tmp_path / "open", tmp_path / "new" / "deep"):
        assert private_folder(folder).stat().st_mode & 0o777 == 0o700


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    """One line, not a traceback."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(RehearsalError, match="taken cannot be used"):
        private_folder(tmp_path / "taken")


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
