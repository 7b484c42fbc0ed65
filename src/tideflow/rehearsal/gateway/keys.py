"""The key that signs the tokens of a rehearsal's issuer; kept, as Dex keeps its own in the cluster."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from tideflow.files import write_private

if TYPE_CHECKING:
    from pathlib import Path

_BITS = 2048
_ALGORITHM = "RS256"


class Keys:
    """One key, in a file that only its owner may read."""

    def __init__(self, file: Path) -> None:
        try:
            self._key = RSAKey.import_key(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, JoseError):
            self._key = RSAKey.generate_key(_BITS)
            write_private(file, self._key.as_pem(private=True).decode())
        self._name = self._key.thumbprint()

    @property
    def public(self) -> dict[str, Any]:
        """What checks the tokens, as the issuer publishes it."""
        return {"keys": [{**self._key.as_dict(private=False), **self._header, "use": "sig"}]}

    def signed(self, claims: dict[str, Any]) -> str:
        """Return a token."""
        return jwt.encode(self._header, claims, self._key)

    def claims(self, token: str) -> dict[str, Any] | None:
        """Return what a token of ours says; None if it is not ours, or has expired."""
        try:
            claims = jwt.decode(token, self._key, algorithms=[_ALGORITHM]).claims
        except (JoseError, ValueError):
            return None
        return claims if claims.get("exp", 0) > time.time() else None

    @property
    def _header(self) -> dict[str, str]:
        return {"alg": _ALGORITHM, "kid": self._name}
