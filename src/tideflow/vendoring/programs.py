"""Running git and kustomize: with a time limit, in an environment of their own, without leaving children."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

from tideflow.errors import VendoringError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class ProgramError(VendoringError):
    """A program ended with an error; ``stderr`` is what it said."""

    def __init__(self, message: str, *, stderr: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.stderr = stderr


def output_of(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float) -> str:
    """Run ``command`` in the folder ``cwd`` and return its standard output.

    ``timeout`` is in seconds; when it is over, or the run is interrupted, the command is killed together with
    all that it started. Raise ProgramError when it cannot be started, takes too long, or fails.
    """
    name = os.path.basename(command[0])  # noqa: PTH119 - a name, not a path that is opened
    try:
        process = subprocess.Popen(  # noqa: S603 - a list, and no shell
            command,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError as e:
        raise ProgramError(f"{name} is not installed") from e
    with process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as e:
            raise ProgramError(f"{name} took longer than {timeout:g} seconds") from e
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise ProgramError(f"{name} failed: {_reason(stderr)}", stderr=stderr)
    return stdout


def _reason(stderr: str) -> str:
    """Return the line that says why: git says more after it, kustomize warns before it."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    fatal = [line for line in lines if line.lower().startswith(("fatal:", "error:"))]
    return (fatal or lines or ["it did not say why"])[-1][:500]
