"""A certificate and its key, as somebody gives them in files: whether people would be served with them.

Everything that a browser would complain about later is told before anything is made.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from tideflow.errors import SettingError
from tideflow.operations import chains

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_SOON = dt.timedelta(days=14)
_OTHERS = 0o077


@dataclass(frozen=True)
class Pair:
    """The texts of a certificate with its intermediates, and of its key, which does not show in ``repr``.

    ``notes`` are what is no reason to refuse them, but to be told.
    """

    certificate: str
    key: str = field(repr=False)
    notes: tuple[str, ...] = ()


def read(certificate: Path, key: Path, *, hostname: str, now: dt.datetime) -> Pair:
    """Return what the files hold; raises ``SettingError`` if it does not serve the hostname."""
    chain, secret = _chain(certificate), _key(key)
    leaf = chain[0]
    owner = [found for found in chain if found.public_key() == secret.public_key()]
    if not owner:
        raise SettingError(
            f"the key in {key} is not that of the certificate in {certificate}",
            hint="set tls_certificate and tls_key to two files that belong together",
        )
    if owner[0] is not leaf:
        raise SettingError(
            f"{certificate} begins with the certificate of {chains.subject(leaf)}, whose key is not in {key}",
            hint="write the hostname's own certificate first, then the one that issued it, and so on",
        )
    chains.check_strength(chain, certificate)
    chains.check_use(leaf, certificate)
    chains.check_names(leaf, certificate, hostname)
    chains.check_times(chain, certificate, now)
    chains.check_order(chain, certificate)
    # Written anew, so that what is around them in the files (a text, another key) goes nowhere.
    return Pair(
        "".join(found.public_bytes(serialization.Encoding.PEM).decode() for found in chain),
        secret.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        tuple(_notes(chain, key, hostname, now)),
    )


def good_until(certificate: str) -> dt.datetime | None:
    """Return when a certificate ends; None for what is none."""
    try:
        return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc
    except ValueError:
        return None


def _bytes(file: Path, setting: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SettingError(
            f"the setting {setting} is {file}, which cannot be read: {error.strerror}",
            hint=f"set {setting} to the path of a PEM file",
        ) from None


def _chain(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_bytes(file, "tls_certificate"))
    except ValueError:
        raise SettingError(
            f"{file} holds no certificate in PEM form", hint="it begins with -----BEGIN CERTIFICATE-----"
        ) from None


def _key(file: Path) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(_bytes(file, "tls_key"), password=None)
    except TypeError:
        raise SettingError(
            f"the key in {file} has a passphrase, which nobody could type in the cluster",
            hint="write it without one: openssl pkey -in KEY -out NEW, into a file of mode 0600",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise SettingError(
            f"{file} holds no private key in PEM form", hint="it begins with -----BEGIN PRIVATE KEY-----"
        ) from None


def _notes(chain: Sequence[x509.Certificate], key: Path, hostname: str, now: dt.datetime) -> Iterator[str]:
    mode = key.stat().st_mode & 0o777
    if mode & _OTHERS:
        yield f"others than you may read {key} (mode {mode:04o}): chmod 600 {key}"
    left = chain[0].not_valid_after_utc - now
    if left < _SOON:
        yield f"the certificate in the setting tls_certificate ends in {left.days} days"
    if not chains.is_trusted(chain, hostname, now):
        yield (
            f"this machine does not trust {chains.named(chain[-1].issuer)}, who issued the certificate: if "
            "that is no CA of your own, the file in tls_certificate lacks an intermediate certificate"
        )
