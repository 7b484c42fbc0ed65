"""Fixtures of all tests that start servers: the control plane's programs, and one control plane."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.planes import Plane

from tideflow.errors import RehearsalError
from tideflow.rehearsal import building

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def binaries(pytestconfig: pytest.Config) -> Path:
    """Return the folder of the control plane's programs, compiled now if nobody has yet."""
    return _built(pytestconfig, building.binaries)


@pytest.fixture(scope="session")
def auth_proxy(pytestconfig: pytest.Config) -> Path:
    """Return the program oauth2-proxy, compiled now if nobody has yet."""
    return _built(pytestconfig, building.auth_proxy)


def _built(pytestconfig: pytest.Config, build: Callable[[Callable[[str], None]], Path]) -> Path:
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def show(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(line, flush=True)  # noqa: T201 - minutes without a word look like a hang

    try:
        return build(show)
    except RehearsalError as error:
        pytest.skip(f"the control plane cannot be had here: {error}")


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Yield a folder with a short path: sockets may come into it."""
    with tempfile.TemporaryDirectory(prefix="tideflow-test-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def plane(binaries: Path) -> Iterator[Plane]:
    """Yield a control plane of the session's own, with its token webhook and without stand-ins."""
    with (
        tempfile.TemporaryDirectory(prefix="tideflow-test-") as folder,
        Plane(Path(folder), binaries) as plane,
    ):
        plane.start()
        yield plane
