"""Credentials that the base ships with the same value for everybody, made anew for each platform.

They are create-once: generated when their Secret is missing, and never compared or written again, so that no
rerun brings a default back or undoes what somebody chose.
"""

from __future__ import annotations

import base64
import secrets
import string
from typing import TYPE_CHECKING, Any

from tideflow.operations.passwords import Password

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from tideflow.engine.manifests import Key, Manifest
    from tideflow.vendoring.pins import Credential

ORIGIN = "tideflow.dev/credential"
"""The annotation that says where a credential comes from: ``generated``, or ``chosen`` by a person."""

ROTATED = "tideflow.dev/rotated-at"
"""The annotation of a Secret with the stamp of the values in it, if they are not the first ones."""

_ALPHABET = string.ascii_letters + string.digits


class Credentials:
    """The create-once Secrets among a set's manifests."""

    def __init__(self, manifests: Iterable[Manifest], credentials: Sequence[Credential]) -> None:
        """Take the shipped values out of the manifests, so that none of them can ever be written."""
        self._secrets: dict[Key, tuple[Manifest, list[Credential]]] = {}
        for manifest in manifests:
            if manifest.key.kind != "Secret":
                continue
            ours = [credential for credential in credentials if credential.matches(manifest.body)]
            if not ours:
                continue
            self._secrets[manifest.key] = (manifest, ours)
            manifest.body["metadata"].setdefault("annotations", {})[ORIGIN] = "generated"
            data = manifest.body.setdefault("data", {})
            for credential in ours:
                data.pop(credential.key, None)

    @property
    def stated(self) -> Sequence[tuple[Key, Credential]]:
        """Each credential, and the Secret of this base that it is in."""
        return [(key, credential) for key, (_, ours) in self._secrets.items() for credential in ours]

    @property
    def keys(self) -> Collection[Key]:
        """The Secrets that are create-once."""
        return self._secrets.keys()

    def fill(
        self,
        missing: Collection[Key],
        live: Callable[[Key], Mapping[str, Any] | None],
        *,
        known: Mapping[Key, str],
    ) -> None:
        """Put values into the Secrets that are ``missing`` and will be created.

        Credentials of one group share one value: that of ``live``, which returns a Secret of the cluster, if
        another Secret of the group is there already. Those that are ``known`` to pods by their old values get
        a stamp, so that these are restarted.
        """
        shared: dict[str, str] = {}
        for key, (_, credentials) in self._secrets.items():
            grouped = [credential for credential in credentials if credential.group]
            if key not in missing and any(self._wanted(credential, missing) for credential in grouped):
                data = (live(key) or {}).get("data") or {}
                shared.update({found.group: data[found.key] for found in grouped if found.key in data})
        for key in self._secrets.keys() & set(missing):
            manifest, credentials = self._secrets[key]
            for credential in credentials:
                value = shared.get(credential.group) or encoded(generated(credential.form))
                if credential.group:
                    shared[credential.group] = value
                manifest.body["data"][credential.key] = value
            if key in known:
                manifest.body["metadata"]["annotations"][ROTATED] = known[key]

    def lacking(
        self, kept: Collection[Key], live: Callable[[Key], Mapping[str, Any] | None]
    ) -> dict[Key, dict[str, str]]:
        """Return new hashes for people whom Secrets that are ``kept`` do not know yet."""
        found: dict[Key, dict[str, str]] = {}
        for key, credential in self.stated:
            if credential.form != "bcrypt" or key not in kept:
                continue
            if credential.key not in ((live(key) or {}).get("data") or {}):
                found.setdefault(key, {})[credential.key] = encoded(generated("bcrypt"))
        return found

    def _wanted(self, credential: Credential, missing: Collection[Key]) -> bool:
        return any(
            other.group == credential.group
            for key in self._secrets.keys() & set(missing)
            for other in self._secrets[key][1]
        )


def generated(form: str) -> str:
    """Return a new value of one of the forms that ``vendoring.pins.Credential`` describes."""
    match form:
        case "bcrypt":
            return Password(secrets.token_urlsafe(32)).hash()
        case "cookie":
            return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        case "access-key":
            return "".join(secrets.choice(_ALPHABET) for _ in range(20))
        case _:
            return "".join(secrets.choice(_ALPHABET) for _ in range(32))


def encoded(value: str) -> str:
    """Return a text as the data of a Secret has it."""
    return base64.b64encode(value.encode()).decode()
