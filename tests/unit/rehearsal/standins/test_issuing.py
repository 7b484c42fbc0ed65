"""What is issued: real certificates, of the right issuer, or nothing yet."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.unit.rehearsal.standins.worlds import world

from tideflow.rehearsal.certificates import Authority
from tideflow.rehearsal.standins import issuing

if TYPE_CHECKING:
    from tideflow.rehearsal.standins.world import World


def issuer(*, ready: bool = True, kind: str = "Issuer", **spec: Any) -> dict[str, Any]:
    """Return an issuer that says whether it is ready."""
    metadata = {"name": "by"} | ({"namespace": "a"} if kind == "Issuer" else {})
    conditions = [{"type": "Ready", "status": str(ready)}]
    status = {"conditions": conditions}
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
        "status": status,
    }


def secret(certificate: str, key: str, space: str = "a") -> dict[str, Any]:
    """Return a Secret with a CA."""
    data = {"tls.crt": certificate, "tls.key": key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "ca", "namespace": space},
        "data": {name: base64.b64encode(text.encode()).decode() for name, text in data.items()},
    }


def issued(where: World, kind: str = "Issuer", **spec: Any) -> dict[str, str] | None:
    """Return what a Certificate's Secret would hold."""
    reference = {"name": "by"} | ({"kind": kind} if kind != "Issuer" else {})
    metadata = {"name": "wanted", "namespace": "a"}
    return issuing._issue(
        where, {"metadata": metadata, "spec": {"secretName": "s", "issuerRef": reference, **spec}}
    )


def certificate(pem: str) -> x509.Certificate:
    """Return a certificate, read."""
    return x509.load_pem_x509_certificate(pem.encode())


SELF_SIGNED = issuer(selfSigned={})
CA = {"secretName": "ca"}


@pytest.mark.parametrize(
    "where",
    [
        world(),
        world(issuer(ready=False, selfSigned={})),
        world(issuer(ca=CA)),
        world({**SELF_SIGNED, "metadata": {"name": "by", "namespace": "b"}}),
        world(issuer(kind="ClusterIssuer", selfSigned={})),
    ],
)
def test_nothing_without_an_issuer_that_can(where: World) -> None:
    """None of that name in this namespace and of this kind, or not ready, or without its CA."""
    assert issued(where, dnsNames=["a.example.org"]) is None


@pytest.mark.parametrize("is_ca", [False, True])
def test_names_and_addresses_are_in_the_certificate(*, is_ca: bool) -> None:
    """All of them, and only a CA is one."""
    found = issued(
        world(SELF_SIGNED), dnsNames=["a.example.org", "b.example.org"], ipAddresses=["10.0.0.1"], isCA=is_ca
    )
    assert found is not None
    read = certificate(found["tls.crt"])
    names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example.org", "b.example.org"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    assert read.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is is_ca
    assert (found["tls.crt"] == found["ca.crt"]) is is_ca
    read.verify_directly_issued_by(certificate(found["ca.crt"]))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"commonName": "named", "dnsNames": ["a.example.org"]}, "named"),
        ({"dnsNames": ["a.example.org"]}, "a.example.org"),
        ({}, "wanted"),
        ({"dnsNames": ["a" * 63 + ".example.org"]}, "a" * 63 + "."),
    ],
)
def test_a_common_name_is_never_too_long(spec: dict[str, Any], expected: str) -> None:
    """64 characters are all that X.509 allows; DNS allows 253."""
    found = issued(world(SELF_SIGNED), **spec)
    assert found is not None
    assert certificate(found["tls.crt"]).subject.rfc4514_string() == f"CN={expected}"


@pytest.mark.parametrize(("kind", "space"), [("Issuer", "a"), ("ClusterIssuer", "cert-manager")])
def test_a_ca_is_read_from_the_namespace_of_its_kind(kind: str, space: str) -> None:
    """Beside an Issuer, and in cert-manager's own for a ClusterIssuer."""
    authority = Authority.new("the CA")
    where = world(issuer(kind=kind, ca=CA), secret(authority.certificate, authority.private_key, space))
    found = issued(where, kind, dnsNames=["a.example.org"])
    assert found is not None
    assert found["ca.crt"] == authority.certificate
    certificate(found["tls.crt"]).verify_directly_issued_by(certificate(authority.certificate))


def rsa_key() -> str:
    """Return a key of a kind that the rehearsal does not make."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - signs nothing
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


@pytest.mark.parametrize(
    ("objects", "problem"),
    [
        ([], "the Secret ca is not there"),
        ([secret("", "")], "the Secret ca holds no CA that can be used"),
        ([secret("no", "no")], "the Secret ca holds no CA that can be used"),
        ([secret(Authority.new("x").certificate, rsa_key())], "the Secret ca holds no CA that can be used"),
        ([{**secret("", ""), "data": None}], "the Secret ca holds no CA that can be used"),
    ],
)
def test_an_issuer_says_what_is_wrong_with_its_ca(objects: list[dict[str, Any]], problem: str) -> None:
    """In words; what cannot be read is no exception, which would be every other issuer's trouble too."""
    assert issuing._problem(world(*objects), issuer(ca=CA)) == problem
