"""cert-manager's stand-in on a real control plane: real certificates, and only once cert-manager runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.verification import PolicyBuilder, Store
from tests.integration.engine_runs import apply
from tests.integration.happening import available, certificate, exists, issuer, moment, now, ready, secret

if TYPE_CHECKING:
    from tideflow.clients.kubernetes import Kubernetes

ISSUERS = "/apis/cert-manager.io/v1/namespaces/certificates/issuers"
CERTIFICATES = "/apis/cert-manager.io/v1/namespaces/certificates/certificates"
SECRETS = "/api/v1/namespaces/certificates/secrets"
DEPLOYMENT = "/apis/apps/v1/namespaces/cert-manager/deployments/cert-manager"


def verify(trusted: bytes, presented: bytes, server_name: str) -> None:
    """Raise an error unless who trusts the one certificate believes a server that presents the other."""
    store = Store([x509.load_pem_x509_certificate(trusted)])
    verifier = PolicyBuilder().store(store).build_server_verifier(x509.DNSName(server_name))
    verifier.verify(x509.load_pem_x509_certificate(presented), [])


def test_nothing_is_issued_before_cert_manager_runs(client: Kubernetes, cert_manager: str) -> None:
    """Issuers and Certificates that are there already are served once its Deployment is available."""
    runs = moment(client, DEPLOYMENT, available, since=cert_manager)
    assert moment(client, f"{ISSUERS}/self", ready) > runs
    assert moment(client, f"{SECRETS}/early", since=cert_manager) > runs
    assert moment(client, f"{CERTIFICATES}/early", ready) > runs


@pytest.mark.usefixtures("cert_manager")
def test_a_self_signed_certificate_is_a_real_one(client: Kubernetes) -> None:
    """Whoever trusts what is in ``ca.crt`` believes the server, also under a name longer than a CN may be."""
    names = ["a" * 60 + ".certificates.svc", "self-signed.certificates.svc"]
    apply(client, [issuer("self", selfSigned={}), certificate("served", "self", dnsNames=names)])
    found = secret(client, "served")
    live = client.get(f"{SECRETS}/served")
    assert live["type"] == "kubernetes.io/tls"
    assert live["metadata"]["annotations"]["cert-manager.io/certificate-name"] == "served"
    assert set(found) == {"tls.crt", "tls.key", "ca.crt"}
    for name in names:
        verify(found["ca.crt"], found["tls.crt"], name)
    key: Any = serialization.load_pem_private_key(found["tls.key"], password=None)
    assert key.public_key() == x509.load_pem_x509_certificate(found["tls.crt"]).public_key()


@pytest.mark.parametrize(("kind", "space"), [("Issuer", "certificates"), ("ClusterIssuer", "cert-manager")])
@pytest.mark.parametrize("names", [[], ["authority.certificates.svc"]])
@pytest.mark.usefixtures("cert_manager")
def test_a_ca_issues_what_is_trusted_with_it(
    client: Kubernetes, kind: str, space: str, names: list[str]
) -> None:
    """A CA of cert-manager's own making, with names of its own or without, in an issuer of either kind."""
    this = f"{kind.lower()}-{len(names)}"
    made = certificate(f"{this}-ca", "self", "ClusterIssuer", isCA=True, commonName=this, dnsNames=names)
    made["metadata"]["namespace"] = space
    apply(
        client,
        [
            issuer("self", "ClusterIssuer", selfSigned={}),
            made,
            issuer(this, kind, ca={"secretName": f"{this}-ca"}),
            certificate(f"{this}-leaf", this, kind, dnsNames=["leaf.example.org"]),
        ],
        set_name=this,
    )
    authority = secret(client, f"{this}-ca", space)
    leaf = secret(client, f"{this}-leaf")
    assert authority["tls.crt"] == authority["ca.crt"] == leaf["ca.crt"]
    verify(authority["tls.crt"], leaf["tls.crt"], "leaf.example.org")


@pytest.mark.usefixtures("cert_manager")
def test_an_issuer_in_trouble_is_alone_with_it(client: Kubernetes) -> None:
    """It says why it is not ready and issues nothing; the others go on."""
    broken = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "broken", "namespace": "certificates"},
        "stringData": {"tls.crt": "no certificate", "tls.key": "no key"},
    }
    troubled: dict[str, dict[str, Any]] = {
        "vault": {"vault": {"server": "https://vault.example.org"}},
        "broken": {"ca": {"secretName": "broken"}},
        "missing": {"ca": {"secretName": "missing"}},
    }
    issuers = [issuer(name, **spec) for name, spec in troubled.items()]
    waiting = [certificate(f"by-{name}", name, dnsNames=["a.example.org"]) for name in troubled]
    apply(client, [broken, *issuers, *waiting], set_name="troubled", wait=False)
    apply(
        client,
        [issuer("z", selfSigned={}), certificate("by-z", "z", dnsNames=["z.example.org"])],
        set_name="well",
    )
    reasons = {
        "vault": "the rehearsal stands in for self-signed issuers, for CAs and for ACME only",
        "broken": "the Secret broken holds no CA that can be used",
        "missing": "the Secret missing is not there",
    }
    for name, reason in reasons.items():
        moment(client, f"{ISSUERS}/{name}", lambda live: reason in str(live.get("status")))  # noqa: B023
        assert not ready(client.get(f"{ISSUERS}/{name}"))
        assert not exists(client, f"{SECRETS}/by-{name}")
        assert not ready(client.get(f"{CERTIFICATES}/by-{name}"))


@pytest.mark.usefixtures("cert_manager")
def test_a_deleted_secret_is_issued_again(client: Kubernetes) -> None:
    """And only then: what is there is kept."""
    apply(client, [issuer("self", selfSigned={}), certificate("again", "self", dnsNames=["a.example.org"])])
    before = secret(client, "again")
    since = now(client)
    client.delete(f"{SECRETS}/again")
    moment(client, f"{SECRETS}/again", since=since)
    after = secret(client, "again")
    assert set(after) == set(before)
    assert after["tls.key"] != before["tls.key"]


@pytest.mark.usefixtures("cert_manager")
def test_who_is_asked_instead_issues_anew(client: Kubernetes) -> None:
    """Another issuer, an ACME server here, or another name: what is ready is what is asked now."""
    server = {"server": "https://acme.example.org", "privateKeySecretRef": {"name": "account"}}
    issuers = [issuer("self", selfSigned={}), issuer("acme", "ClusterIssuer", acme=server)]
    apply(client, [*issuers, certificate("moved", "self", dnsNames=["a.example.org"])])
    before = secret(client, "moved")
    for name in ("a.example.org", "b.example.org"):
        asked = certificate("moved", "acme", "ClusterIssuer", dnsNames=[name])
        apply(client, [*issuers, asked])
        generation = client.get(f"{CERTIFICATES}/moved")["metadata"]["generation"]
        moment(
            client,
            f"{CERTIFICATES}/moved",
            lambda live: live["status"]["conditions"][0].get("observedGeneration") == generation,  # noqa: B023
        )
        after = secret(client, "moved")
        assert after["tls.crt"] != before["tls.crt"]
        verify(secret(client, "account", "cert-manager")["tls.crt"], after["tls.crt"], name)


@pytest.mark.usefixtures("cert_manager")
def test_cert_managers_webhook_makes_a_ca_of_its_own(client: Kubernetes) -> None:
    """In the Secret that its configuration's CA bundle is taken from."""
    authority = x509.load_pem_x509_certificate(
        secret(client, "cert-manager-webhook-ca", "cert-manager")["ca.crt"]
    )
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
