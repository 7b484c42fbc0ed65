"""Certificates: what an authority issues is believed by whoever trusts it, and by nobody else."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from tideflow.errors import RehearsalError
from tideflow.rehearsal.certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path


def handshake(
    folder: Path, issued_by: Authority, trusting: Authority, *, asked: str, client: bool = True
) -> str:
    """Speak TLS as ``asked`` with a server and a client of ``issued_by``; return the client's common name."""
    files = []
    for side in ("server", "client"):
        certificate, key = issued_by.issue(
            side, dns_names=["webhook.apps.svc"] if side == "server" else (), addresses=["127.0.0.1"]
        )
        files.append(folder / f"{side}.pem")
        files[-1].write_text(certificate + key)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=issued_by.certificate)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_cert_chain(files[0])
    context = ssl.create_default_context(cadata=trusting.certificate)
    if client:
        context.load_cert_chain(files[1])
    names: list[str] = []
    one, other = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(other, server_side=True) as connection:
                peer = connection.getpeercert() or {}
                names.append(peer["subject"][-1][0][1])
                connection.sendall(b"welcome")
        except OSError:
            other.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with context.wrap_socket(one, server_hostname=asked) as connection:
            if connection.recv(7) != b"welcome":
                raise ConnectionError
    finally:
        one.close()
        thread.join()
    return names[0]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return an authority."""
    return Authority.load_or_create(tmp_path / "pki", "test")


@pytest.mark.parametrize("asked", ["webhook.apps.svc", "127.0.0.1"])
def test_server_and_client_believe_each_other(tmp_path: Path, authority: Authority, asked: str) -> None:
    """A server is believed under its names and addresses, a client to be its common name."""
    assert handshake(tmp_path, authority, authority, asked=asked) == "client"


def test_a_server_is_not_believed_under_another_name(tmp_path: Path, authority: Authority) -> None:
    """Names are what a certificate is about."""
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(tmp_path, authority, authority, asked="other.apps.svc")


def test_another_authoritys_certificate_is_not_believed(tmp_path: Path, authority: Authority) -> None:
    """Two authorities of the same name are two."""
    other = Authority.load_or_create(tmp_path / "other", "test")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path, other, authority, asked="webhook.apps.svc")


def test_a_client_without_a_certificate_is_refused(tmp_path: Path, authority: Authority) -> None:
    """The server of the helper asks for one, so the tests above show that it was given."""
    with pytest.raises(OSError):  # noqa: PT011 - an alert or a closed connection, whichever is seen first
        handshake(tmp_path, authority, authority, asked="webhook.apps.svc", client=False)


def test_an_authority_is_the_same_when_it_is_loaded_again(tmp_path: Path, authority: Authority) -> None:
    """It is made once; its key is for its user alone."""
    again = Authority.load_or_create(tmp_path / "pki", "ignored by now")
    assert again.certificate == authority.certificate
    assert handshake(tmp_path, again, authority, asked="webhook.apps.svc") == "client"
    assert (tmp_path / "pki" / "ca.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "pki").stat().st_mode & 0o777 == 0o700


def test_a_group_and_a_year_are_in_a_certificate(authority: Authority) -> None:
    """The organization is the group to Kubernetes; nothing is renewed, so it lasts."""
    certificate = x509.load_pem_x509_certificate(
        authority.issue("user", organization="system:masters")[0].encode()
    )
    assert certificate.subject.rfc4514_string() == "CN=user,O=system:masters"
    now = dt.datetime.now(dt.UTC)
    assert certificate.not_valid_before_utc < now
    assert certificate.not_valid_after_utc > now + dt.timedelta(days=366)


@pytest.mark.parametrize("damage", ["certificate", "key", "no key", "another key"])
def test_a_damaged_authority_is_refused_and_left_as_it_is(
    tmp_path: Path, authority: Authority, damage: str
) -> None:
    """A new one in its place would not be believed by what runs already."""
    assert authority.certificate
    folder = tmp_path / "pki"
    match damage:
        case "certificate":
            (folder / "ca.crt").write_text("soup")
        case "key":
            (folder / "ca.key").write_text("soup")
        case "no key":
            (folder / "ca.key").unlink()
        case _:
            Authority.load_or_create(tmp_path / "other", "other")
            (tmp_path / "other" / "ca.key").replace(folder / "ca.key")
    before = (folder / "ca.crt").read_text()
    with pytest.raises(RehearsalError, match="is not usable") as raised:
        Authority.load_or_create(folder, "test")
    assert "PRIVATE" not in str(raised.value)
    assert (folder / "ca.crt").read_text() == before


def test_a_key_that_an_interrupted_start_left_is_replaced(tmp_path: Path) -> None:
    """The certificate is written last: without it there is no authority yet."""
    folder = tmp_path / "pki"
    folder.mkdir()
    (folder / "ca.key").write_text("half of a key")
    authority = Authority.load_or_create(folder, "test")
    assert Authority.load_or_create(folder, "test").certificate == authority.certificate


def test_what_an_authority_has_issued_is_told_from_all_else(tmp_path: Path) -> None:
    """A certificate and its key, both whole; not one of each of two pairs, nor another authority's."""
    authority = Authority.new("ours")
    files = tmp_path / "crt", tmp_path / "key"
    pairs = [authority.issue("one"), authority.issue("two"), Authority.new("ours").issue("one")]

    def accepted(certificate: str, key: str) -> bool:
        for file, text in zip(files, (certificate, key), strict=True):
            file.write_text(text)
        return authority.has_issued(*files)

    assert not authority.has_issued(*files)
    assert accepted(*pairs[0])
    assert not accepted(pairs[0][0], pairs[1][1])
    assert not accepted(*pairs[2])
    assert not accepted(pairs[0][0], "soup")
    assert not accepted("soup", pairs[0][1])
    assert not accepted(pairs[0][1], pairs[0][0])
