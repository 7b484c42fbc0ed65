"""The contenders, and the clusters they are run against."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from tests.benchmarks.latency import Latency
from tests.benchmarks.objects import PROJECT
from tests.benchmarks.processes import measure
from tests.integration.planes import Plane

from tideflow.rehearsal import nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.benchmarks.objects import Objects
    from tests.benchmarks.processes import Measured

HERE = Path(__file__).parent
PROGRAMS = Path(sys.executable).parent
CONTEXT = "benchmark"
MOST_PASSES = 20
PAUSE = 20  # seconds between two passes of the loop that people run


@dataclass
class Cluster:
    """A control plane, and a folder to run contenders in; each run has a user of its own in the audit log."""

    plane: Plane
    folder: Path
    runs: int = 0
    user: str = ""

    def tideflow(
        self, objects: Objects, *, wait: bool = False, cold: bool = False, port: int = 0
    ) -> Measured:
        """Apply with Tideflow; ``cold`` is a first run on a machine, without anything cached."""
        if cold:
            shutil.rmtree(self.folder / ".tideflow", ignore_errors=True)
        data = {
            "benchmark_source": objects.source,
            "benchmark_wait": str(wait).lower(),
            "hostname": "kubeflow.test",
            "email": "somebody@kubeflow.test",
        }
        settings = [part for name, value in data.items() for part in ("--data", f"{name}={value}")]
        command: list[str | Path] = [
            PROGRAMS / "pyinfra",
            "-y",
            *("--group-data", PROJECT / "group_data"),
            *settings,
            HERE / "inventory.py",
            HERE / "deploys" / "apply.py",
        ]
        return measure(command, folder=self.folder, environment={"KUBECONFIG": str(self._kubeconfig(port))})

    def kubectl(self, objects: Objects, *, port: int = 0) -> Measured:
        """Apply with kubectl, again and again until a pass succeeds, as is told to everybody."""
        apply = '"$0" --kubeconfig "$1" apply --server-side --force-conflicts -f "$2"'
        again = f"[ $n -lt {MOST_PASSES} ] || exit 1; sleep {PAUSE}; n=$((n + 1))"
        loop = f"n=1; until {apply}; do {again}; done; echo passes: $n"
        command: list[str | Path] = [
            "sh",
            "-c",
            loop,
            PROGRAMS / "kubectl",
            self._kubeconfig(port),
            objects.one_file,
        ]
        return measure(command, folder=self.folder)

    def floor(self, objects: Objects, *, port: int = 0) -> Measured:
        """Write all objects, and do nothing else."""
        command: list[str | Path] = [sys.executable, HERE / "floor.py", self._kubeconfig(port), objects.lines]
        return measure(command, folder=self.folder)

    @contextmanager
    def at_a_distance(self, round_trip: float) -> Iterator[int]:
        """Yield a port from which the API server is ``round_trip`` seconds away."""
        port = int(self.plane.control_plane.endpoint.rpartition(":")[2])
        with Latency(port, round_trip / 2) as latency:
            yield latency.port

    def add_nodes(self, number: int) -> None:
        """Add nodes of the size that Tideflow uses unless told otherwise."""
        client = self.plane.client()
        size: dict[str, Any] = {"size_slug": "s-4vcpu-8gb", "cpus": 4, "memory_mib": 8192, "region": "nyc3"}
        names = [f"node-{count}" for count in range(number)]
        nodes.sync(
            client,
            [nodes.Node(name=name, id=name, pool_name="nodes", pool_id="nodes", **size) for name in names],
        )
        client.close()

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests of the last run; stops the control plane, which then has told of all."""
        self.plane.control_plane.stop()
        return [event for event in self.plane.audited() if event["user"]["username"] == self.user]

    def _kubeconfig(self, port: int) -> Path:
        """Write a kubeconfig with a user of its own, whose context is named as the inventory says."""
        self.runs += 1
        self.user = f"contender-{self.runs}"
        self.plane.reviews.users[self.user] = self.user
        cluster = {
            "server": f"https://127.0.0.1:{port}" if port else self.plane.control_plane.endpoint,
            "certificate-authority": str(self.plane.control_plane.folder / "pki" / "ca.crt"),
        }
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": CONTEXT, "cluster": cluster}],
            "users": [{"name": CONTEXT, "user": {"token": self.user}}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
            "current-context": CONTEXT,
        }
        path = self.folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path


@dataclass
class Contest:
    """Where contests are held, and how often each contender runs."""

    folder: Path
    binaries: Path
    say: Callable[[str], None]
    runs: int = 3
    pod_ready_seconds: tuple[float, float] = (4.0, 16.0)
    _clusters: int = field(default=0, init=False)

    @contextmanager
    def cluster(self, *, stand_ins: bool = False) -> Iterator[Cluster]:
        """Yield an empty cluster; with ``stand_ins`` it has nodes, and webhooks are enforced and served."""
        self._clusters += 1
        folder = self.folder / f"cluster-{self._clusters}"
        folder.mkdir()
        with Plane(folder, self.binaries) as plane:
            plane.start(stand_ins=stand_ins, pod_ready_seconds=self.pod_ready_seconds)
            found = Cluster(plane, folder)
            if stand_ins:
                found.add_nodes(3)
            yield found
        shutil.rmtree(folder)

    def alternate(self, **contenders: Callable[[], Measured]) -> dict[str, list[Measured]]:
        """Run the contenders in turn, so that a busy moment of the machine meets all of them."""
        found: dict[str, list[Measured]] = {name: [] for name in contenders}
        for _ in range(self.runs):
            for name, run in contenders.items():
                found[name].append(self.told(name, run()))
        return found

    def told(self, name: str, took: Measured) -> Measured:
        """Say what a contender's run took, and return it."""
        self.say(f"{name}: {took.seconds:.2f} s, {took.cpu_seconds:.2f} s of CPU, {took.peak_mb:.0f} MB")
        return took


def middle(runs: Sequence[Measured]) -> Measured:
    """Return the run that took the median time."""
    return sorted(runs, key=lambda run: run.seconds)[(len(runs) - 1) // 2]
