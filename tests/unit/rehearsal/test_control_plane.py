"""What a control plane says when it cannot be started; all else needs a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tideflow.errors import RehearsalError
from tideflow.rehearsal.control_plane import ControlPlane, _essence

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("log", "essence"),
    [
        ("", "it wrote nothing"),
        ("I1124 03:43:39.882202   21547 a.go:3] one\nlast words\n\n", "last words"),
        (
            'E1124 03:43:39.882202   21547 run.go:74] "command failed" err="bind: address in use"\nI am done',
            '"command failed" err="bind: address in use"',
        ),
        ("panic: broken\n\ngoroutine 1 [running]:\nmain.main()\n", "panic: broken"),
        ("Error: " + "x" * 1000, "Error: " + "x" * 293),
    ],
)
def test_of_a_log_the_line_that_says_why_is_shown(log: str, essence: str) -> None:
    """Without the header of the logger, and capped."""
    assert _essence(log) == essence


@pytest.mark.parametrize("content", ["", "[]", "{", '{"port": 1}', '{"port": 1, "sockets": "/s", "more": 1}'])
def test_a_damaged_state_is_said(tmp_path: Path, content: str) -> None:
    """One line that names the file and what to do."""
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(RehearsalError, match=r"state\.json cannot be read") as raised:
        ControlPlane(tmp_path).components()
    assert "tideflow rehearsal stop" in raised.value.hint
