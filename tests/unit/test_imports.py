"""Imports: in one direction, and none that makes every command wait for what few need."""

import subprocess
import sys

import pytest
from importlinter.cli import lint_imports

HEAVY = {"digitalocean", "flask", "kubernetes", "pydantic", "requests", "urllib3"}


def test_they_go_one_way(capsys: pytest.CaptureFixture[str]) -> None:
    """The contract is in pyproject.toml, and explained in docs/architecture.md."""
    status = lint_imports(no_cache=True)
    assert status == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    "module",
    [
        "cli",
        "connectors.inventory",
        "connectors.doks",
        "connectors.kubeconfig",
        "connectors.rehearsal",
        "operations.running",
    ],
)
def test_starting_up_is_light(module: str) -> None:
    """Libraries that take long to import wait until somebody calls for them."""
    listing = f"import sys, tideflow.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & HEAVY == set()
