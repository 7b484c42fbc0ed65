"""What people give as certificate and key: what would not serve the hostname is refused in one line."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from tideflow.errors import SettingError
from tideflow.operations import pairs

if TYPE_CHECKING:
    from pathlib import Path

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
HOST = "ml.example.org"
WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused


class Issuer:
    """Whoever has a certificate and its key, and may issue others."""

    def __init__(
        self,
        name: str,
        by: Issuer | None = None,
        *,
        names: tuple[str, ...] = (),
        days: tuple[int, int] = (-10, 80),
        key: Any = None,
        use: x509.ObjectIdentifier | None = None,
    ) -> None:
        self.certificate: x509.Certificate
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(by.certificate.subject if by else subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + dt.timedelta(days=days[0]))
            .not_valid_after(NOW + dt.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
        )
        if names:
            alternatives = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
            builder = builder.add_extension(alternatives, critical=False)
        if use is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        self.certificate = builder.sign((by or self).key, hashes.SHA256())

    @property
    def pem(self) -> str:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def secret(self, passphrase: bytes = b"") -> str:
        """Return the key."""
        how: Any = (
            serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        )
        pem: bytes = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how
        )
        return pem.decode()


ROOT = Issuer("Root")
BETWEEN = Issuer("Between", ROOT)
LEAF = Issuer("leaf", BETWEEN, names=(HOST,))


def read(folder: Path, certificate: str, key: str, mode: int = 0o600) -> pairs.Pair:
    """Read what is written into files."""
    (folder / "tls.crt").write_text(certificate)
    (folder / "tls.key").write_text(key)
    (folder / "tls.key").chmod(mode)
    return pairs.read(folder / "tls.crt", folder / "tls.key", hostname=HOST, now=NOW)


def test_a_chain_in_order_is_taken_without_what_is_around_it(tmp_path: Path) -> None:
    """The key does not show; a CA that nobody here knows is told of, and no more."""
    found = read(tmp_path, f"some words\n{LEAF.pem}{BETWEEN.pem}", f"more words\n{LEAF.secret()}")
    assert found.certificate == LEAF.pem + BETWEEN.pem
    assert found.key == LEAF.secret()
    assert "PRIVATE" not in repr(found)
    assert all("does not trust Root" in note for note in found.notes)
    assert pairs.good_until(found.certificate) == NOW + dt.timedelta(days=80)
    assert pairs.good_until("none") is None


def test_a_certificate_for_all_names_of_a_domain_will_do(tmp_path: Path) -> None:
    """A star stands for one label."""
    wild = Issuer("wild", ROOT, names=("*.example.org",))
    assert read(tmp_path, wild.pem, wild.secret()).certificate == wild.pem


@pytest.mark.parametrize(
    ("certificate", "key", "problem"),
    [
        ("", LEAF.secret(), "tls.crt holds no certificate in PEM form"),
        (LEAF.secret(), LEAF.secret(), "tls.crt holds no certificate in PEM form"),
        (LEAF.pem, "", "tls.key holds no private key in PEM form"),
        (LEAF.pem, LEAF.pem, "tls.key holds no private key in PEM form"),
        (LEAF.pem, LEAF.secret(b"secret"), "has a passphrase"),
        (LEAF.pem, ROOT.secret(), "is not that of the certificate in"),
        (BETWEEN.pem + LEAF.pem, LEAF.secret(), "begins with the certificate of Between"),
        (LEAF.pem + ROOT.pem, LEAF.secret(), "leaf is followed by Root, which did not issue it"),
        (LEAF.pem + ROOT.pem + BETWEEN.pem, LEAF.secret(), "leaf is followed by Root"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    tmp_path: Path, certificate: str, key: str, problem: str
) -> None:
    """In one line, which quotes nothing of the key."""
    with pytest.raises(SettingError, match=problem) as caught:
        read(tmp_path, certificate, key)
    assert "\n" not in str(caught.value)
    assert "BEGIN" not in caught.value.message


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"key": WEAK}, "of a kind that browsers do not take"),
        ({"key": ec.generate_private_key(ec.SECP521R1())}, "of a kind that browsers do not take"),
        ({"use": ExtendedKeyUsageOID.CLIENT_AUTH}, "is not one for servers"),
        ({"by": LEAF}, "followed by leaf, which did not issue it"),
    ],
)
def test_what_no_browser_takes_is_refused(tmp_path: Path, given: dict[str, Any], problem: str) -> None:
    """Weak or odd keys, certificates for clients, and issuers that are no CA."""
    mine = Issuer("mine", **{"by": BETWEEN, "names": (HOST,), **given})
    with pytest.raises(SettingError, match=problem):
        read(tmp_path, mine.pem + given.get("by", BETWEEN).pem, mine.secret())


@pytest.mark.parametrize("kind", [rsa.generate_private_key(65537, 2048), None])
def test_what_browsers_take_is_taken(tmp_path: Path, kind: Any) -> None:
    """Certificates for servers, with usual keys."""
    mine = Issuer("mine", BETWEEN, names=(HOST,), key=kind, use=ExtendedKeyUsageOID.SERVER_AUTH)
    assert read(tmp_path, mine.pem, mine.secret()).certificate == mine.pem


@pytest.mark.parametrize(
    ("names", "days", "problem"),
    [
        (("other.example.org",), (-1, 1), "is for other.example.org, and not for the setting hostname"),
        (("*.ml.example.org", "*.org"), (-1, 1), "and not for the setting hostname, ml.example.org"),
        ((HOST,), (-10, -1), "ended on 2026-05-31"),
        ((HOST,), (1, 10), "begins on 2026-06-02"),
    ],
)
def test_what_would_serve_others_or_at_other_times_is_refused(
    tmp_path: Path, names: tuple[str, ...], days: tuple[int, int], problem: str
) -> None:
    """Browsers would refuse it, and later."""
    leaf = Issuer("leaf", ROOT, names=names, days=days)
    with pytest.raises(SettingError, match=problem):
        read(tmp_path, leaf.pem, leaf.secret())


def test_an_intermediate_that_ended_is_refused_too(tmp_path: Path) -> None:
    """Whoever has not seen it would not believe the rest."""
    old = Issuer("Old", ROOT, days=(-90, -1))
    leaf = Issuer("leaf", old, names=(HOST,))
    with pytest.raises(SettingError, match=r"the certificate of Old in .* ended"):
        read(tmp_path, leaf.pem + old.pem, leaf.secret())


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    """With the setting that names them."""
    with pytest.raises(SettingError, match=r"the setting tls_certificate is .*none, which cannot be read"):
        pairs.read(tmp_path / "none", tmp_path / "none", hostname=HOST, now=NOW)
    (tmp_path / "tls.crt").write_text(LEAF.pem)
    with pytest.raises(SettingError, match="the setting tls_key is"):
        pairs.read(tmp_path / "tls.crt", tmp_path, hostname=HOST, now=NOW)


def test_what_is_no_reason_to_refuse_is_told(tmp_path: Path) -> None:
    """A key that others may read, and an end that is near."""
    leaf = Issuer("leaf", ROOT, names=(HOST,), days=(-80, 3))
    notes = " ".join(read(tmp_path, leaf.pem, leaf.secret(), mode=0o640).notes)
    assert "others than you may read" in notes
    assert "(mode 0640)" in notes
    assert "ends in 3 days" in notes
