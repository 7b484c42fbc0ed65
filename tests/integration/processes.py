"""Runs of the engine in processes of their own, for tests that kill them, stall them, or have two at once."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = """
import json, os, sys, time
from pathlib import Path
from tideflow.clients.kubernetes import Kubernetes
from tideflow.engine import applying, lease, pruning, records, release, writing
from tideflow.engine.manifests import load
from tideflow.errors import TideflowError

given = json.loads(sys.argv[2])
exec(given["first"])
cluster = Kubernetes.from_kubeconfig(Path(sys.argv[1]))
try:
    application = applying.Application(
        cluster,
        set_name=given["set_name"],
        manifests=load(given["objects"]),
        options=applying.Options(**given["options"]),
    )
    plan = application.plan()
    exec(given["planned"])
    print(application.run(plan, progress=lambda text: print(text, flush=True)))
except TideflowError as error:
    sys.exit(str(error))
"""


class Processes:
    """Starts such runs with one kubeconfig; leaving the context ends those that have not ended themselves."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._started: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what still runs."""
        for process in self._started:
            process.kill()
            process.communicate()

    def start(
        self,
        objects: list[dict[str, Any]],
        *,
        set_name: str,
        first: str = "",
        planned: str = "",
        **options: Any,
    ) -> subprocess.Popen[str]:
        """Apply a set in another process, which runs code of ours ``first``, and when it has ``planned``."""
        given = {
            "set_name": set_name,
            "objects": objects,
            "options": options,
            "first": first,
            "planned": planned,
        }
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(self._kubeconfig), json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process


def line(process: subprocess.Popen[str]) -> str:
    """Return the next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline()


def go_on(process: subprocess.Popen[str]) -> None:
    """Have a process go on that waits for a line."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a process, and return its code and what it said."""
    printed, complaints = process.communicate(timeout=120)
    return process.returncode, printed + complaints
