"""``make acceptance``, with the twin for the account: the whole life of a platform with a whole release."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.deploying import PROJECT, Checkout
from tests.integration.twins import TOKEN, Twin

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = os.environ.get("TIDEFLOW_TEST_KUBEFLOW", "")

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not FOLDER, reason="TIDEFLOW_TEST_KUBEFLOW names no folder with Kubeflow's manifests"),
    pytest.mark.usefixtures("binaries"),
]


@pytest.fixture
def account(tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Serve a twin, and return a folder with what users have and the environment that leads to the twin."""
    checkout = Checkout.make(tmp_path)
    checkout.run("tideflow", "vendor", "--from", str(Path(FOLDER).resolve()))
    with Twin(tmp_path) as twin:
        yield tmp_path, {"PYTHONPATH": str(PROJECT), **twin.leading("accepted")}


def test_it_passes_and_leaves_nothing(account: tuple[Path, dict[str, str]]) -> None:
    """Every step goes well; under a cap that is reached at once, nothing is made, and that is a failure."""
    folder, leading = account

    def accept(dollars: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tests.acceptance"],
            cwd=folder,
            env={**os.environ, **leading, "TIDEFLOW_ACCEPTANCE_DOLLARS": dollars},
            capture_output=True,
            text=True,
            check=False,
        )

    done = accept("3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("nothing there: well") == 2
    assert TOKEN not in done.stdout + done.stderr

    poor = accept("0.0001")
    assert poor.returncode == 1
    assert "what would be made: not tried, the cap is reached" in poor.stdout
    assert "teardown: well" in poor.stdout
