"""Programs: their output, and nothing left of them when they take too long."""

import os
import sys
import time
from pathlib import Path

import pytest

from tideflow.vendoring.programs import ProgramError, output_of


def run(folder: Path, script: str, timeout: float = 60) -> str:
    """Run a script of the shell."""
    return output_of(["/bin/sh", "-c", script], cwd=folder, env={"PATH": os.environ["PATH"]}, timeout=timeout)


def test_output_is_returned_from_an_environment_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not given is not seen."""
    monkeypatch.setenv("KUBECONFIG", "x")
    assert run(tmp_path, 'echo "$KUBECONFIG"; pwd -P') == f"\n{tmp_path.resolve()}\n"


def test_a_failure_says_why_in_one_line(tmp_path: Path) -> None:
    """Git says more after the reason, kustomize warns before it."""
    with pytest.raises(ProgramError, match=r"^sh failed: fatal: no$"):
        run(tmp_path, "echo warning >&2; echo fatal: no >&2; echo and so on >&2; exit 3")
    with pytest.raises(ProgramError, match=r"^sh failed: it did not say why$"):
        run(tmp_path, "exit 3")


def test_a_program_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    """A child that holds the pipe open does not keep us waiting, and does not go on."""
    script = (
        f'{sys.executable} -c \'import os, time; print(os.getpid(), file=open("pid", "w")); time.sleep(60)\''
    )
    with pytest.raises(ProgramError, match="sh took longer than 2 seconds"):
        run(tmp_path, f"{script} & wait", timeout=2)
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not _runs(pid):
            return
        time.sleep(0.05)
    pytest.fail("the child went on")


def _runs(pid: int) -> bool:
    """Say whether a process is there and is no zombie that its new parent has yet to notice."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
