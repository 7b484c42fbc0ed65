"""``python -m tideflow.rehearsal.standins --folder FOLDER``: the stand-ins of the cluster in a folder."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path

import click

from tideflow.clients.kubernetes import Kubernetes
from tideflow.rehearsal import system
from tideflow.rehearsal.certificates import Authority
from tideflow.rehearsal.control_plane import ControlPlane
from tideflow.rehearsal.gateway.keeper import Keeper
from tideflow.rehearsal.standins import balancers, dependencies, issuing, metrics, profiles, volumes
from tideflow.rehearsal.standins.bundles import bundles
from tideflow.rehearsal.standins.egress import Egress
from tideflow.rehearsal.standins.world import Pass, World

_INJECTOR = Pass("injector", (("", "ConfigMap"),), lambda _: None)
"""Does nothing by itself: it has the settings of sidecars watched, which the egress reads."""


@click.command()
@click.option("--folder", required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--realistic", is_flag=True, help="Have what needs a database crash until there is one.")
@click.option("--auth-proxy", required=True, type=click.Path(path_type=Path), help="The program.")
def main(folder: Path, *, realistic: bool, auth_proxy: Path) -> None:
    """Stand in for cloud and controllers until told to end; says so in ``standins.ready`` when it does."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    control_plane = ControlPlane(folder)
    cluster = Kubernetes.from_kubeconfig(control_plane.admin_kubeconfig, connections=64)
    system.install(cluster)
    authority = Authority.load_or_create(folder / "controllers", "the controllers of a rehearsal")
    world = World(cluster)
    egress = Egress(control_plane.sockets / "egress.sock", world, authority)
    threading.Thread(target=egress.serve_forever, daemon=True).start()
    gateway = Keeper(control_plane, world, auth_proxy)
    signal.signal(signal.SIGTERM, lambda *_: world.stop())
    world.run(
        [
            volumes.VOLUMES,
            balancers.BALANCERS,
            balancers.INGRESSES,
            issuing.ISSUERS,
            issuing.CERTIFICATES,
            issuing.WEBHOOK,
            bundles(authority),
            profiles.PROFILES,
            dependencies.dependencies(realistic=realistic),
            _INJECTOR,
            metrics.WATCHED,
            *gateway.passes(),
        ],
        ready=(folder / "standins.ready").touch,
    )
    egress.shutdown()
    gateway.close()


if __name__ == "__main__":
    main()
