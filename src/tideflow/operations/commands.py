"""The commands that people are told to run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tideflow.connectors.inventory import PLATFORM


def programs() -> str:
    """Return what to put before the name of a program of ours: its folder, if that is below this one."""
    folder = Path(sys.executable).parent
    return f"{folder.relative_to(Path.cwd())}/" if folder.is_relative_to(Path.cwd()) else ""


def to_run(step: str) -> str:
    """Return the command that runs a step of this platform, such as ``cluster``, for messages."""
    named = os.environ.get(PLATFORM, "")
    return f"{f'{PLATFORM}={named} ' if named else ''}{programs()}pyinfra -y inventory.py deploys/{step}.py"
