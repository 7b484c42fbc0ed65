"""What people are in by: Dex, which knows their passwords, and the cookies of oauth2-proxy.

Dex reads the hashes once, when it starts. Whoever is in stays in by a cookie, whose secret is made anew when
a password changes. The Secret with the hashes and Dex's pods get one stamp, so that a run sees what another
that was killed, or ran out of time, has left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tideflow.engine.manifests import Key
from tideflow.operations import renewing
from tideflow.operations.bases import foreseen
from tideflow.operations.live import annotations_of, secret, shown
from tideflow.operations.logins import PASSWORDS
from tideflow.operations.restarting import agrees, alone, restart, stamp, started
from tideflow.operations.running import needed_cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.connectors.platform import PlatformConnector
    from tideflow.operations.renewing import Stated

Restarts = Mapping[Key, Mapping[str, str]]
"""Deployments, and the stamps that their pods are to be started with."""

_WHY = "the new password"
_DEX = Key(group="apps", kind="Deployment", namespace="auth", name="dex")
_SET_AT = "tideflow.dev/password-set-at"
"""The annotation in which Secret and Dex's pods agree once Dex has started with the hash."""


def cookies() -> list[Stated]:
    """Return the secrets of the cookies by which people stay in."""
    return [
        (key, credential)
        for key, credential in foreseen().credentials.stated
        if credential.form == "cookie" and shown(key) is not None
    ]


def begun(target: PlatformConnector, passwords: Mapping[str, Any]) -> Restarts | None:
    """Return the restarts that were begun for the live ``passwords``, a Secret, and that are not over.

    None if Dex was not even told to start with them.
    """
    dex = {_SET_AT: annotations_of(passwords).get(_SET_AT, "")}
    if not dex[_SET_AT] or not agrees(shown(_DEX), dex):
        return None
    stated = cookies()
    live, reading = renewing.live(target, stated), renewing.readers(stated)
    deployments = renewing.deployments(reading)
    stale = renewing.stale(renewing.stamps(live), reading, deployments)
    found = {reader: notes for reader, notes in stale.items() if agrees(deployments[reader], notes)}
    return found if started(shown(_DEX), dex) else {**found, _DEX: dex}


def wait(target: PlatformConnector, progress: Callable[[str], None], *, timeout: float) -> None:
    """Wait until they are over."""
    with alone(needed_cluster(target), timeout=timeout, progress=progress) as cluster:
        left = begun(target, secret(target, PASSWORDS) or {})
        restart(cluster, left or {}, why=_WHY, timeout=timeout, progress=progress)


def restart_with(
    target: PlatformConnector,
    write: Callable[[Kubernetes, Mapping[str, str]], None],
    progress: Callable[[str], None],
    *,
    cookies: Sequence[Stated],
    timeout: float,
) -> None:
    """``write`` the Secret, with a stamp; then other ``cookies``, and restart what reads them, Dex last.

    Killed in between, the next run sees that Dex and its Secret do not agree, and does all of it once more.
    """
    with alone(needed_cluster(target), timeout=timeout, progress=progress) as cluster:
        set_at = stamp()
        write(cluster, {_SET_AT: set_at})
        stamps = dict.fromkeys(renewing.write(cluster, cookies, set_at), set_at)
        reading = renewing.readers(cookies)
        notes = renewing.stale(stamps, reading, renewing.deployments(reading))
        restart(cluster, {**notes, _DEX: {_SET_AT: set_at}}, why=_WHY, timeout=timeout, progress=progress)
