"""Which of upstream's credentials, that everybody knows, are live in a platform's cluster."""

from __future__ import annotations

import base64
import functools
import json
from typing import TYPE_CHECKING, Any

from pyinfra.api.facts import FactBase
from typing_extensions import override

from tideflow.connectors.platform import Question
from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tideflow.connectors.platform import PlatformConnector
    from tideflow.vendoring.pins import Credential

_NOT_FOUND = 404


class Defaults(FactBase["list[str]"]):
    """The keys of Secrets that have upstream's value, as ``namespace/name key``; never a value.

    ``stated`` are the credentials, each with the whole name of its Secret.
    """

    @override
    def command(self, stated: Sequence[Credential]) -> Question:  # type: ignore[override]
        """Ask the API server for the Secrets."""
        return Question(functools.partial(_defaults, stated=stated))

    @override
    def process(self, output: Iterable[str]) -> list[str]:
        """Read the JSON."""
        found: list[str] = json.loads("".join(output))
        return found

    @staticmethod
    @override
    def default() -> list[str]:
        """Return what holds where there is no cluster."""
        return []


def named(credential: Credential) -> str:
    """Return how a credential with the whole name of its Secret is called."""
    return f"{credential.namespace}/{credential.name} {credential.key}"


def value(secret: Mapping[str, Any], key: str) -> bytes | None:
    """Return what a Secret has of a key."""
    encoded = (secret.get("data") or {}).get(key)
    return None if encoded is None else base64.b64decode(encoded)


def live_secret(platform: PlatformConnector, namespace: str, name: str) -> dict[str, Any] | None:
    """Return a live Secret with its data, or None; for facts and operations that decide by it."""
    cluster = platform.kubernetes()
    if cluster is None:
        return None
    try:
        found: dict[str, Any] = cluster.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
    except KubernetesError as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    return found


def _defaults(platform: PlatformConnector, *, stated: Sequence[Credential]) -> list[str]:
    read: dict[tuple[str, str], dict[str, Any] | None] = {}
    found = []
    for credential in stated:
        where = (credential.namespace, credential.name)
        if where not in read:
            read[where] = live_secret(platform, *where)
        secret = read[where]
        if secret is not None and credential.is_default(value(secret, credential.key)):
            found.append(named(credential))
    return sorted(found)
