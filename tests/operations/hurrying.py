"""A program that runs pyinfra as often as it is told, each time at once and in a time that passes faster.

Python's imports are done once, and each run is a fork of this process: as real as any, and as easily killed.
It reads a run's settings from each line, as JSON, and answers with the run's process id and how it ended.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
import time
from typing import Any

from pyinfra_cli.main import main as pyinfra

# Waits between looks are of seconds, and so is patience with an API that fails.
_SPEED = 100.0


def main() -> None:
    """Run pyinfra for each line that is read."""
    _hurry()  # before anything of ours takes a clock for a default
    for package in ("tideflow.clients", "tideflow.connectors", "tideflow.operations"):
        _import_all(package)
    for line in sys.stdin:
        run = json.loads(line)
        process = os.fork()
        if not process:
            _become(**run)
        _answer(process)
        _, status = os.waitpid(process, 0)
        _answer(os.waitstatus_to_exitcode(status))


def _import_all(package: str) -> None:
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        importlib.import_module(module.name)


def _become(*, folder: str, printed: str, arguments: list[str], environment: dict[str, str]) -> None:
    """Be a run of pyinfra, whose output goes to a file, and end."""
    os.chdir(folder)
    os.environ.update(environment)
    output = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for number in (1, 2):
        os.dup2(output, number)
    sys.argv = ["pyinfra", *arguments]
    status: Any = 1
    try:
        status = pyinfra()
    except SystemExit as end:
        status = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else int(status is not None))


def _hurry() -> None:
    """Have time pass faster for whoever waits, or asks how long; what a clock on the wall shows stays."""
    sleep, monotonic = time.sleep, time.monotonic
    time.sleep = lambda seconds: sleep(float(seconds) / _SPEED)
    time.monotonic = lambda: monotonic() * _SPEED


def _answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
