"""What ``make acceptance`` does when it is stopped, with a program of the test's in the place of pyinfra."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.acceptance import chosen, steps

from tideflow.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[2]
MAIN = """
import sys
from pathlib import Path
from tests import acceptance

acceptance._PROGRAMS = Path.cwd()
acceptance._versions = lambda token: ("1.33", "1.34")
acceptance._SETTLING, acceptance._TEARDOWNS, acceptance._STOPPING = 0.0, (0.0, 0.0, None), 1.0
sys.exit(acceptance.main())
"""
# Steps of deploys/all.py last until they are stopped, and the teardown fails as often as a test says.
PYINFRA = """#!/bin/sh
echo "$@" >> asked
case "$*" in
  *--dry*teardown*) echo there is nothing of it ;;
  *--dry*) echo would create the cluster ;;
  *teardown*) if [ -s failures ]; then sed -i 1d failures; exit 1; fi ;;
  *) trap 'echo interrupted >> asked; exit 130' INT; trap 'echo terminated >> asked' TERM HUP
     while :; do sleep 0.1; done ;;
esac
"""


class Acceptance:
    """A run of it."""

    def __init__(self, folder: Path, dollars: str) -> None:
        self._asked = folder / "asked"
        (folder / "pyinfra").write_text(PYINFRA)
        (folder / "pyinfra").chmod(0o755)
        environment = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(PROJECT),
            "TIDEFLOW_PLATFORM": "lab",
            "DIGITALOCEAN_ACCESS_TOKEN": "canary-token",
            "TIDEFLOW_ACCEPTANCE_DOLLARS": dollars,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", MAIN],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def asked(self) -> list[str]:
        """The deploy files that were run, and how they ended if a test made them."""
        lines = self._asked.read_text().splitlines() if self._asked.exists() else []
        return [f"{'dry ' if '--dry' in line else ''}{line.rpartition('/')[2]}" for line in lines]

    def reached(self, step: str) -> None:
        """Wait until a deploy file is run."""
        assert self.process.stdout is not None
        while step not in self.asked:
            assert self.process.poll() is None, self.process.stdout.read()

    def ended(self) -> str:
        """Wait until it has ended, without success; return what it printed."""
        printed, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 1, printed
        assert "Traceback" not in printed
        return printed


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Acceptance]:
    """Yield a run that has time."""
    made = Acceptance(tmp_path, "9")
    yield made
    with made.process:
        made.process.kill()


BEFORE = ["dry teardown.py", "dry all.py", "all.py"]
AFTER = ["teardown.py", "dry teardown.py"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whatever_stops_it_there_is_a_teardown(begun: Acceptance, number: signal.Signals) -> None:
    """What is under way is interrupted, as by Ctrl-C, and not killed."""
    begun.reached("all.py")
    begun.process.send_signal(number)
    assert "stopping: what is under way is waited for" in begun.ended()
    assert begun.asked == [*BEFORE, "interrupted", *AFTER]


def test_a_teardown_that_fails_is_tried_again(begun: Acceptance, tmp_path: Path) -> None:
    """Twice, and not more often; nor is it stopped by another signal, or a terminal that is gone."""
    (tmp_path / "failures").write_text("1\n2\n")
    begun.reached("all.py")
    assert begun.process.stdout is not None
    begun.process.stdout.close()
    for number in (signal.SIGHUP, signal.SIGTERM):
        begun.process.send_signal(number)
    begun.process.wait(60)
    assert begun.asked == [*BEFORE, "interrupted", "teardown.py", "teardown.py", *AFTER]


def test_the_cap_interrupts_what_is_under_way(tmp_path: Path) -> None:
    """And what does not end then is killed, if it takes too long."""
    run = Acceptance(tmp_path, "0.002")
    assert "made: it took until the time was over" in run.ended()
    assert run.asked == [*BEFORE, "interrupted", *AFTER]


def test_two_minors_in_a_row_are_taken_that_are_offered_and_supported() -> None:
    """There may be one only; then nothing is upgraded."""
    offered = ["1.36.0-do.0", "1.35.2-do.1", "1.34.1-do.2", "1.33.6-do.2", "1.33.5-do.0"]
    assert chosen(offered, ["1.33", "1.34", "1.35"]) == ("1.34", "1.35")
    assert chosen(offered, ["1.33", "1.35", "1.36"]) == ("1.35", "1.36")
    assert chosen(offered, ["1.33", "1.35"]) == ("1.35", "1.35")
    with pytest.raises(SettingError, match=r"offers none of the minors 1\.31"):
        chosen(offered, ["1.31"])
    names = [[step.name for step in steps("", "1.34", new)] for new in ("1.34", "1.35")]
    assert set(names[1]) - set(names[0]) == {"upgrade"}
