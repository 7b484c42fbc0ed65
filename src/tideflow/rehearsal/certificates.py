"""Certificates of a rehearsal: authorities of its own, and what they issue."""

import datetime as dt
import ipaddress
import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tideflow.errors import RehearsalError
from tideflow.files import private_folder, write_private

_LIFETIME = dt.timedelta(days=3650)  # longer than any rehearsal is kept: nothing has to be renewed
_UNREADABLE = (OSError, ValueError, TypeError, UnsupportedAlgorithm)
_LEEWAY = dt.timedelta(minutes=5)  # clocks of virtual machines step back


class Authority:
    """A certificate authority: its certificate, and the key that signs what it issues."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self.key = key

    @classmethod
    def load_or_create(cls, folder: Path, name: str) -> Self:
        """Return the authority kept in ``folder`` (``ca.crt``, ``ca.key``); make it as ``name`` first.

        Raises `RehearsalError` when the files are there, but are no certificate and key that belong together.
        """
        certificate_file, key_file = folder / "ca.crt", folder / "ca.key"
        # The certificate is written last: without it, the key was left by a start that was interrupted.
        if not certificate_file.exists():
            authority = cls.new(name)
            private_folder(folder)
            write_private(key_file, key_pem(authority.key))
            write_private(certificate_file, authority.certificate)
            return authority
        certificate, key = _load_certificate(certificate_file), load_key(key_file)
        if certificate is None:
            raise _unusable(folder, "ca.crt is no certificate")
        if key is None:
            raise _unusable(folder, "ca.key is no key")
        if key.public_key() != certificate.public_key():
            raise _unusable(folder, "the key is another certificate's")
        return cls(certificate, key)

    @classmethod
    def new(cls, name: str, *, dns_names: Iterable[str] = (), addresses: Iterable[str] = ()) -> Self:
        """Return a new authority of that name, which is kept nowhere.

        With DNS names or addresses its own certificate is good for a server of these, too.
        """
        key = new_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            _builder(subject, subject, key.public_key(), _alternatives(dns_names, addresses))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                _key_usage(digital_signature=True, key_cert_sign=True, crl_sign=True), critical=True
            )
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    @property
    def certificate(self) -> str:
        """The authority's certificate, PEM: what has to be trusted to trust what it issues."""
        return _pem(self._certificate)

    @property
    def private_key(self) -> str:
        """The authority's private key, PEM."""
        return key_pem(self.key)

    def has_issued(self, certificate_file: Path, key_file: Path) -> bool:
        """Tell whether the files hold a certificate of this authority and its key, and nothing else."""
        certificate, key = _load_certificate(certificate_file), load_key(key_file)
        if certificate is None or key is None:
            return False
        try:
            certificate.verify_directly_issued_by(self._certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return key.public_key() == certificate.public_key()

    def issue(
        self,
        common_name: str,
        *,
        organization: str = "",
        dns_names: Iterable[str] = (),
        addresses: Iterable[str] = (),
    ) -> tuple[str, str]:
        """Return a certificate and its new key, both PEM, good for a server of these names and for a client.

        To the API server a client is the user ``common_name`` in the group ``organization``.
        """
        key = new_key()
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if organization:
            parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
        names = _alternatives(dns_names, addresses)
        builder = (
            _builder(x509.Name(parts), self._certificate.subject, key.public_key(), names)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        return _pem(builder.sign(self.key, hashes.SHA256())), key_pem(key)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new private key; made in a millisecond, where an RSA key takes a hundred."""
    return ec.generate_private_key(ec.SECP256R1())


def load_key(file: Path) -> ec.EllipticCurvePrivateKey | None:
    """Return the private key in a file, or None if there is no such key in it."""
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except _UNREADABLE:
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Return the private key as PEM (PKCS #8), not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """Return what presents a certificate; raises `ssl.SSLError` for what is none, or has another key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # OpenSSL reads files only.
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # made 0600
        file.write(f"{certificate}\n{key}")
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _alternatives(dns_names: Iterable[str], addresses: Iterable[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns_names]
    return names + [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]


def _load_certificate(file: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except _UNREADABLE:
        return None


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    alternatives: list[x509.GeneralName],
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LEEWAY)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
    if not alternatives:
        return builder
    return builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)


def _key_usage(
    *, digital_signature: bool, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _unusable(folder: Path, why: str) -> RehearsalError:
    return RehearsalError(
        f"the certificate authority in {folder} is not usable ({why})",
        hint="run `tideflow rehearsal stop`, remove the platform's folder in .tideflow, and start again",
    )
