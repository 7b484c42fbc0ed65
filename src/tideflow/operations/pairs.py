"""A certificate and its key, as somebody gives them in files: whether people would be served with them.

Everything that a browser would complain about later is told before anything is made.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import ssl
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from tideflow.errors import SettingError

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
            f"{certificate} begins with the certificate of {_subject(leaf)}, whose key is not in {key}",
            hint="write the hostname's own certificate first, then the one that issued it, and so on",
        )
    _check_names(leaf, certificate, hostname)
    _check_times(chain, certificate, now)
    _check_order(chain, certificate)
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


def _check_names(leaf: x509.Certificate, file: Path, hostname: str) -> None:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        good_for = names.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        good_for = []
    wild = f"*.{hostname.partition('.')[2]}"
    if not {hostname, wild} & {name.lower() for name in good_for}:
        raise SettingError(
            f"the certificate in {file} is for {', '.join(good_for) or 'no name at all'}, "
            f"and not for the setting hostname, {hostname}",
            hint="have one issued for it, or set hostname to a name that it is for",
        )


def _check_times(chain: Sequence[x509.Certificate], file: Path, now: dt.datetime) -> None:
    for found in chain:
        if found.not_valid_after_utc <= now:
            problem = f"ended on {found.not_valid_after_utc:%Y-%m-%d}"
        elif found.not_valid_before_utc > now:
            problem = f"begins on {found.not_valid_before_utc:%Y-%m-%d %H:%M} (UTC)"
        else:
            continue
        raise SettingError(
            f"the certificate of {_subject(found)} in {file} {problem}",
            hint="have it renewed, or look at this machine's clock",
        )


def _check_order(chain: Sequence[x509.Certificate], file: Path) -> None:
    for found, issuer in itertools.pairwise(chain):
        try:
            found.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            raise SettingError(
                f"in {file}, {_subject(found)} is followed by {_subject(issuer)}, which did not issue it",
                hint="write after each certificate the one that issued it; the last may be left out",
            ) from None


def _notes(chain: Sequence[x509.Certificate], key: Path, hostname: str, now: dt.datetime) -> Iterator[str]:
    mode = key.stat().st_mode & 0o777
    if mode & _OTHERS:
        yield f"others than you may read {key} (mode {mode:04o}): chmod 600 {key}"
    left = chain[0].not_valid_after_utc - now
    if left < _SOON:
        yield f"the certificate in the setting tls_certificate ends in {left.days} days"
    if not _is_trusted(chain, hostname, now):
        yield (
            f"this machine does not trust {_name(chain[-1].issuer)}, who issued the certificate: if that is "
            "no CA of your own, the file in tls_certificate lacks an intermediate certificate"
        )


def _is_trusted(chain: Sequence[x509.Certificate], hostname: str, now: dt.datetime) -> bool:
    roots = []
    for der in ssl.create_default_context().get_ca_certs(binary_form=True):
        # Some machines trust roots that are too odd for the library, which says so here or later.
        with contextlib.suppress(ValueError), warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            roots.append(x509.load_der_x509_certificate(der))
    if not roots:
        return True  # as far as anybody here can tell
    verifier = PolicyBuilder().store(Store(roots)).time(now).build_server_verifier(x509.DNSName(hostname))
    try:
        verifier.verify(chain[0], list(chain[1:]))
    except (VerificationError, ValueError):
        return False
    return True


def _subject(found: x509.Certificate) -> str:
    return _name(found.subject)


def _name(name: x509.Name) -> str:
    """Return a name's common name, or all of it; on one line, whatever is in it."""
    common = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    text = str(common[0].value) if common else name.rfc4514_string()
    return "".join(letter if letter.isprintable() else "?" for letter in text) or "somebody without a name"
