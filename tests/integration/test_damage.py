"""Files of a rehearsal with garbage in them: mended by the next run, or told in one line, and no orphans.

The processes that a test finds are those that carry the mark of this rehearsal, whatever any file says.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.deploying import Checkout

from tideflow.rehearsal.building import AUTH_PROXY
from tideflow.rehearsal.control_plane import NAMES
from tideflow.rehearsal.processes import MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("binaries")

GARBAGE = b"\xff\x00{[ soup"
CLUSTER = "rehearsal/clusters/*"
PKI = f"{CLUSTER}/pki"
READ_BY_EACH_RUN = [
    "kubeconfig",
    "rehearsal/lock",
    "rehearsal/settings.json",
    "rehearsal/state.json",
    "rehearsal/token",
    "rehearsal/twin.pid",
    f"{CLUSTER}/*.pid",
    f"{CLUSTER}/state.json",
    f"{CLUSTER}/*.kubeconfig",
    f"{CLUSTER}/*.yaml",
    f"{PKI}/[!c]*",  # all but the authority's
]
PROCESSES = sorted(["twin", *NAMES])
"""What is always there; an oauth2-proxy comes and goes with its pod."""


def processes(folder: Path) -> list[str]:
    """Return the names of the background processes whose records are below the folder."""
    mark = f"{MARKER}={os.path.realpath(folder)}/".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        found += [os.fsdecode(entry) for entry in environment if entry.startswith(mark)]
    return sorted(Path(entry).stem for entry in found)


def components(folder: Path) -> list[str]:
    """Return the same without what the gateway starts."""
    return [name for name in processes(folder) if name != AUTH_PROXY]


def damage(folder: Path, *patterns: str) -> None:
    """Put garbage into files."""
    files = [file for pattern in patterns for file in folder.glob(pattern)]
    assert files
    for file in files:
        file.write_bytes(GARBAGE)


def refusal(checkout: Checkout) -> str:
    """Return the one line that a run ends with."""
    done = checkout.run("pyinfra", "-y", "inventory.py", "deploys/status.py", check=False)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in output
    lines = [line for line in output.splitlines() if str(checkout.platform) in line]
    assert len(lines) == 1, output
    return lines[0]


def recorded(record: dict[str, Any]) -> set[tuple[str, ...]]:
    """Return the objects that a record is of: group, kind, namespace, name and UID."""
    return {tuple(line[:5]) for line in json.loads(record["data"]["objects"])}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Yield a checkout with all steps done."""
    checkout = Checkout.make(tmp_path_factory.mktemp("damage"))
    (checkout.platform / "sample-base").parent.mkdir(parents=True)
    (checkout.platform / "sample-base").touch()  # as after a look for upstream in vain
    try:
        checkout.pyinfra("deploys/all.py")
        assert components(checkout.folder) == PROCESSES
        yield checkout
    finally:
        checkout.stop()
    assert processes(checkout.folder) == []


@pytest.mark.parametrize("pattern", READ_BY_EACH_RUN)
def test_the_next_run_mends(checkout: Checkout, pattern: str) -> None:
    """It ends well, and there is one process of each."""
    damage(checkout.platform, pattern)
    assert "38 of 38 pods are running" in checkout.pyinfra("deploys/status.py")
    assert components(checkout.folder) == PROCESSES


def test_the_next_run_of_a_step_mends_what_it_reads(checkout: Checkout) -> None:
    """What was parsed, which base it is, and the record in the cluster."""
    damage(checkout.platform, "cache/*.json", "sample-base")
    record = ["configmap", "--namespace", "tideflow", "kubeflow-base-0"]
    before = recorded(checkout.get(*record))
    checkout.kubectl("patch", *record, "--patch", json.dumps({"data": {"objects": "soup"}}))
    checkout.pyinfra("deploys/kubeflow_base.py")
    assert recorded(checkout.get(*record)) == before


def test_a_lost_password_is_replaced_on_request(checkout: Checkout) -> None:
    """Nobody else knows it; status says what to do, and that helps."""
    damage(checkout.platform, "password")
    hint = "--data change_password=true"
    assert f"(another: {hint})" in checkout.pyinfra("deploys/auth.py", "deploys/status.py")
    assert "(made for this rehearsal)" in checkout.pyinfra(
        "deploys/auth.py", "deploys/status.py", *hint.split()
    )


def test_what_is_stopped_is_mended_too(checkout: Checkout) -> None:
    """All of it at once, but for what the twin knows: nobody else does."""
    damage(checkout.platform, "rehearsal/twin.pid", f"{CLUSTER}/*.pid")
    assert checkout.run("tideflow", "rehearsal", "stop").stdout == "ml-platform: stopped\n"
    assert processes(checkout.folder) == []
    assert checkout.run("tideflow", "rehearsal", "stop").stdout == "ml-platform: nothing runs\n"
    (checkout.platform / "rehearsal/twin.pid").touch()
    damage(checkout.platform, *(set(READ_BY_EACH_RUN) - {"rehearsal/state.json", f"{CLUSTER}/*.pid"}))
    assert "38 of 38 pods are running" in checkout.pyinfra("deploys/status.py")
    assert components(checkout.folder) == PROCESSES


def test_what_cannot_be_mended_is_told_with_what_helps(checkout: Checkout) -> None:
    """Only the twin knows its clusters, and all that trusts an authority would have to know a new one."""
    begin_anew = "remove the platform's folder in .tideflow, and start again"
    for pattern in (f"{PKI}/ca.crt", f"{PKI}/ca.key"):
        (file,) = checkout.platform.glob(pattern)
        whole = file.read_bytes()
        file.write_bytes(GARBAGE)
        line = refusal(checkout)
        assert "the certificate authority in" in line
        assert line.endswith(f"run `tideflow rehearsal stop`, {begin_anew}")
        file.write_bytes(whole)
    checkout.stop()
    damage(checkout.platform, "rehearsal/state.json")
    line = refusal(checkout)
    assert "what the twin knew cannot be read from" in line
    assert line.endswith("`make clean` begins anew")

    checkout.stop()
    assert processes(checkout.folder) == []
    shutil.rmtree(checkout.platform)
    checkout.pyinfra("deploys/cluster.py")
    assert components(checkout.folder) == PROCESSES
