"""``make acceptance``, with the twin for the account: the whole life of a platform with a whole release."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.deploying import PROJECT, Checkout
from tests.integration.test_doks import answers

from tideflow.rehearsal.addresses import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = os.environ.get("TIDEFLOW_TEST_KUBEFLOW", "")
TOKEN = "canary-acceptance"

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
    port = free_port()
    program = str(Path(sys.executable).with_name("tideflow"))
    command = [program, "twin", "--port", str(port), "--token", TOKEN]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not answers(port):
            assert process.poll() is None
            time.sleep(0.2)
        yield (
            tmp_path,
            {
                "PYTHONPATH": str(PROJECT),
                "TIDEFLOW_PLATFORM": "accepted",
                "DIGITALOCEAN_ACCESS_TOKEN": TOKEN,
                "DIGITALOCEAN_END_POINT": f"http://127.0.0.1:{port}/v2/",
            },
        )
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


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
