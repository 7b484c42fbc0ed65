"""The operations that make a cluster, when it does not come up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.deploying import Checkout

from tideflow.rehearsal.control_plane import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def broken(binaries: Path, tmp_path: Path) -> Path:
    """Return the programs of a control plane whose etcd ends as soon as it is started."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in NAMES[:-1]:
        (folder / name).symlink_to(binaries / name)
    (folder / "etcd").unlink()
    (folder / "etcd").write_text("#!/bin/sh\necho there is no room >&2\nexit 1\n")
    (folder / "etcd").chmod(0o755)
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """Return what a clone has; the rehearsal in it is stopped afterwards."""
    (tmp_path / "checkout").mkdir()
    made = Checkout.make(tmp_path / "checkout")
    try:
        yield made
    finally:
        made.stop()


def test_a_cluster_that_does_not_come_up_says_why(checkout: Checkout, broken: Path) -> None:
    """What keeps it is in the line that ends the run, and not only in a log."""
    done = checkout.run(
        *("pyinfra", "-y", "inventory.py", "deploys/cluster.py", "--data", "timeout_minutes=0.1"),
        check=False,
        TIDEFLOW_CONTROL_PLANE=str(broken),
    )
    assert done.returncode == 1
    assert "for the cluster ml-platform: provisioning, 0 of 3 nodes running (" in done.stderr
    assert "there is no room" in done.stderr
    assert "Traceback" not in done.stderr
