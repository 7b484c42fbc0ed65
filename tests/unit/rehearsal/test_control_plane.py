"""What a control plane says when it cannot be started; all else needs a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tideflow.errors import RehearsalError
from tideflow.rehearsal.control_plane import Component, ControlPlane, _essence
from tideflow.rehearsal.processes import Background

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


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"port": 1}',
        b'{"port": "x", "sockets": "/s", "fingerprints": {}}',
        b'{"port": 1, "sockets": "/s", "fingerprints": ["etcd"]}',
    ],
)
def test_a_damaged_state_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    """The next start writes it anew; until then nobody knows where the server is."""
    (tmp_path / "state.json").write_bytes(content)
    plane = ControlPlane(tmp_path)
    assert plane.components() == []
    with pytest.raises(RehearsalError, match="has never been started"):
        _ = plane.endpoint


def test_what_runs_is_known_without_a_state(tmp_path: Path) -> None:
    """So that it can be told, and stopped."""
    kwok = Background(tmp_path, "kwok")
    kwok.start(["sleep", "600"])
    (tmp_path / "state.json").write_text("soup")
    plane = ControlPlane(tmp_path)
    assert plane.components() == [Component("kwok", kwok.pid)]
    plane.stop()
    assert not kwok.running
