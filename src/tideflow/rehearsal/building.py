"""The programs of the control plane, and the oauth2-proxy behind its gateway, compiled here, once.

No package index has all of etcd, the API server, the controller manager and the scheduler, but the Go
module proxy has their sources. Compiling them takes minutes and gigabytes; the result is 131 MB and is kept
below ``~/.cache/tideflow``, under a digest of all that decides what comes out. It appears there in one
rename, after it has run: what is found there is whole.

oauth2-proxy is a program of its own, of 28 MB, and compiled by itself: its main package cannot be part of
another program, and a new version of it costs a minute and not six.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tideflow.errors import RehearsalError
from tideflow.files import locked
from tideflow.rehearsal import compiling
from tideflow.rehearsal.compiling import Module

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
"""The names under which the one binary is the components."""

SOURCES = Path(__file__).parent / "program"
AUTH_PROXY_SOURCES = Path(__file__).parent / "authproxy"

AUTH_PROXY = "oauth2-proxy"
"""The name of the program that a gateway asks whether somebody has logged in."""

OVERRIDE = "TIDEFLOW_CONTROL_PLANE"
"""The environment variable that names a folder of ready programs."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_BINARY = "tideflow-control-plane"
_UNFINISHED = ".unfinished-"


def binaries(progress: Callable[[str], None]) -> Path:
    """Return the folder with etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok.

    They are compiled if they are not there yet, which takes about 5 minutes; ``progress`` is given a line
    now and then. ``TIDEFLOW_CONTROL_PLANE`` names a folder to use instead. Raises `RehearsalError` when
    that folder lacks one of them, or when they cannot be compiled here.
    """
    return _folder(_control_plane(), PROGRAMS, progress)


def auth_proxy(progress: Callable[[str], None]) -> Path:
    """Return oauth2-proxy, compiled in about a minute if it is not there yet, as `binaries` are."""
    return _folder(_auth_proxy(), (AUTH_PROXY,), progress) / AUTH_PROXY


def auth_proxy_beside(binaries: Path) -> Path:
    """Return where oauth2-proxy is or would be: in this folder of ready programs, or in the cache."""
    given = binaries / AUTH_PROXY
    return given if given.exists() else cache_folder() / _digest(_auth_proxy()) / AUTH_PROXY


def cache_folder() -> Path:
    """Return the folder below which compiled programs are kept, one folder per digest."""
    return Path.home() / ".cache" / "tideflow" / "control-plane"


def digest() -> str:
    """Return what names the control plane's folder: a digest of the sources, the flags and the platform."""
    return _digest(_control_plane())


def _control_plane() -> Module:
    return Module(title="the control plane", sources=SOURCES, flags=compiling.FLAGS)


def _auth_proxy() -> Module:
    package = "github.com/oauth2-proxy/oauth2-proxy/v7"
    module = (AUTH_PROXY_SOURCES / "go.mod").read_text(encoding="utf-8")
    version = module.partition(f"{package} v")[2].split()[0]
    return Module(
        title=AUTH_PROXY,
        sources=AUTH_PROXY_SOURCES,
        package=package,
        flags=(*compiling.FLAGS[:-1], f"-ldflags=-s -w -X {package}/pkg/version.VERSION=v{version}"),
        about="a minute",
        disk=2 * 1024**3,
        memory=1024**3,
    )


def _digest(module: Module) -> str:
    content = hashlib.sha256()
    for part in (*module.flags, *target().values()):
        content.update(part.encode() + b"\0")
    for name in ("main.go", "go.mod", "go.sum"):
        if (module.sources / name).exists():
            content.update(name.encode() + b"\0" + (module.sources / name).read_bytes() + b"\0")
    return content.hexdigest()[:16]


def _folder(module: Module, programs: Sequence[str], progress: Callable[[str], None]) -> Path:
    """Return the folder that has the programs of a module, compiled if need be."""
    if override := os.environ.get(OVERRIDE):
        return _given(Path(override).expanduser(), programs)
    cache = cache_folder()
    finished = cache / _digest(module)
    if not _missing(finished, programs):
        return finished
    busy = f"another tideflow is compiling {module.title}; waiting for it"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / "lock", lambda: progress(busy)) as lock:
            if _missing(finished, programs):
                _build(module, programs, finished, lock, progress)
    except OSError as error:
        raise RehearsalError(
            f"the folder {cache} cannot be used: {error.strerror}",
            hint=f"make it writable, with 4 GB free, or name a folder of ready programs in {OVERRIDE}",
        ) from error
    return finished


def target() -> dict[str, str]:
    """Return GOOS and GOARCH of this machine; raise `RehearsalError` if they are not supported."""
    system, machine = platform.system(), platform.machine()
    if system != "Linux" or machine not in _ARCHITECTURES:
        raise RehearsalError(
            f"a rehearsal needs Linux on amd64 or arm64, and this is {system} on {machine}",
            hint="use a Linux machine or virtual machine",
        )
    return {"GOOS": "linux", "GOARCH": _ARCHITECTURES[machine]}


def _given(folder: Path, programs: Sequence[str]) -> Path:
    if missing := _missing(folder, programs):
        raise RehearsalError(
            f"{OVERRIDE} names {folder}, where {', '.join(missing)} cannot be found or run",
            hint=f"put all of {', '.join((*PROGRAMS, AUTH_PROXY))} there, or unset {OVERRIDE} to have them "
            "compiled",
        )
    return folder.resolve()


def _missing(folder: Path, programs: Sequence[str]) -> list[str]:
    return [
        name for name in programs if not ((folder / name).is_file() and os.access(folder / name, os.X_OK))
    ]


def _build(
    module: Module, programs: Sequence[str], finished: Path, lock: int, progress: Callable[[str], None]
) -> None:
    """Compile into a folder of its own beside ``finished``, and rename it when it is whole."""
    _clean(finished.parent)
    with _workplace(finished.parent) as work:
        result = work / "result"
        result.mkdir()
        binary = _BINARY if len(programs) > 1 else programs[0]
        compiling.compile_program(
            module, result / binary, work=work, target=target(), lock=lock, progress=progress
        )
        for name in programs:
            if name != binary:
                (result / name).symlink_to(binary)
        _try_out(result, programs)
        if finished.exists():  # damaged, or it would not have come to this
            shutil.rmtree(finished)
        result.rename(finished)
    progress(f"{module.title} is compiled and kept in {finished}")


@contextmanager
def _workplace(cache: Path) -> Iterator[Path]:
    """Yield a folder for all that a build needs; nothing of it, gigabytes of Go's caches above all, stays."""
    work = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=cache))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _clean(cache: Path) -> None:
    """Remove what builds left that were interrupted: whoever holds the lock is the only one that builds."""
    for leftover in cache.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _try_out(folder: Path, programs: Sequence[str]) -> None:
    """Run every program once: what cannot run here must not be kept as finished."""
    for name in programs:
        try:
            subprocess.run(  # noqa: S603 - the program just compiled
                [folder / name, "--version"], check=True, capture_output=True, timeout=60
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise RehearsalError(
                f"{name} was compiled, but does not run: {error}",
                hint=f"name a folder of programs made for this machine in {OVERRIDE}",
            ) from error
