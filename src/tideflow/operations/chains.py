"""A certificate and those that issued each other: what a browser would complain about."""

from __future__ import annotations

import contextlib
import itertools
import ssl
import warnings
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from tideflow.errors import SettingError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from pathlib import Path

T = TypeVar("T", bound=x509.ExtensionType)

_LEAST_BITS = 2048
_CURVES = (ec.SECP256R1, ec.SECP384R1)
_SERVING = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


def check_strength(chain: Sequence[x509.Certificate], file: Path) -> None:
    """Raise ``SettingError`` for keys and signatures that browsers do not take."""
    for found in chain:
        key = found.public_key()
        if not (
            (isinstance(key, rsa.RSAPublicKey) and key.key_size >= _LEAST_BITS)
            or (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES))
        ):
            raise SettingError(
                f"the key of {subject(found)} in {file} is of a kind that browsers do not take",
                hint="have one issued for a key of RSA with 2048 bits or more, or of curve P-256 or P-384",
            )
        if isinstance(found.signature_hash_algorithm, hashes.MD5 | hashes.SHA1):
            raise SettingError(
                f"the certificate of {subject(found)} in {file} is signed in a way that browsers do not take",
                hint="have one issued that is signed with SHA-256 or better",
            )


def check_use(leaf: x509.Certificate, file: Path) -> None:
    """Raise ``SettingError`` for a certificate that is for something else than serving."""
    extended, plain = _extension(leaf, x509.ExtendedKeyUsage), _extension(leaf, x509.KeyUsage)
    if (extended is not None and not _SERVING & set(extended)) or not (
        plain is None or plain.digital_signature or plain.key_encipherment or plain.key_agreement
    ):
        raise SettingError(
            f"the certificate in {file} is not one for servers", hint="have one issued for a web server"
        )


def _extension(found: x509.Certificate, kind: type[T]) -> T | None:
    try:
        return found.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, ValueError):
        return None


def check_names(leaf: x509.Certificate, file: Path, hostname: str) -> None:
    """Raise ``SettingError`` unless the certificate is for the hostname."""
    names = _extension(leaf, x509.SubjectAlternativeName)
    good_for = names.get_values_for_type(x509.DNSName) if names is not None else []
    if not any(covers(name.lower(), hostname) for name in good_for):
        raise SettingError(
            f"the certificate in {file} is for {', '.join(good_for) or 'no name at all'}, "
            f"and not for the setting hostname, {hostname}",
            hint="have one issued for it, or set hostname to a name that it is for",
        )


def covers(name: str, host: str) -> bool:
    """Tell whether a name of a certificate, in small letters, stands for a host; a star is one label."""
    return name == host or (name.startswith("*.") and name[2:] == host.partition(".")[2])


def check_times(chain: Sequence[x509.Certificate], file: Path, now: dt.datetime) -> None:
    """Raise ``SettingError`` unless all of them are good now."""
    for found in chain:
        if found.not_valid_after_utc <= now:
            problem = f"ended on {found.not_valid_after_utc:%Y-%m-%d}"
        elif found.not_valid_before_utc > now:
            problem = f"begins on {found.not_valid_before_utc:%Y-%m-%d %H:%M} (UTC)"
        else:
            continue
        raise SettingError(
            f"the certificate of {subject(found)} in {file} {problem}",
            hint="have it renewed, or look at this machine's clock",
        )


def check_order(chain: Sequence[x509.Certificate], file: Path) -> None:
    """Raise ``SettingError`` unless each is followed by the one that issued it."""
    for found, issuer in itertools.pairwise(chain):
        if not _has_issued(issuer, found):
            raise SettingError(
                f"in {file}, {subject(found)} is followed by {subject(issuer)}, which did not issue it",
                hint="write after each certificate the one that issued it; the last may be left out",
            )


def _has_issued(issuer: x509.Certificate, found: x509.Certificate) -> bool:
    """Tell whether a certificate is signed by another, which is one of a CA."""
    try:
        found.verify_directly_issued_by(issuer)
        return issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False


def is_trusted(chain: Sequence[x509.Certificate], hostname: str, now: dt.datetime) -> bool:
    """Tell whether this machine trusts who issued it; true where it has no roots to tell by."""
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


def subject(found: x509.Certificate) -> str:
    """Return whose certificate it is."""
    return named(found.subject)


def named(name: x509.Name) -> str:
    """Return a name's common name, or all of it; on one line, whatever is in it."""
    common = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    text = str(common[0].value) if common else name.rfc4514_string()
    return "".join(letter if letter.isprintable() else "?" for letter in text) or "somebody without a name"
