"""The ``tideflow`` command. A subcommand imports what it calls, so that none waits for what others need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tideflow import __version__
from tideflow.errors import RehearsalError, TideflowError


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


@main.group()
def rehearsal() -> None:
    """Start, stop and look at rehearsals."""


_PLATFORMS = click.option("--platform", metavar="NAME", help="The platform; by default all that there are.")


@rehearsal.command()
@click.option("--platform", metavar="NAME", default="ml-platform", show_default=True)
def start(platform: str) -> None:
    """Start what does not run of a rehearsal; deploys/cluster.py makes its cluster."""
    from tideflow.rehearsal.background import Pace, Rehearsal  # noqa: PLC0415 - see above

    found = Rehearsal(Path(".tideflow", platform, "rehearsal"))
    found.start(pace=Pace(), progress=click.echo)
    click.echo(f"{platform}: the twin answers at {found.endpoint}")


@rehearsal.command()
@_PLATFORMS
def stop(platform: str | None) -> None:
    """Stop all that rehearsals started; what they made is kept."""
    for name, found in _rehearsals(platform):
        click.echo(f"{name}: {'stopped' if found.stop() else 'nothing runs'}")


@rehearsal.command()
@_PLATFORMS
def status(platform: str | None) -> None:
    """Show what runs."""
    for name, found in _rehearsals(platform):
        state = found.status()
        where = f"at {state.endpoint}, " if state.endpoint else ""
        click.echo(f"{name}: twin {f'{where}pid {state.pid}' if state.pid else 'stopped'}")
        for cluster, components in state.clusters.items():
            for component in components:
                what = f"pid {component.pid}" if component.running else "stopped"
                click.echo(f"  {cluster:20} {component.name:26} {what}")


def _rehearsals(platform: str | None) -> list[tuple[str, Any]]:
    from tideflow.rehearsal.background import Rehearsal  # noqa: PLC0415 - see above

    folders = [Path(".tideflow", platform)] if platform else sorted(Path(".tideflow").glob("*"))
    found = [(folder.name, folder / "rehearsal") for folder in folders if (folder / "rehearsal").is_dir()]
    if not found:
        click.echo(f"there is no rehearsal{f' of {platform}' if platform else ''} here")
    return [(name, Rehearsal(folder)) for name, folder in found]


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), required=True, help="On 127.0.0.1.")
@click.option("--token", metavar="T", help="What clients have to show; by default a new one, shown once.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".tideflow/twin"),
    show_default=True,
    help="Where its clusters and its token are kept.",
)
def twin(port: int, token: str | None, folder: Path) -> None:
    """Serve a twin of DigitalOcean's API.

    It stays in the foreground; its clusters end with it, and keep their data.
    """
    from tideflow.files import locked, private_folder  # noqa: PLC0415 - see above
    from tideflow.rehearsal import clusters, tokens  # noqa: PLC0415 - see above
    from tideflow.rehearsal.background import Pace  # noqa: PLC0415 - see above
    from tideflow.rehearsal.building import auth_proxy, binaries  # noqa: PLC0415 - see above
    from tideflow.rehearsal.twin.server import listening, serve  # noqa: PLC0415 - see above

    def taken() -> None:
        raise RehearsalError(f"another twin serves {folder}", hint="choose another folder with --folder")

    with locked(private_folder(folder) / "lock", taken), listening(port) as listener:
        is_new = token is None and tokens.kept(folder) is None

        def ready(address: str) -> None:
            if is_new:
                click.echo(f"token (kept in {tokens.file(folder)}): {tokens.kept(folder)}")
            click.echo(f"the twin's API is at {address}; end it with Ctrl-C")

        programs = binaries(click.echo)
        auth_proxy(click.echo)
        try:
            serve(folder, listener, token=token, binaries=programs, pace=Pace(), ready=ready)
        finally:
            for plane in clusters.control_planes(folder):
                plane.stop()
