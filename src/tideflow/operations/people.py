"""Who logs in beside the owner, each with a password and a Profile; nobody who was removed."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import yaml
from pyinfra import host

from tideflow.connectors.people import PREFIX
from tideflow.engine.manifests import Key
from tideflow.errors import SettingError
from tideflow.operations import passwords, sessions
from tideflow.operations.bases import foreseen
from tideflow.operations.commands import to_run
from tideflow.operations.credentials import encoded
from tideflow.operations.live import annotations_of, secret, shown
from tideflow.operations.logins import CONFIGURATION, PASSWORDS
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

    from pyinfra.api import FunctionCommand

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.connectors.people import Person
    from tideflow.operations.passwords import Password

_OF = "user.tideflow.dev/"
"""Before a key of the Secret, the annotation with the e-mail of whom it is, once a password is there."""


def profiles(people: Sequence[Person]) -> list[Mapping[str, Any]]:
    """Return a Profile for each."""
    return [
        {
            "apiVersion": "kubeflow.org/v1beta1",
            "kind": "Profile",
            "metadata": {"name": person.profile},
            "spec": {"owner": {"kind": "User", "name": person.email}},
        }
        for person in people
    ]


@refusing
def check_profiles(people: Sequence[Person]) -> None:
    """End the run if a Profile of that name is somebody else's, or the base's own."""
    if not people:
        return
    shipped = {manifest.key.name for manifest in foreseen().manifests if manifest.key.kind == "Profile"}
    for person in people:
        if person.profile in shipped:
            raise SettingError(
                f"{person.email}, in the setting users, would have the Profile {person.profile}, which is "
                "the owner's",
                hint="have somebody else's e-mail there, or make this one the setting email",
            )
        refuse_other_owner(Key("kubeflow.org", "Profile", "", person.profile), person.email)


def refuse_other_owner(key: Key, email: str) -> None:
    """Raise ``SettingError`` if the live Profile has another owner, who is never changed in place."""
    live = shown(key)
    owner = ((live or {}).get("spec") or {}).get("owner", {}).get("name", email)
    if owner != email and owner.lower() == email.lower():
        raise SettingError(
            f"the Profile {key.name} is {owner}'s, in these letters",
            hint=f"write {owner} in the settings too",
        )
    if owner != email:
        raise SettingError(
            f"the Profile {key.name} is {owner}'s, and is not made {email}'s",
            hint=f"leave {owner} in the settings, and have {email} in users, with a Profile of its own; or "
            f"give up all that is in it: kubectl delete profile {key.name}",
        )


@refusing
def chosen(people: Sequence[Person]) -> dict[str, Password]:
    """Return the passwords that people without a hash are to get, by e-mail; each is asked for once."""
    notes = annotations_of(shown(PASSWORDS))
    new = [
        person
        for person in people
        if person.hash is None
        and (f"{_OF}{person.key}" not in notes or person.email in settings().change_password)
    ]
    if is_dry():
        return {person.email: passwords.UNASKED for person in new}
    return {
        person.email: passwords.prompt(
            person.email, otherwise="run this in one, or give a bcrypt hash in the setting users"
        )
        for person in new
    }


@operation
def known(
    *, people: Sequence[Person], chosen: Mapping[str, Password], timeout: float
) -> Generator[FunctionCommand]:
    """Have Dex know the passwords of these people, and have nobody in who was removed.

    Dex is restarted if something changed; if that was somebody's password, all sessions end. ``timeout`` is
    in seconds.
    """
    target = platform()
    found = secret(target, PASSWORDS)
    data = (found or {}).get("data") or {}
    changed = {
        person.key: person
        for person in people
        if person.email in chosen
        or (person.hash is not None and encoded(person.hash) != data.get(person.key))
    }
    is_ready = found is not None and _in_configuration(people)
    if not is_ready and (executing() or not promised(BASE)):
        raise SettingError(
            "Dex's configuration has others than the setting users",
            hint=f"run first: {to_run('kubeflow_base')}",
        )
    notes = annotations_of(found)
    wanted = {person.key: person for person in people}
    removed = [key for key in data if key.startswith(PREFIX) and key not in wanted]
    if not changed and not removed:
        host.noop("everybody's password is as it was chosen")
        return
    for key in removed:
        announce(f"lock out {notes.get(_OF + key, 'who was removed')}, and keep the Profile")
    for person in changed.values():
        announce(f"set the password of {person.email}")
    ends = bool(removed) or any(f"{_OF}{key}" in notes for key in changed)
    announce("restart Dex" + (", and end all sessions" if ends else ""))

    def carry_out(progress: Callable[[str], None]) -> None:
        hashes = {key: person.hash or chosen[person.email].hash() for key, person in changed.items()}
        values = {key: encoded(hashed) for key, hashed in hashes.items()} | dict.fromkeys(removed)
        named = {_OF + key: person.email for key, person in changed.items()}
        write = functools.partial(_write, values=values, notes=named | {_OF + key: None for key in removed})
        sessions.restart_with(
            target, write, progress, cookies=sessions.cookies() if ends else [], timeout=timeout
        )
        for key in removed:
            who = notes.get(_OF + key, "who was removed")
            target.host.log(f"{who} is locked out; the Profile stays, with all that is in it")

    yield change(carry_out)  # by then the base is there


def _in_configuration(people: Sequence[Person]) -> bool:
    """Tell whether the live configuration has these people beside the owner, and no others."""
    live = shown(CONFIGURATION)
    if live is None:
        return False
    config = yaml.safe_load(live["data"]["config.yaml"])
    found = {each.get("hashFromEnv", "") for each in config.get("staticPasswords") or ()}
    return {key for key in found if key.startswith(PREFIX)} == {person.key for person in people}


def _write(
    cluster: Kubernetes, stamped: Mapping[str, str], *, values: Mapping[str, Any], notes: Mapping[str, Any]
) -> None:
    body = {"metadata": {"annotations": {**notes, **stamped}}, "data": values}
    cluster.patch(path_of(cluster, PASSWORDS), body)
