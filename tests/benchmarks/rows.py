"""What is measured, row by row, beside the goal that was set for it before there was anything to measure."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from tests.benchmarks.contest import middle
from tests.benchmarks.objects import generated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.benchmarks.contest import Contest
    from tests.benchmarks.objects import Objects
    from tests.benchmarks.processes import Measured

DISTANCE = 0.05  # seconds of a round trip
_WRITES = {"create", "update", "patch", "delete", "deletecollection"}
_TIMES = "\N{MULTIPLICATION SIGN}"
_REFUSED = 400  # HTTP statuses from here on


@dataclass(frozen=True)
class Row:
    """One line of the table: a figure of Tideflow's, the goal for it, and the ``runs`` it is made from."""

    what: str
    figure: float
    unit: str
    goal: float
    tideflow: str
    other: str = ""
    runs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def is_ratio(self) -> bool:
        """Whether the figure is a ratio of two times."""
        return self.unit.startswith(_TIMES)

    @property
    def reached(self) -> bool:
        """Whether the goal is."""
        return self.figure <= self.goal


def first_install(contest: Contest, objects: Objects) -> Iterator[Row]:
    """Yield what it takes to fill an empty cluster, each time a new one, without waiting for readiness."""
    runs: dict[str, list[Measured]] = {"tideflow": [], "floor": []}
    for _ in range(contest.runs):
        with contest.cluster() as cluster:
            runs["floor"].append(contest.told("floor", cluster.floor(objects)))
        with contest.cluster() as cluster:
            runs["tideflow"].append(contest.told("tideflow", cluster.tideflow(objects, cold=True)))
            requests = cluster.requests()
    ours, floor = middle(runs["tideflow"]), middle(runs["floor"])
    yield Row(
        f"first install, {objects.number} objects, not waiting",
        ours.seconds / floor.seconds,
        f"{_TIMES} floor",
        (1.25 * floor.seconds + 2) / floor.seconds,
        f"{ours.seconds:.1f} s",
        f"{floor.seconds:.1f} s",
        _data(runs),
    )
    yield Row("  peak memory", ours.peak_mb, "MB", 200, f"{ours.peak_mb:.0f} MB", f"{floor.peak_mb:.0f} MB")
    yield Row("  refused writes", len(_refused(requests)), "", 0, f"{len(_refused(requests))}")
    yield _requests(requests, objects.number + 2 * objects.types + 20)


def no_op(contest: Contest, objects: Objects) -> Iterator[Row]:
    """Yield what it takes to find out that there is nothing to do, here and at a distance."""
    with contest.cluster() as ours, contest.cluster() as theirs:
        contest.told("tideflow, first", ours.tideflow(objects, cold=True))
        contest.told("kubectl, first", theirs.kubectl(objects))
        runs = contest.alternate(
            tideflow=lambda: ours.tideflow(objects), kubectl=lambda: theirs.kubectl(objects)
        )
        yield from _against_kubectl(f"no-op, {objects.number} objects", runs, 0.30)
        with ours.at_a_distance(DISTANCE) as our_port, theirs.at_a_distance(DISTANCE) as their_port:
            far = contest.alternate(
                tideflow=lambda: ours.tideflow(objects, port=our_port),
                kubectl=lambda: theirs.kubectl(objects, port=their_port),
            )
        yield from _against_kubectl("no-op, round trips of 50 ms", far, 0.07)
        requests = ours.requests()
    pages = sum("continue=" in event["requestURI"] for event in requests)
    yield _requests(requests, objects.types + pages + 6)


def enforced(contest: Contest, objects: Objects) -> Iterator[Row]:
    """Yield what it takes until all is ready in a cluster whose webhooks refuse until they are served."""
    runs: dict[str, list[Measured]] = {"tideflow": [], "kubectl": []}
    for _ in range(contest.runs):
        with contest.cluster(stand_ins=True) as cluster:
            runs["kubectl"].append(contest.told("kubectl", cluster.kubectl(objects)))
            theirs = _refused(cluster.requests())
        with contest.cluster(stand_ins=True) as cluster:
            runs["tideflow"].append(contest.told("tideflow", cluster.tideflow(objects, wait=True, cold=True)))
            requests = cluster.requests()
    ours, other = middle(runs["tideflow"]), middle(runs["kubectl"])
    passes = re.findall(r"passes: (\d+)", other.output)[-1]
    yield Row(
        f"first install, {objects.number} objects, webhooks enforced, until all is ready",
        ours.seconds / other.seconds,
        f"{_TIMES} kubectl's last success",
        0.85,
        f"{ours.seconds:.1f} s",
        f"{other.seconds:.1f} s, {passes} passes",
        _data(runs),
    )
    yield Row(
        "  refused writes", len(_refused(requests)), "", 0, f"{len(_refused(requests))}", f"{len(theirs)}"
    )
    yield Row("  peak memory", ours.peak_mb, "MB", 200, f"{ours.peak_mb:.0f} MB", f"{other.peak_mb:.0f} MB")
    yield _requests(requests, objects.number + 2 * objects.types + 20)


def thousands(contest: Contest, folder: Path, numbers: Sequence[int] = (1_000, 10_000)) -> Iterator[Row]:
    """Yield how things grow with the number of objects, up to where kubectl takes minutes: once each."""
    installs: list[Measured] = []
    unchanged: list[Measured] = []
    for number in numbers:
        objects = generated(folder / f"{number}", number)
        with contest.cluster() as ours, contest.cluster() as theirs:
            installs.append(contest.told("tideflow, first", ours.tideflow(objects, cold=True)))
            contest.told("kubectl, first", theirs.kubectl(objects))
            runs = {
                "tideflow": [contest.told("tideflow", ours.tideflow(objects))],
                "kubectl": [contest.told("kubectl", theirs.kubectl(objects))],
            }
            unchanged += runs["tideflow"]
            if number == numbers[-1]:
                yield from _against_kubectl(f"no-op, {number:,} objects", runs, 0.06, memory=400)
    times = numbers[-1] / numbers[0]
    for what, (few, many) in {"no-op": unchanged, "first install": installs}.items():
        yield Row(
            f"{what}, {numbers[0]:,} → {numbers[-1]:,} objects",
            many.seconds / few.seconds,
            f"{_TIMES} as long",
            times,
            f"{few.seconds:.1f} → {many.seconds:.1f} s, {few.peak_mb:.0f} → {many.peak_mb:.0f} MB",
        )


def _against_kubectl(
    what: str, runs: dict[str, list[Measured]], goal: float, *, memory: float = 200
) -> Iterator[Row]:
    ours, other = middle(runs["tideflow"]), middle(runs["kubectl"])
    yield Row(
        what,
        ours.seconds / other.seconds,
        f"{_TIMES} kubectl",
        goal,
        f"{ours.seconds:.1f} s",
        f"{other.seconds:.1f} s",
        _data(runs),
    )
    yield Row(
        "  peak memory", ours.peak_mb, "MB", memory, f"{ours.peak_mb:.0f} MB", f"{other.peak_mb:.0f} MB"
    )


def _requests(events: Sequence[dict[str, Any]], goal: int) -> Row:
    return Row("  requests", len(events), "", goal, f"{len(events)}")


def _refused(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        event for event in events if event["verb"] in _WRITES and event["responseStatus"]["code"] >= _REFUSED
    ]


def _data(runs: dict[str, list[Measured]]) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [{key: value for key, value in asdict(run).items() if key != "output"} for run in found]
        for name, found in runs.items()
    }
