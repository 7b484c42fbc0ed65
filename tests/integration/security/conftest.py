"""A rehearsal that all tests about its safety share; none of them changes it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.deploying import Checkout
from tests.integration.security.scenes import QUICK

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def rehearsed(binaries: Path, auth_proxy: Path) -> Iterator[Checkout]:
    """Deploy everything with the sample, in a folder that everybody may enter and for a careless user.

    With the umask 0, only what the project itself makes private is.
    """
    assert binaries.is_dir()
    assert auth_proxy.is_file()
    with tempfile.TemporaryDirectory(prefix="tideflow-test-") as folder:
        Path(folder).chmod(0o755)
        checkout = Checkout.make(Path(folder))
        checkout.platform.mkdir(parents=True)
        (checkout.platform / "sample-base").touch()
        (checkout.folder / "group_data" / "ml-platform.py").write_text(QUICK)
        before = os.umask(0)
        try:
            checkout.pyinfra("deploys/all.py")
        finally:
            os.umask(before)
        try:
            yield checkout
        finally:
            checkout.stop()
