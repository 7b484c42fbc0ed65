"""The ``tideflow`` command. A subcommand imports what it calls, so that none waits for what others need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tideflow import __version__
from tideflow.errors import TideflowError


class _Commands(click.Group):
    """Shows an error of Tideflow's own as one line, and ends with exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TideflowError as e:
            click.secho(f"tideflow: {e}", fg="red", err=True)
            ctx.exit(1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tideflow")
def main() -> None:
    """Put a working Kubeflow on DigitalOcean Kubernetes, and rehearse it on this machine."""


@main.command()
@click.option(
    "--from",
    "source",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Read the sources from FOLDER (<release>/manifests, <release>/remotes/<name>) instead of git.",
)
@click.option("--release", metavar="R", help="The release, if not the default of vendored/kubeflow.toml.")
def vendor(source: Path | None, release: str | None) -> None:
    """Fetch and render the pinned Kubeflow into vendored/kubeflow."""
    from tideflow.vendoring.vendor import vendor as run  # noqa: PLC0415 - see above

    click.echo(run(Path("vendored"), progress=click.echo, release=release, source=source))
