"""Which credentials are to be made anew, what becomes of them, and what has to be restarted for that."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from tideflow.engine.manifests import Key
from tideflow.facts.credentials import value
from tideflow.operations.credentials import ORIGIN, ROTATED, encoded, generated
from tideflow.operations.live import annotations_of, secret, shown
from tideflow.operations.restarting import path_of, started

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.connectors.platform import PlatformConnector
    from tideflow.vendoring.pins import Credential

_READ = "rotated.tideflow.dev/"
"""Before the name of the Secret, the annotation of pods that were started with those values."""

Stated = tuple["Key", "Credential"]
"""A credential, and the Secret that it is in."""


def whole(stated: Sequence[Stated]) -> tuple[Credential, ...]:
    """Return the credentials with the whole names of their Secrets, in place of patterns."""
    return tuple(dataclasses.replace(credential, name=key.name) for key, credential in stated)


def live(target: PlatformConnector, stated: Sequence[Stated]) -> dict[Key, Mapping[str, Any]]:
    """Return those of their Secrets that are there, with their data."""
    found = {key: secret(target, key) for key in dict(stated)}
    return {key: body for key, body in found.items() if body is not None}


def changeable(credential: Credential) -> bool:
    """Tell whether a value can be replaced by writing its Secret; passwords of people are chosen instead."""
    return not credential.database and credential.form != "bcrypt"


def due(stated: Sequence[Stated], live: Mapping[Key, Mapping[str, Any]], *, again: bool) -> list[Stated]:
    """Return which are to be made anew: upstream's, those that are missing, and halves that do not agree.

    With ``again`` it is all that can be.
    """
    ours = [(key, credential) for key, credential in stated if changeable(credential)]
    groups: dict[str, set[bytes | None]] = {}
    bad = set()
    for key, credential in ours:
        found = value(live[key], credential.key)
        if again or not found or credential.is_default(found):
            bad.add((key, credential.key))
        if credential.group:
            groups.setdefault(credential.group, set()).add(found)
    apart = {group for group, found in groups.items() if len(found) > 1}
    apart |= {
        credential.group for key, credential in ours if credential.group and (key, credential.key) in bad
    }
    return [
        (key, credential)
        for key, credential in ours
        if (key, credential.key) in bad or credential.group in apart
    ]


def write(cluster: Kubernetes, anew: Sequence[Stated], stamped: str) -> Iterator[Key]:
    """Write new values into the Secrets, with the stamp; those of one group get the same one."""
    shared: dict[str, str] = {}
    data: dict[Key, dict[str, str]] = {}
    for key, credential in anew:
        made = shared.get(credential.group) or generated(credential.form)
        if credential.group:
            shared[credential.group] = made
        data.setdefault(key, {})[credential.key] = encoded(made)
    for key, values in data.items():
        notes = {ORIGIN: "generated", ROTATED: stamped}
        cluster.patch(path_of(cluster, key), {"metadata": {"annotations": notes}, "data": values})
        yield key


def readers(stated: Sequence[Stated]) -> dict[Key, list[Key]]:
    """Return the Deployments that read each Secret, what keeps its values first."""
    found: dict[Key, list[Key]] = {}
    for key, credential in stated:
        for reader in map(deployment, credential.readers):
            if reader not in found.setdefault(key, []):
                found[key].append(reader)
    return found


def deployments(reading: Mapping[Key, Collection[Key]]) -> dict[Key, Mapping[str, Any] | None]:
    """Return the readers as they are now, None for one that the cluster lacks."""
    return {reader: shown(reader) for found in reading.values() for reader in found}


def deployment(reader: str) -> Key:
    """Return the Deployment of a ``namespace/name``."""
    namespace, _, name = reader.partition("/")
    return Key(group="apps", kind="Deployment", namespace=namespace, name=name)


def stale(
    stamps: Mapping[Key, str],
    reading: Mapping[Key, Sequence[Key]],
    deployments: Mapping[Key, Mapping[str, Any] | None],
) -> dict[Key, dict[str, str]]:
    """Return which Deployments do not run with what the stamps of their Secrets are of, with those stamps.

    What the cluster lacks is another release's.
    """
    notes: dict[Key, dict[str, str]] = {}
    for key, stamped in stamps.items():
        for reader in reading.get(key, ()):
            if deployments[reader] is not None:
                notes.setdefault(reader, {})[_READ + key.name] = stamped
    return {reader: wanted for reader, wanted in notes.items() if not started(deployments[reader], wanted)}


def restarts(
    stamps: Mapping[Key, str],
    reading: Mapping[Key, Sequence[Key]],
    deployments: Mapping[Key, Mapping[str, Any] | None],
) -> list[dict[Key, dict[str, str]]]:
    """Return what is stale in two waves: what keeps a credential is up with it before who logs in to it."""
    first = {
        next((reader for reader in reading.get(key, ()) if deployments[reader] is not None), None)
        for key in stamps
    }
    found = stale(stamps, reading, deployments)
    waves = [
        {reader: wanted for reader, wanted in found.items() if (reader in first) is early}
        for early in (True, False)
    ]
    return [wave for wave in waves if wave]


def stamps(live: Mapping[Key, Mapping[str, Any]]) -> dict[Key, str]:
    """Return the stamps of those Secrets that ever got one."""
    found = {key: annotations_of(secret).get(ROTATED) for key, secret in live.items()}
    return {key: stamped for key, stamped in found.items() if stamped}
