"""The token of a twin: made once, and again only if it cannot be one any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tideflow.rehearsal import tokens

if TYPE_CHECKING:
    from pathlib import Path


def test_a_token_is_made_once_and_private(tmp_path: Path) -> None:
    """It has the form of DigitalOcean's own."""
    folder = tmp_path / "twin"
    assert tokens.kept(folder) is None
    token = tokens.kept_or_new(folder)
    assert token.startswith("dop_v1_")
    assert tokens.file(folder).stat().st_mode & 0o777 == 0o600
    assert tokens.kept_or_new(folder) == tokens.kept(folder) == token


@pytest.mark.parametrize(
    "damage", [b"", b"\n", b"\xff", b"soup", b"dop_v1_", b"dop_v1_" + b"g" * 64, b"dop_v1_" + b"a" * 65]
)
def test_what_cannot_be_a_token_is_replaced(tmp_path: Path, damage: bytes) -> None:
    """No header has to carry it, and no twin to take it."""
    tokens.file(tmp_path).write_bytes(damage)
    assert tokens.kept(tmp_path) is None
    token = tokens.kept_or_new(tmp_path)
    assert token == tokens.kept(tmp_path)
    assert token.encode() != damage
