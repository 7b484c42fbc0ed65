"""Running a program as a whole, and what it took: time, memory, CPU.

As Linux counts, a program's peak memory begins with that of who started it. So programs are started by a
small process: this module as a program.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class BenchmarkError(Exception):
    """A program that was to be measured failed; there is nothing to measure then."""


@dataclass(frozen=True)
class Measured:
    """One run of a program: seconds by the clock, seconds of its CPUs, and MB of memory at its peak."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    output: str = ""


def measure(
    command: Sequence[str | Path], *, folder: Path, environment: Mapping[str, str] | None = None
) -> Measured:
    """Run a program in ``folder`` to its end, with ``environment`` on top of ours.

    Its output goes to a file: reading along would cost it time. Raises ``BenchmarkError`` if it fails.
    """
    log, report = folder / "output.log", folder / "measured.json"
    with log.open("wb") as output:
        done = subprocess.run(
            [sys.executable, __file__, report, *command],
            cwd=folder,
            env={**_inherited(), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    text = log.read_text(errors="replace")
    if done.returncode != 0:
        shown = " ".join(map(str, command))
        raise BenchmarkError(f"{shown} ended with {done.returncode}:\n{text[-4000:]}")
    return Measured(**json.loads(report.read_text()), output=text)


def _inherited() -> dict[str, str]:
    """Return our environment without what names another platform, or changes what Python does by default."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TIDEFLOW_", "DIGITALOCEAN_", "PYTHON")) and name != "KUBECONFIG"
    }


def _launch(report: Path, command: Sequence[str]) -> int:
    """Run the program, write what it took, and return its exit status."""
    started = time.monotonic()
    _, status, usage = os.wait4(os.posix_spawnp(command[0], list(command), os.environ), 0)
    seconds = time.monotonic() - started
    took = {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss * 1024 / 1e6,
    }
    report.write_text(json.dumps(took))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(_launch(Path(sys.argv[1]), sys.argv[2:]))
