"""A run on a terminal of its own, to which somebody types what it asks for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


def typed(
    folder: Path, arguments: Sequence[str], environment: Mapping[str, str], answers: Sequence[tuple[str, str]]
) -> str:
    """Run pyinfra, type each answer once its question is there, and return all that the terminal showed."""
    program = str(Path(sys.executable).with_name("pyinfra"))
    with subprocess.Popen(
        [sys.executable, "-c", _TERMINAL, program, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        shown = b""
        for question, answer in answers:
            asked = len(shown)
            while question.encode() not in shown[asked:]:
                piece = process.stdout.read(4096)
                assert piece, shown.decode(errors="replace")
                shown += piece
            process.stdin.write(answer.encode() + b"\n")
        while piece := process.stdout.read(4096):
            shown += piece
    text = shown.decode(errors="replace")
    assert process.returncode == 0, text
    return text
