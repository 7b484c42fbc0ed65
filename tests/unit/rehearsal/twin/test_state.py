"""What the twin knows outlives it, however it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.rehearsal.twin.calling import create

from tideflow.errors import RehearsalError
from tideflow.rehearsal.twin.state import State

if TYPE_CHECKING:
    from pathlib import Path

WRITER = """
import itertools, sys
from pathlib import Path
from tideflow.rehearsal.twin.cluster import Cluster, Pool
from tideflow.rehearsal.twin.state import State

state = State(Path(sys.argv[1]))
pools = [Pool(name="pool", size="s-2vcpu-4gb", count=500)]
for number in itertools.count(len(state.clusters)):
    cluster = Cluster(name=f"c{number}", region="nyc3", version="1.34.1-do.2", id=str(number), pools=pools)
    state.clusters = {**dict(list(state.clusters.items())[-9:]), cluster.id: cluster}
    state.save()
    print(number, flush=True)
"""


def test_what_it_knows_survives_a_restart(api: Any, state: State, tmp_path: Path) -> None:
    """In a file of mode 0600."""
    create(api, tags=["one"])
    file = tmp_path / "state.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert State(file).clusters == state.clusters


def test_what_an_older_twin_knew_is_read(tmp_path: Path) -> None:
    """Without what it did not know yet."""
    file = tmp_path / "state.json"
    node = {"name": "pool-1", "id": "12345678-0", "created_at": 1.0, "state": "running"}
    pool = {"name": "pool", "size": "s-2vcpu-4gb", "count": 1, "id": "p", "nodes": [node]}
    cluster = {"name": "ml", "region": "nyc3", "version": "1.34.1-do.2", "id": "c", "pools": [pool]}
    file.write_text(json.dumps({"clusters": [cluster]}))
    state = State(file)
    assert state.clusters["c"].pools[0].nodes[0].name == "pool-1"
    state.save()
    assert State(file).clusters == state.clusters


@pytest.mark.parametrize(
    "damage",
    [b"", b"[]", b"{", b'{"clusters": [{}]}', b'{"clusters": {"a": 1}}', b'{"clusters": [7]}', b"\xff"],
)
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, damage: bytes) -> None:
    """It names the file and says what to do."""
    file = tmp_path / "state.json"
    file.write_bytes(damage)
    with pytest.raises(RehearsalError, match=f"cannot be read from {file} .*; remove {tmp_path} ") as raised:
        State(file)
    assert "\n" not in str(raised.value)


def test_a_kill_leaves_what_was_written(tmp_path: Path) -> None:
    """A process that does nothing but write is killed five times: the file is whole, and has all of it."""
    file = tmp_path / "state.json"
    saved = -1
    for _ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, file], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(10):
                saved = int(writer.stdout.readline())
            writer.kill()
            last = [saved, *map(int, writer.stdout.read().split("\n")[:-1])][-1]
        found = State(file).clusters
        # It may have been killed before it could say that it has written the next one.
        assert list(found)[-1] in {str(last), str(last + 1)}
        assert all(len(cluster.pools[0].nodes) == 500 for cluster in found.values())
