"""Fixtures of the twin's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.rehearsal.twin.calling import client
from tests.unit.rehearsal.twin.passing import World

from tideflow.rehearsal.twin.state import State

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def state(tmp_path: Path) -> State:
    """Return what a new twin knows."""
    return State(tmp_path / "state.json")


@pytest.fixture
def api(state: State, tmp_path: Path) -> Any:
    """Return a client with the right token; nothing makes progress by itself."""
    return client(state, tmp_path)


@pytest.fixture
def world(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a twin without control planes."""
    return World(state, tmp_path, monkeypatch)
