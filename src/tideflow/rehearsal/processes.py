"""Background processes that outlive whoever started them, and are found again by the next who asks.

A pid alone does not say who it is: after a reboot, or a long time, it is somebody else's. The time the kernel
started it, in ticks since boot, tells them apart, and so does the boot's id after a reboot.

The file that holds them may be damaged or gone. So each process carries its file's path in its environment as
well, where it is looked for when the file does not lead to it.
"""

import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tideflow.errors import RehearsalError
from tideflow.files import private_folder, write_private

MARKER = "TIDEFLOW_PROCESS"
"""The environment variable of a background process with the absolute path of its ``.pid`` file."""

_TAIL = 64 * 1024  # bytes read from the end of a log

# Nothing else of our environment, which may hold tokens, is for processes that outlive us.
_ENVIRONMENT = ("HOME", "LANG", "PATH", "PYTHONPATH", "TMPDIR", "TZ", "USER", "XDG_RUNTIME_DIR")


class Background:
    """One named background process; ``<folder>/<name>.pid`` says which, ``<name>.log`` has its output."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._folder = folder
        self._record = folder / f"{name}.pid"

    def start(
        self, command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        """Start ``command`` in a session of its own, without input, its output (and errors) going to the log.

        The log of the process before is kept as ``<name>.previous.log``. Of our environment it gets only what
        holds no secrets, and ``env`` in addition. Raises `RehearsalError` when it is running already or the
        program cannot be started.
        """
        if (pid := self.pid) is not None:
            raise RehearsalError(f"{self.name} is already running (pid {pid})", hint="stop it first")
        private_folder(self._folder)
        if self.log.exists():
            self.log.replace(self.log.with_name(f"{self.name}.previous.log"))
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            process = subprocess.Popen(  # noqa: S603 - the caller's own program
                command,
                cwd=cwd,
                env={**_inherited(), **(env or {}), MARKER: self._marker},
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise RehearsalError(
                f"{self.name} cannot be started: {error.strerror}", hint=f"check {command[0]}"
            ) from error
        finally:
            os.close(descriptor)
        # It is meant to outlive this object, which would otherwise warn that the process still runs.
        process.returncode = 0
        write_private(self._record, f"{process.pid} {_look(process.pid)[0]}\n")

    @property
    def pid(self) -> int | None:
        """The process's id while it runs, None when it is not running."""
        try:
            pid, _, identity = self._record.read_text(encoding="utf-8").strip().partition(" ")
            number = int(pid)
        except (OSError, ValueError):
            return self._search()
        found, ended = _look(number)
        if not found or found != identity:
            return self._search()
        if ended:
            _reap(number)
            return None
        return number

    @property
    def _marker(self) -> str:
        return os.path.realpath(self._record)

    def _search(self) -> int | None:
        """Return the process that carries our marker, if there is one; without a log none was started."""
        if not self.log.exists():
            return None
        return next((pid for pid, marker in _marked() if marker == self._marker), None)

    @property
    def running(self) -> bool:
        """Whether the process that we, or an earlier run, started is still there."""
        return self.pid is not None

    def stop(self, timeout: float = 10.0) -> None:
        """End the process and wait until it is gone: politely for ``timeout`` seconds, then at once.

        Does nothing when it is not running.
        """
        if (pid := self.pid) is not None:
            _stop(pid, timeout, lambda: self.pid == pid)
        self._record.unlink(missing_ok=True)

    def tail(self, lines: int) -> str:
        """Return the last ``lines`` lines of the log, for an error message; empty when there is none."""
        try:
            with self.log.open("rb") as stream:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL))
                text = stream.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def stop_below(folder: Path, timeout: float = 10.0) -> None:
    """Stop all background processes but this one whose files are, or were, below a folder."""
    below = f"{os.path.realpath(folder)}{os.sep}"
    for pid, marker in list(_marked()):
        if marker.startswith(below) and pid != os.getpid():
            _stop(pid, timeout, lambda: (pid, marker) in _marked())  # noqa: B023 - it is called at once


def _marked() -> Iterator[tuple[int, str]]:
    """Yield the ids of background processes of ours, each with the path that it is marked with."""
    prefix = os.fsencode(f"{MARKER}=")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid != os.geteuid():
                continue
            environment = (process / "environ").read_bytes().split(b"\0")  # empty once it has ended
            # Its own children inherit the marker, but lead no session.
            if os.getsid(pid := int(process.name)) != pid:
                continue
        except OSError:  # it is gone
            continue
        for entry in environment:
            if entry.startswith(prefix):
                yield pid, os.fsdecode(entry.removeprefix(prefix))


def _stop(pid: int, timeout: float, still: Callable[[], bool]) -> None:
    with suppress(ProcessLookupError):  # it ended by itself
        # Unlike the pid, the descriptor cannot come to mean another process while we wait.
        descriptor = os.pidfd_open(pid)
        try:
            if still():
                _end(descriptor, timeout)
        finally:
            os.close(descriptor)
    _reap(pid)


def _end(descriptor: int, timeout: float) -> None:
    gone = select.poll()
    gone.register(descriptor, select.POLLIN)  # readable once the process has ended
    signal.pidfd_send_signal(descriptor, signal.SIGTERM)
    if not gone.poll(timeout * 1000):
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        gone.poll()


def _inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}


def _reap(pid: int) -> None:
    """Ask how a process ended: as our child it stays a zombie until then."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _look(pid: int) -> tuple[str, bool]:
    """Return what, together with its pid, no other process has, and whether the process has ended.

    The first is empty if there is no such process at all.
    """
    try:
        # The name, in parentheses, may hold anything; the state is the first field after it (proc(5)).
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return "", True
    state, started = fields[0], fields[19]
    return f"{started} {boot}", state in "ZX"
