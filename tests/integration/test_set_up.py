"""Setting up on machines that lack something, run as make runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
VENV_PACKAGE = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
BASE_PYTHON = f"{sys.base_prefix}/bin/python3"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout without .venv, as a clone is."""
    folder = tmp_path / "checkout"
    kept = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, kept):
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, folder / name)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return an empty home."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a folder, to be the whole PATH, with what every Unix has."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("sh", "dirname"):
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder


def set_up(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run set-up with this environment and no other."""
    return subprocess.run(
        [checkout / "scripts" / "setup.sh"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def program(file: Path, script: str) -> None:
    """Make a program of a shell script."""
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_all_that_is_missing_is_said_at_once(checkout: Path, home: Path, programs: Path) -> None:
    """One line each, a Debian Python's missing package by its name, and nothing made."""
    blocked = programs / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text("import sys\nsys.modules['ensurepip'] = None\n")
    program(programs / "python3", f'PYTHONPATH="{blocked}" exec "{BASE_PYTHON}" "$@"')
    done = set_up(checkout, HOME=str(home), PATH=str(programs))
    assert done.returncode == 1
    git, make, venv, *_ = done.stderr.splitlines()
    assert git == "set-up: git is needed, and not there (Debian, Ubuntu: apt-get install git)"
    assert make == "set-up: make is needed, and not there (Debian, Ubuntu: apt-get install make)"
    assert "cannot make virtual environments" in venv
    assert f"apt-get install {VENV_PACKAGE}" in venv
    assert list(home.iterdir()) == []
    assert not (checkout / ".venv").exists()


def test_an_old_python_is_named(checkout: Path, home: Path, programs: Path) -> None:
    """The message says which was found and what to install."""
    program(programs / "python3", "echo 3.9; exit 1")
    done = set_up(checkout, HOME=str(home), PATH=str(programs))
    assert done.returncode == 1
    assert done.stderr == (
        "set-up: Python 3.11 or newer is needed, and python3 is 3.9. "
        "Install one (Debian, Ubuntu: apt-get install python3.11)\n"
    )


def test_a_newer_python_beside_an_old_one_is_found(checkout: Path, home: Path, programs: Path) -> None:
    """It gets as far as what else is missing."""
    program(programs / "python3", "echo 3.9; exit 1")
    program(programs / "python3.11", f'exec "{BASE_PYTHON}" "$@"')
    done = set_up(checkout, HOME=str(home), PATH=str(programs))
    assert "set-up: git is needed" in done.stderr
    assert "Python 3.11 or newer" not in done.stderr


def test_without_a_network_the_reason_is_the_last_line(checkout: Path, home: Path) -> None:
    """A failed installation is not taken for a finished one, and leaves only what can be used again."""
    nowhere = "http://127.0.0.1:9"
    done = set_up(
        checkout,
        HOME=str(home),
        PATH=os.environ["PATH"],
        TIDEFLOW_CONTROL_PLANE="/nowhere",
        HTTPS_PROXY=nowhere,
        UV_HTTP_RETRIES="0",
        PIP_RETRIES="0",
    )
    assert done.returncode != 0
    assert "see above" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (checkout / ".venv" / ".set-up").exists()


@pytest.mark.soak
def test_a_bare_machine_is_set_up_once(checkout: Path, home: Path, programs: Path, binaries: Path) -> None:
    """Without uv, from package indexes; the second time there is nothing to do and nothing to say."""
    for name in ("git", "make"):
        (programs / name).symlink_to(str(shutil.which(name)))
    program(programs / "python3", f'exec "{BASE_PYTHON}" "$@"')
    needed = ("SSL_CERT_FILE", "PIP_CERT", "UV_DEFAULT_INDEX", "PIP_INDEX_URL", "HTTPS_PROXY")
    environment = {name: os.environ[name] for name in needed if name in os.environ} | {
        "HOME": str(home),
        "PATH": str(programs),
        "TIDEFLOW_CONTROL_PLANE": str(binaries),
    }
    first = set_up(checkout, **environment)
    assert first.returncode == 0, first.stderr
    assert "installing uv" in first.stdout
    assert (checkout / ".venv" / "bin" / "pyinfra").exists()
    assert {found.name for found in home.iterdir()} == {".cache"}
    assert {found.name for found in (home / ".cache").iterdir()} == {"tideflow"}
    second = set_up(checkout, **environment)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
