"""What CI runs does not take silence for success."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PASSES = "def test_a() -> None:\n    pass\n"
SKIPS = "import pytest\n@pytest.mark.skip(reason='{}')\ndef test_b() -> None:\n    pass\n"
FAILS = "def test_c() -> None:\n    raise AssertionError\n"
NO_GO = "there is no Go compiler here, and its wheel is large"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with CI's script, the data it wants, and a `make test` of nothing but pytest."""
    folder = tmp_path / "checkout"
    for made in (folder / ".ci", folder / ".venv" / "bin", tmp_path / "shared" / "kubeflow"):
        made.mkdir(parents=True)
    (tmp_path / "shared" / "digitalocean").mkdir()
    shutil.copy(PROJECT / ".ci" / "run", folder / ".ci")
    python = folder / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (folder / "Makefile").write_text("test:\n\t@.venv/bin/python -m pytest -p no:cacheprovider test_it.py\n")
    return folder


def run(checkout: Path, tests: str) -> subprocess.CompletedProcess[str]:
    """Run CI over these tests."""
    (checkout / "test_it.py").write_text(tests)
    return subprocess.run([checkout / ".ci" / "run"], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("tests", [PASSES, PASSES + SKIPS.format(NO_GO)])
def test_it_passes_with_its_tests(checkout: Path, tests: str) -> None:
    """Pytest's closing line is in the output; what the machine cannot do is no reason to fail."""
    done = run(checkout, tests)
    assert done.returncode == 0, done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        (FAILS + PASSES, ""),
        ("", ""),
        (PASSES + SKIPS.format("not today"), "CI: test_b was skipped: not today"),
        (SKIPS.format(NO_GO), "CI: no test ran"),
    ],
)
def test_it_fails_otherwise(checkout: Path, tests: str, said: str) -> None:
    """Also when nothing failed, because nothing ran or too little."""
    done = run(checkout, tests)
    assert done.returncode != 0
    assert said in done.stderr


def test_it_fails_without_the_data(checkout: Path) -> None:
    """Tests of real releases would be skipped."""
    (checkout.parent / "shared" / "kubeflow").rmdir()
    done = run(checkout, PASSES)
    assert done.returncode == 1
    assert "kubeflow is not there" in done.stderr
