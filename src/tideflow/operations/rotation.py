"""No credential that everybody knows: what upstream ships is replaced where it is live."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pyinfra import host

from tideflow.errors import SettingError
from tideflow.facts.credentials import Defaults, named
from tideflow.operations import databases, renewing
from tideflow.operations.bases import foreseen
from tideflow.operations.commands import to_run
from tideflow.operations.restarting import agrees, alone, restart, stamp
from tideflow.operations.running import (
    BASE,
    announce,
    change,
    executing,
    is_dry,
    needed_cluster,
    operation,
    platform,
    promised,
)
from tideflow.operations.words import some

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from pyinfra.api import FunctionCommand

    from tideflow.connectors.platform import PlatformConnector
    from tideflow.operations.renewing import Stated


@operation
def rotated(*, again: bool, timeout: float) -> Generator[FunctionCommand]:
    """Have no credential of the base be upstream's, and all that read one that is new restarted.

    ``again`` replaces the others too. A database's is left, and told with what to do by hand. ``timeout`` is
    in seconds, for each restart.
    """
    target, stated = platform(), foreseen().credentials.stated
    live = renewing.live(target, stated)
    if missing := [f"{key.namespace}/{key.name}" for key in dict(stated).keys() - live.keys()]:
        if executing() or not promised(BASE):
            gone = (
                f"of {BASE}, Secret {some(sorted(missing))} is missing"
                if live
                else f"{BASE} is not there yet"
            )
            raise SettingError(gone, hint=f"run first: {to_run('kubeflow_base')}")
        host.noop("the base makes each credential anew")
        return
    anew = renewing.due(stated, live, again=again)
    reading = renewing.readers(stated)
    secrets = {key: "" for key, _ in anew}
    deployments = renewing.deployments(reading)
    waves = renewing.restarts(renewing.stamps(live) | secrets, reading, deployments)
    if not anew and not waves:
        if executing() or is_dry():
            _tell(target, stated, again=again)
        host.noop("each credential is this platform's own, or left as said")
        return
    for key in secrets:
        names = " and ".join(credential.key for found, credential in anew if found == key)
        announce(f"replace {names} of Secret {key.namespace}/{key.name}")
    for wave in waves:
        for key, notes in wave.items():
            verb = "wait for" if agrees(deployments[key], notes) else "restart"
            announce(f"{verb} Deployment {key.namespace}/{key.name}")
    if is_dry():
        _tell(target, stated, again=again)
    yield change(functools.partial(_replace, target, stated, again=again, timeout=timeout))


def defaults(stated: Sequence[Stated]) -> list[str]:
    """Return which credentials of the base are upstream's in the cluster, as ``namespace/name key``."""
    found: list[str] = host.get_fact(Defaults, stated=renewing.whole(stated))
    return found


def state() -> str:
    """Return in a line whether any credential is upstream's."""
    found = defaults(foreseen().credentials.stated)
    if not found:
        return "all made for this platform, none is upstream's"
    return f"upstream's, known to everybody: {', '.join(found)}: {to_run('credentials')}"


def _replace(
    target: PlatformConnector,
    stated: Sequence[Stated],
    progress: Callable[[str], None],
    *,
    again: bool,
    timeout: float,
) -> None:
    """Write the Secrets, then restart what reads them; killed in between, the next run sees the stamps."""
    with alone(needed_cluster(target), timeout=timeout, progress=progress) as cluster:
        live = renewing.live(target, stated)  # as another run may have left it
        there = [(key, credential) for key, credential in stated if key in live]
        reading, stamped = renewing.readers(there), stamp()
        stamps = renewing.stamps(live)
        for key in renewing.write(cluster, renewing.due(there, live, again=again), stamped):
            stamps[key] = stamped
        for wave in renewing.restarts(stamps, reading, renewing.deployments(reading)):
            restart(cluster, wave, why="its new credentials", timeout=timeout, progress=progress)
    _tell(target, stated, again=again)


def _tell(target: PlatformConnector, stated: Sequence[Stated], *, again: bool) -> None:
    """Say which credentials are upstream's, and what has to be done by hand."""
    found = defaults(stated)
    target.host.log(f"credentials that are upstream's, which everybody knows: {', '.join(found) or 'none'}")
    for credential in renewing.whole(stated):
        if credential.database and (again or named(credential) in found):
            target.host.log(
                f"{named(credential)} is left: {credential.database} has it in its data too. "
                "To change it there, have a backup, and run in a shell:"
            )
            for line in databases.by_hand(credential, target.kubeconfig):
                target.host.log(f"    {line}")
        elif credential.form == "bcrypt" and named(credential) in found:
            target.host.log(f"{named(credential)} is what people log in with: {to_run('auth')}")
