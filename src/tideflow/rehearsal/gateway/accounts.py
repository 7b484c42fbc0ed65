"""Dex's configuration: who may log in, and for which programs, with what the environment adds to it."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import bcrypt
import yaml

from tideflow.rehearsal.gateway.containers import UnstartableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tideflow.rehearsal.gateway.containers import Start

_LIFETIME = 24 * 3600  # seconds; Dex's own default


@dataclass(frozen=True)
class User:
    """Somebody with a password."""

    email: str
    name: str
    id: str
    hash: bytes = field(repr=False)

    def has(self, password: str) -> bool:
        """Tell whether this is the password."""
        try:
            # bcrypt looks no further, and this library raises an error where Go's does.
            return bcrypt.checkpw(password.encode(), self.hash)
        except ValueError:
            return False


@dataclass(frozen=True)
class Client:
    """A program that people log in to."""

    id: str
    secret: str = field(repr=False)
    redirects: tuple[str, ...]
    public: bool


@dataclass(frozen=True)
class Accounts:
    """What Dex knows from its start on."""

    issuer: str
    users: Mapping[str, User]
    clients: Mapping[str, Client]
    lifetime: int

    @classmethod
    def of(cls, start: Start) -> Self:
        """Return what Dex would have read; raises `UnstartableError` where it would end with an error."""
        path = start.arguments[-1] if start.arguments else ""
        try:
            config = yaml.safe_load(start.files[path])
            users = [_user(found, start.environment) for found in config.get("staticPasswords") or ()]
            clients = [_client(found, start.environment) for found in config.get("staticClients") or ()]
            return cls(
                config["issuer"].rstrip("/"),
                {user.email.lower(): user for user in users} if config.get("enablePasswordDB") else {},
                {client.id: client for client in clients},
                _seconds((config.get("expiry") or {}).get("idTokens")),
            )
        except (KeyError, AttributeError, TypeError, yaml.YAMLError) as error:
            raise UnstartableError(f"Dex cannot read {path}: {type(error).__name__} {error}") from error


def _user(found: Mapping[str, Any], environment: Mapping[str, str]) -> User:
    value = found.get("hash") or environment.get(found.get("hashFromEnv", ""), "")
    hashed = value.encode()
    if not hashed.startswith(b"$2"):
        try:
            hashed = base64.b64decode(hashed, validate=True)
        except (binascii.Error, ValueError):
            hashed = b""
    if not hashed.startswith(b"$2"):
        raise UnstartableError(f"Dex has no hash of bcrypt's for {found['email']}")
    return User(found["email"], found.get("username", ""), str(found.get("userID", "")), hashed)


def _client(found: Mapping[str, Any], environment: Mapping[str, str]) -> Client:
    name = found.get("id") or environment.get(found.get("idEnv", ""), "")
    secret = found.get("secret") or environment.get(found.get("secretEnv", ""), "")
    if not name or not (secret or found.get("public")):
        raise UnstartableError("Dex has a client without an id or a secret")
    return Client(name, secret, tuple(found.get("redirectURIs") or ()), bool(found.get("public")))


def _seconds(said: object) -> int:
    """Return a duration of Go's, as far as people write them: ``24h``, ``10m``."""
    units = {"h": 3600, "m": 60, "s": 1}
    text = str(said or "")
    return int(text[:-1]) * units[text[-1]] if text[:-1].isdecimal() and text[-1] in units else _LIFETIME
