"""A checkout of its own for a test: run pyinfra in it, and read what the rehearsal's audit log says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

PROJECT = Path(__file__).parents[2]
_PROGRAMS = Path(sys.executable).parent
_WRITES = {"create", "update", "patch", "delete", "deletecollection"}
_PLATFORM = "ml-platform"


def clean_environment() -> dict[str, str]:
    """Return the environment without what a tester has set for platforms of their own."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TIDEFLOW_", "DIGITALOCEAN_")) or name == "TIDEFLOW_CONTROL_PLANE"
    }


@dataclass(frozen=True)
class Folder:
    """A folder that our programs are run in, as a user does.

    A program that runs for more than ``patience`` seconds is a failure.
    """

    folder: Path
    patience: float = 600

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one of our programs to its end."""
        process = self.begin(*command, **environment)
        try:
            stdout, stderr = process.communicate(timeout=self.patience)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        assert not check or process.returncode == 0, f"{' '.join(command)}\n{stdout}\n{stderr}"
        return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)

    def begin(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Start one of our programs, as ``uv run`` would, with nothing of the tester's own settings."""
        return subprocess.Popen(
            [_PROGRAMS / command[0], *command[1:]],
            cwd=self.folder,
            env=clean_environment() | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@dataclass(frozen=True)
class Checkout(Folder):
    """A folder with what users run, and a rehearsal of its own under ``.tideflow``."""

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Copy what a clone has, without upstream's manifests."""
        for name in ("deploys", "group_data", "templates"):
            shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(PROJECT / "inventory.py", folder)
        shutil.copytree(
            PROJECT / "vendored", folder / "vendored", ignore=shutil.ignore_patterns("kubeflow", ".*")
        )
        return cls(folder)

    @property
    def platform(self) -> Path:
        """The folder of the platform's own files."""
        return self.folder / ".tideflow" / _PLATFORM

    def pyinfra(self, *arguments: str, check: bool = True, **environment: str) -> str:
        """Run deploy files, and return what was printed."""
        done = self.run("pyinfra", "-y", "inventory.py", *arguments, check=check, **environment)
        return done.stdout + done.stderr

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        """Run kubectl as the closing lines say."""
        return self.run(
            "kubectl", "--kubeconfig", str(self.platform / "kubeconfig"), *arguments, check=check
        ).stdout

    def get(self, *arguments: str) -> Any:
        """Return what kubectl gets, as JSON."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def not_running(self) -> list[str]:
        """Return the pods that neither run nor have completed."""
        pods = self.get("pods", "--all-namespaces")["items"]
        assert pods
        return [
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            for pod in pods
            if pod["status"].get("phase") not in {"Running", "Succeeded"}
        ]

    def writes(self, since: int = 0) -> list[dict[str, Any]]:
        """Return Tideflow's own writes in the audit log, from its ``since``-th line on."""
        lines = (self.platform / "rehearsal" / "audit.log").read_text().splitlines()[since:]
        events = [json.loads(line) for line in lines]
        return [
            event
            for event in events
            if event["verb"] in _WRITES
            and "dryRun=All" not in event["requestURI"]
            and event.get("userAgent", "").startswith("tideflow/")
        ]

    def mark(self) -> int:
        """Return how long the audit log is, to look only at what comes after."""
        return len((self.platform / "rehearsal" / "audit.log").read_text().splitlines())

    def stop(self) -> None:
        """Stop all that the rehearsal started."""
        self.run("tideflow", "rehearsal", "stop")


def failed(writes: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """Return status and path of the writes that were refused."""
    return [
        (event["responseStatus"]["code"], event["requestURI"])
        for event in writes
        if event["responseStatus"]["code"] >= 400
    ]


def written(writes: list[dict[str, Any]]) -> set[str]:
    """Return what was written, as ``resource namespace/name``, records and leases of our own apart."""
    references = [event["objectRef"] for event in writes]
    return {
        f"{found['resource']} {found.get('namespace', '')}/{found.get('name', '')}"
        for found in references
        if found.get("namespace") != "tideflow"
    }
