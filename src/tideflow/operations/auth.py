"""The password people log in with: Dex knows its hash, and reads it once, when it starts.

Whoever is in with an old one stays in by a cookie of oauth2-proxy's, whose secret is therefore made anew too.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from pyinfra import host

from tideflow.errors import SettingError
from tideflow.facts.credentials import value
from tideflow.operations import passwords, sessions
from tideflow.operations.commands import to_run
from tideflow.operations.credentials import ORIGIN, ROTATED, encoded
from tideflow.operations.live import annotations_of, secret, shown
from tideflow.operations.logins import PASSWORDS
from tideflow.operations.restarting import path_of
from tideflow.operations.running import (
    BASE,
    announce,
    change,
    executing,
    is_dry,
    operation,
    platform,
    promised,
    refusing,
    settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from pyinfra.api import FunctionCommand

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.connectors.platform import PlatformConnector
    from tideflow.operations.passwords import Password
    from tideflow.operations.renewing import Stated

_HASH = "DEX_USER_PASSWORD"
_MANAGER = "tideflow-kubeflow-auth"


@refusing
def chosen_password() -> Password | None:
    """Return the password to set, asking for it where that is needed; None keeps the one that is live."""
    target, anew = platform(), settings().email in settings().change_password
    passwords.from_environment()  # what will not do is refused now, even if it is not needed
    if not anew and annotations_of(shown(PASSWORDS)).get(ORIGIN) == "chosen":
        return None
    if is_dry():
        return passwords.UNASKED
    return passwords.ask(
        settings().email, rehearsal_file=passwords_file(target) if target.rehearsal else None, anew=anew
    )


@operation
def password(*, password: Password | None, timeout: float) -> Generator[FunctionCommand]:
    """Have Dex know the password, and no other; None keeps the one that was chosen before.

    Dex is restarted if, and only if, it started with another, and whoever was in with that has to log in
    again. ``timeout`` is in seconds.
    """
    target, email = platform(), settings().email
    found = secret(target, PASSWORDS)
    if found is None:
        if executing() or not promised(BASE):
            raise SettingError(f"{BASE} is not there yet", hint=f"run first: {to_run('kubeflow_base')}")
        announce(f"set the password of {email}, and restart Dex")
        yield change(lambda _: None)  # Never run: by then there is a Secret.
        return
    live = _hash(found)
    kept = password is None or password.matches(live)
    begun = sessions.begun(target, found) if kept else None
    if begun is not None:
        _note_other_password(live)
        if not begun:
            host.noop(f"the password of {email} is as it was chosen")
            return
        announce(f"wait for {' and '.join(f'{key.namespace}/{key.name}' for key in begun)} to be restarted")
        yield change(functools.partial(sessions.wait, target, timeout=timeout))
        return
    # Nobody was ever in with the generated one, which nobody knows, if it was the first.
    notes = annotations_of(found)
    first = notes.get(ORIGIN) == "generated" and ROTATED not in notes
    cookies = [] if first else sessions.cookies()
    announce(
        f"set the password of {email}, and restart Dex"
        + (", and end all sessions by another cookie secret for oauth2-proxy" if cookies else "")
    )
    new = None if kept else password
    yield change(functools.partial(_set_password, target, live, new, cookies=cookies, timeout=timeout))


def _note_other_password(live: str) -> None:
    given = passwords.from_environment()
    if given is not None and not given.matches(live):
        host.log(
            f"{passwords.VARIABLE} (or _FILE) is not the password that was chosen before, which stays; "
            "to change it, add --data change_password=true"
        )


def _set_password(
    target: PlatformConnector,
    hashed: str,
    new: Password | None,
    live: Callable[[str], None],
    *,
    cookies: Sequence[Stated],
    timeout: float,
) -> None:
    """Write the hash, of the ``new`` password if there is one, and restart Dex with it."""
    if new is None:
        _restart_with(target, hashed, live, cookies=cookies, timeout=timeout)
        return
    with passwords.keeping(passwords_file(target), new):
        _restart_with(target, new.hash(), live, cookies=cookies, timeout=timeout)
    if new.generated:
        target.host.log(f"the password was generated, and is in {passwords_file(target)}")


def _restart_with(
    target: PlatformConnector,
    hashed: str,
    live: Callable[[str], None],
    *,
    cookies: Sequence[Stated],
    timeout: float,
) -> None:
    """Write the hash that is the owner's, and have Dex start with it."""

    def write(cluster: Kubernetes, stamped: Mapping[str, str]) -> None:
        wanted = {
            "apiVersion": "v1",
            "kind": PASSWORDS.kind,
            "metadata": {
                "name": PASSWORDS.name,
                "namespace": PASSWORDS.namespace,
                "annotations": {ORIGIN: "chosen", **stamped},
            },
            "data": {_HASH: encoded(hashed)},
        }
        cluster.apply(path_of(cluster, PASSWORDS), wanted, field_manager=_MANAGER)

    sessions.restart_with(target, write, live, cookies=cookies, timeout=timeout)


def password_shown(target: PlatformConnector) -> str:
    """Return a password that a rehearsal generated; one that a person chose is known to that person only."""
    found = secret(target, PASSWORDS)
    if annotations_of(found).get(ORIGIN) != "chosen":
        return f"not set yet: {to_run('auth')}"
    if target.rehearsal and found is not None:
        for generated in passwords.generated_before(passwords_file(target)):
            if generated.matches(_hash(found)):
                return f"{generated.text} (made for this rehearsal)"
    return "the one that was chosen (another: --data change_password=true)"


def passwords_file(target: PlatformConnector) -> Path:
    """Return where a rehearsal keeps the password it made, with mode 0600."""
    return target.folder / "password"


def _hash(found: Mapping[str, Any]) -> str:
    return (value(found, _HASH) or b"").decode()
