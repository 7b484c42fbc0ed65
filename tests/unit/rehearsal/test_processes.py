"""Background processes: found again, never mistaken for others, and gone when they are stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tideflow.errors import RehearsalError
from tideflow.rehearsal.processes import Background, stop_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SLEEP = ["sleep", "600"]
WORK = [sys.executable, "-c", "import time; print('at work', flush=True); time.sleep(600)"]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Background]:
    """Yield a background process that is not started yet, and leave none behind."""
    process = Background(tmp_path / "cluster", "sleeper")
    yield process
    process.stop()


def eventually(look: Callable[[], bool]) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + 30
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_started_process_is_found_again_by_another_object(process: Background, tmp_path: Path) -> None:
    """The folder and the name are all that is needed."""
    process.start(SLEEP)
    again = Background(tmp_path / "cluster", "sleeper")
    assert again.running
    assert again.pid == process.pid
    again.stop()
    assert not process.running


def test_it_outlives_the_program_that_started_it(tmp_path: Path) -> None:
    """It runs in a session of its own, so neither the end of its parent nor a Ctrl-C there ends it."""
    program = (
        "import sys; from pathlib import Path; from tideflow.rehearsal.processes import Background;"
        f"Background(Path(sys.argv[1]), 'sleeper').start({SLEEP!r})"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True)
    process = Background(tmp_path, "sleeper")
    assert process.pid is not None
    assert os.getsid(process.pid) == process.pid
    process.stop()
    assert not process.running


def test_output_goes_to_a_private_log_and_the_last_one_is_kept(process: Background) -> None:
    """The log is this process's own; the one before is beside it."""
    for word in ("first", "second"):
        process.start(["sh", "-c", f"echo {word}; echo {word} error >&2"])
        eventually(lambda: not process.running)
    assert process.tail(10) == "second\nsecond error"
    assert process.tail(1) == "second error"
    assert process.log.stat().st_mode & 0o777 == 0o600
    assert process.log.with_name("sleeper.previous.log").read_text() == "first\nfirst error\n"


def test_the_tail_of_a_long_log_is_its_end(process: Background, tmp_path: Path) -> None:
    """A log may be larger than what is worth reading, and not be text."""
    assert process.tail(3) == ""
    (tmp_path / "cluster").mkdir()
    process.log.write_bytes(b"\xff" * 200_000 + b"\none\ntwo\n")
    assert process.tail(2) == "one\ntwo"


def test_a_pid_that_is_somebody_elses_by_now_is_not_ours(process: Background, tmp_path: Path) -> None:
    """Only with the time it was started does a pid say who it is; others are never signalled."""
    process.start(WORK)
    eventually(lambda: process.tail(1) == "at work")
    record = tmp_path / "cluster" / "sleeper.pid"
    time.sleep(0.05)  # the kernel counts in hundredths of a second; pids are not used again that fast
    stranger = subprocess.Popen(SLEEP)
    try:
        pid, _, identity = record.read_text().partition(" ")
        record.write_text(f"{stranger.pid} {identity}")
        assert process.pid == int(pid)
        process.stop()
        assert stranger.poll() is None
        assert not process.running
        record.write_text(f"{stranger.pid} {identity}")
        assert not process.running
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("content", ["", "soup", "-1 2", "99999999999 1", "0 0", "1", "-1"])
def test_a_damaged_record_means_not_running(process: Background, tmp_path: Path, content: str) -> None:
    """Whatever stands in the file, nothing is raised and nobody is signalled."""
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "sleeper.pid").write_text(content)
    assert not process.running
    process.stop()


@pytest.mark.parametrize("content", [None, "", "soup", "1 2", "99999999999 1", b"\xff\xfe"])
def test_a_process_is_found_without_its_record(
    process: Background, tmp_path: Path, content: str | bytes | None
) -> None:
    """It says itself who it is: it is not started twice, and is stopped."""
    process.start(WORK)
    eventually(lambda: process.tail(1) == "at work")  # for an instant, a new process has no environment
    pid = process.pid
    assert pid is not None
    record = tmp_path / "cluster" / "sleeper.pid"
    if content is None:
        record.unlink()
    else:
        record.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert process.pid == pid
    assert not Background(tmp_path / "cluster", "sleep").running
    with pytest.raises(RehearsalError, match=f"already running .pid {pid}."):
        process.start(SLEEP)
    process.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_was_started_below_a_folder_is_found_when_the_folder_is_gone(
    process: Background, tmp_path: Path
) -> None:
    """And what was started beside it goes on."""
    (tmp_path / "cluster-2").mkdir()
    other = Background(tmp_path / "cluster-2", "sleeper")
    for each in (process, other):
        each.start(WORK)
        eventually(lambda: each.tail(1) == "at work")  # noqa: B023 - it is called at once
    pid = process.pid
    assert pid is not None
    shutil.rmtree(tmp_path / "cluster")
    stop_below(tmp_path / "cluster")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert other.running
    other.stop()


def test_children_of_a_process_are_not_taken_for_it(process: Background, tmp_path: Path) -> None:
    """What a background process starts in the background carries its own mark."""
    program = (
        "import sys, time; from pathlib import Path; from tideflow.rehearsal.processes import Background;"
        f"Background(Path(sys.argv[1]), 'child').start({WORK!r}); time.sleep(600)"
    )
    process.start([sys.executable, "-c", program, str(tmp_path / "cluster")])
    child = Background(tmp_path / "cluster", "child")
    eventually(lambda: child.tail(1) == "at work" and child.running)
    for record in (tmp_path / "cluster").glob("*.pid"):
        record.write_text("soup")
    assert process.pid != child.pid
    process.stop()
    assert not process.running
    assert child.running
    child.stop()
    assert not child.running


def test_one_that_does_not_listen_to_the_polite_signal_is_killed(process: Background) -> None:
    """After the timeout there is no asking any more."""
    process.start(["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"])
    eventually(lambda: process.tail(1) == "deaf")
    pid = process.pid
    assert pid is not None
    process.stop(timeout=0.1)
    assert not process.running
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_one_that_ended_by_itself_is_not_running_and_no_zombie(process: Background) -> None:
    """Our own child that has ended is reaped when we look."""
    process.start(SLEEP)
    pid = process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not process.running)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    process.stop()


def test_a_second_start_is_refused(process: Background) -> None:
    """There is one process of a name."""
    process.start(SLEEP)
    pid = process.pid
    with pytest.raises(RehearsalError, match=f"sleeper is already running .pid {pid}."):
        process.start(SLEEP)
    assert process.pid == pid


def test_a_program_that_is_not_there_is_said(process: Background) -> None:
    """The error names the process and what to check."""
    with pytest.raises(RehearsalError, match="sleeper cannot be started: No such file") as raised:
        process.start(["/nowhere/sleep"])
    assert "/nowhere/sleep" in raised.value.hint


@pytest.mark.parametrize("given", [{"GIVEN": "1"}, None])
def test_the_environment_is_only_what_is_given(
    process: Background, monkeypatch: pytest.MonkeyPatch, given: dict[str, str] | None
) -> None:
    """Of ours, what may hold a token does not get there."""
    monkeypatch.setenv("CANARY", "canary-token")
    process.start(["env"], env=given)
    eventually(lambda: not process.running)
    assert ("GIVEN=1" in process.tail(50)) == (given is not None)
    assert f"PATH={os.environ['PATH']}" in process.tail(50)
    assert "canary-token" not in process.tail(50)
