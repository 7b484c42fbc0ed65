"""Set up the project: Python packages in ``.venv``, and the programs of a rehearsal in ``~/.cache/tideflow``.

It runs before there is any package, so it uses the standard library only. What is there already is not made
again, and takes no time. With ``--packages`` the programs, which only a rehearsal needs, are left out.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
VENV = PROJECT / ".venv"
STAMP = VENV / ".set-up"
CACHE = Path.home() / ".cache" / "tideflow"

UV_VERSION = "0.13.9"
OWN_UV = CACHE / f"uv-{UV_VERSION}" / "uv"
OLDEST_UV = (0, 9)  # older ones have not been tried with our lock file

GIGABYTE = 1024**3
MEMORY_NEEDED = 3 * GIGABYTE  # of an API server with Kubeflow in it, and all around it
DISK_NEEDED = 4 * GIGABYTE  # of Go's caches while the control plane is compiled


def main(arguments: list[str]) -> int:
    """Set up what is not yet; return the exit status."""
    control_plane = "--packages" not in arguments
    if not (STAMP.is_file() and STAMP.read_text() == _fingerprint()):
        if missing := problems(control_plane=control_plane):
            print("\n".join(f"set-up: {problem}" for problem in missing), file=sys.stderr)
            return 1
        if status := install_packages(_uv() or _install_uv()):
            return status
    if control_plane:
        # A rehearsal's programs may need uv, to install a Go compiler.
        path = os.pathsep.join((str(OWN_UV.parent), os.environ.get("PATH", os.defpath)))
        command = (str(VENV / "bin" / "python"), str(PROJECT / "scripts" / "build_control_plane.py"))
        # In our place: it has time to clean up when it is interrupted.
        os.execve(command[0], command, os.environ | {"PATH": path})  # noqa: S606 - Python
    return 0


def problems(*, control_plane: bool) -> list[str]:
    """Return what is missing on this machine, one line each."""
    found = [
        f"{program} is needed, and not there (Debian, Ubuntu: apt-get install {program})"
        for program in ("git", "make")
        if shutil.which(program) is None
    ]
    if _uv() is None and not _can_make_environments():
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        found.append(
            f"{sys.executable} cannot make virtual environments, and there is no uv "
            f"(Debian, Ubuntu: apt-get install {package})"
        )
    if platform.system() == "Darwin":
        print("set-up: macOS is untested, and has no rehearsal", file=sys.stderr)
    elif control_plane:
        found += _rehearsal_problems()
    return found


def _rehearsal_problems() -> list[str]:
    found = []
    system, machine = platform.system(), platform.machine()
    if system != "Linux" or machine not in {"x86_64", "aarch64", "arm64"}:
        found.append(f"a rehearsal needs Linux on amd64 or arm64, and this is {system} on {machine}")
    memory = _memory_available()
    if memory is not None and memory < MEMORY_NEEDED:
        found.append(f"a rehearsal takes 3 GB of memory, and {memory / GIGABYTE:.1f} GB are available")
    built = any(CACHE.glob("control-plane/*/etcd")) or "TIDEFLOW_CONTROL_PLANE" in os.environ
    disk = shutil.disk_usage(next(folder for folder in (CACHE, *CACHE.parents) if folder.exists())).free
    if not built and disk < DISK_NEEDED:
        found.append(
            f"compiling a rehearsal's control plane takes 4 GB of disk, "
            f"and {CACHE} has {disk / GIGABYTE:.1f} GB"
        )
    return found


def _memory_available() -> int | None:
    """Return how many bytes programs can still take, by the machine's and the container's limits."""
    numbers = []
    for file, pattern, unit in (
        ("/proc/meminfo", r"^MemAvailable:\s+(\d+) kB$", 1024),
        ("/sys/fs/cgroup/memory.max", r"^(\d+)$", 1),
    ):
        try:
            text = Path(file).read_text()
        except OSError:
            continue
        numbers += [int(number) * unit for number in re.findall(pattern, text, re.MULTILINE)]
    return min(numbers, default=None)


def _can_make_environments() -> bool:
    """Tell whether ``python -m venv`` works; Debian has it, and what it needs, in a package of its own."""
    try:
        import ensurepip  # noqa: F401, PLC0415 - whether it can be imported is the question
        import venv  # noqa: F401, PLC0415 - the same
    except ImportError:
        return False
    return True


def _uv() -> Path | None:
    """Return a uv that will do: the user's, or the one installed before."""
    for candidate in (shutil.which("uv"), OWN_UV):
        if candidate is None or not Path(candidate).exists():
            continue
        asked = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - uv
        version = re.match(r"uv (\d+)\.(\d+)", asked.stdout)
        if version and (int(version[1]), int(version[2])) >= OLDEST_UV:
            return Path(candidate)
    return None


def _install_uv() -> Path:
    """Install uv for ourselves, whole or not at all."""
    _say(f"installing uv {UV_VERSION} into {OWN_UV.parent}")
    OWN_UV.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".uv-", dir=CACHE) as work:
        pip = ("-m", "pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check")
        status = _run(sys.executable, "-m", "venv", work) or _run(
            f"{work}/bin/python", *pip, f"uv=={UV_VERSION}"
        )
        if status:
            sys.exit("set-up: uv cannot be installed, see above. Check the network, or install uv yourself")
        Path(work, "bin", "uv").replace(OWN_UV)
    return OWN_UV


def install_packages(uv: Path) -> int:
    """Have exactly the packages of ``uv.lock`` in ``.venv``; return the exit status."""
    _say("installing Python packages into .venv")
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | {
        "UV_CACHE_DIR": str(CACHE / "uv-cache"),
        "UV_COMPILE_BYTECODE": "1",  # or the first run does it, and where Python may not write it, each run
        "UV_PROJECT_ENVIRONMENT": str(VENV),
        "UV_PYTHON_DOWNLOADS": "never",
    }
    # A .venv that works is kept, with the Python it has.
    python = () if Path(sys.prefix) == VENV else ("--python", sys.executable)
    status = _run(uv, "sync", "--locked", "--quiet", *python, env=environment)
    if status:
        print("set-up: the Python packages cannot be installed, see above", file=sys.stderr)
    else:
        STAMP.write_text(_fingerprint())
    return status


def _fingerprint() -> str:
    """Return what .venv was made of: another lock file, or another folder, makes another one."""
    content = hashlib.sha256(str(PROJECT).encode())
    for name in ("pyproject.toml", "uv.lock"):
        content.update((PROJECT / name).read_bytes())
    return content.hexdigest()


def _run(*command: str | Path, env: dict[str, str] | None = None) -> int:
    return subprocess.run(command, check=False, cwd=PROJECT, env=env).returncode  # noqa: S603 - Python and uv


def _say(text: str) -> None:
    print(f"set-up: {text}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("set-up: interrupted; run it again to go on")
    except OSError as error:
        sys.exit(f"set-up: {error.filename or CACHE}: {error.strerror}")
