"""cert-manager: Issuers get ready, Certificates become Secrets, its webhook has a certificate of its own.

Only while cert-manager's own pods run. Issuers are self-signed, a CA in a Secret, or ACME: then the CA is in
the Secret of the account's key, and issues without looking whether the name leads here. Others stay unready.
"""

from __future__ import annotations

import base64
import datetime as dt
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tideflow.rehearsal.certificates import Authority
from tideflow.rehearsal.standins.world import Pass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tideflow.rehearsal.standins.world import World

NAMESPACE = "cert-manager"
WEBHOOK_SECRET = "cert-manager-webhook-ca"  # noqa: S105 - the Secret's name

_GROUP = "cert-manager.io"
_ISSUERS = ((_GROUP, "Issuer"), (_GROUP, "ClusterIssuer"))
_CERTIFICATE = (_GROUP, "Certificate")
_SECRET = ("", "Secret")
_DEPLOYMENT = ("apps", "Deployment")
_LONGEST_NAME = 64  # characters of a common name (RFC 5280, ub-common-name)
_MANAGER = "cert-manager-certificates-issuing"
_ISSUER = "cert-manager.io/issuer-name"


def _issuers(world: World) -> None:
    if not world.runs(NAMESPACE, "cert-manager"):
        return
    for type_ in _ISSUERS:
        for issuer in world.all(*type_):
            _register(world, issuer)
            problem = _problem(world, issuer)
            _say_ready(
                world,
                issuer,
                type_,
                "IsReady" if not problem else "ErrInitIssuer",
                problem or "the issuer is ready",
                ready=not problem,
            )


def _register(world: World, issuer: Mapping[str, Any]) -> None:
    """Make the account of an ACME issuer: a Secret with its key, and here with a CA that it is the key of."""
    if "acme" in issuer["spec"] and _ca_secret(world, issuer) is None:
        authority = Authority.new(f"rehearsal of {issuer['metadata']['name']}"[:_LONGEST_NAME])
        texts = {"tls.key": authority.private_key, "tls.crt": authority.certificate}
        namespace = issuer["metadata"].get("namespace", NAMESPACE)
        _apply_secret(
            world, namespace, _ca_name(issuer), texts, annotations={}, manager="cert-manager-acme-accounts"
        )


def _problem(world: World, issuer: Mapping[str, Any]) -> str:
    if "selfSigned" in issuer["spec"]:
        return ""
    if "ca" in issuer["spec"] or "acme" in issuer["spec"]:
        name = _ca_name(issuer)
        if _ca_secret(world, issuer) is None:
            return f"the Secret {name} is not there"
        return "" if _authority(world, issuer) else f"the Secret {name} holds no CA that can be used"
    return "the rehearsal stands in for self-signed issuers, for CAs and for ACME only"


def _certificates(world: World) -> None:
    if not world.runs(NAMESPACE, "cert-manager"):
        return
    for certificate in world.all(*_CERTIFICATE):
        metadata, spec = certificate["metadata"], certificate["spec"]
        secret = world.get(*_SECRET, metadata["namespace"], spec["secretName"])
        if secret is None or not _is_as_asked(secret, spec):
            issued = _issue(world, certificate)
            if issued is None:
                continue
            _write_secret(world, certificate, issued)
        _say_ready(
            world, certificate, _CERTIFICATE, "Ready", "the certificate is up to date", ready=True, revision=1
        )


def _is_as_asked(secret: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    """Tell whether a Secret has a certificate of the issuer, and for the names, that are asked for now."""
    by = (secret["metadata"].get("annotations") or {}).get(_ISSUER)
    try:
        found = x509.load_pem_x509_certificate(base64.b64decode((secret.get("data") or {})["tls.crt"]))
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        dns_names = names.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        dns_names = []
    except (KeyError, ValueError):
        return False
    return by == spec["issuerRef"]["name"] and set(dns_names) == set(spec.get("dnsNames") or ())


def _issue(world: World, certificate: Mapping[str, Any]) -> dict[str, str] | None:
    """Return what the Secret is to hold, or None while the issuer is not ready."""
    metadata, spec = certificate["metadata"], certificate["spec"]
    reference = spec["issuerRef"]
    kind = reference.get("kind", "Issuer")
    namespace = metadata["namespace"] if kind == "Issuer" else ""
    issuer = world.get(_GROUP, kind, namespace, reference["name"])
    if issuer is None or not _is_ready(issuer):
        return None
    dns_names, addresses = spec.get("dnsNames") or (), spec.get("ipAddresses") or ()
    name = (spec.get("commonName") or next(iter(dns_names), metadata["name"]))[:_LONGEST_NAME]
    if "selfSigned" in issuer["spec"]:
        # What signs itself is trusted by itself. What is no CA gets one for itself alone instead.
        authority = Authority.new(name, dns_names=dns_names, addresses=addresses)
        if spec.get("isCA"):
            own = authority.certificate
            return {"tls.crt": own, "tls.key": authority.private_key, "ca.crt": own}
    else:
        found = _authority(world, issuer)
        if found is None:
            return None
        authority = found
    issued, key = authority.issue(name, dns_names=dns_names, addresses=addresses)
    made = {"tls.crt": issued, "tls.key": key}
    # Who asks an ACME server is expected to know its CA.
    return made if "acme" in issuer["spec"] else made | {"ca.crt": authority.certificate}


def _authority(world: World, issuer: Mapping[str, Any]) -> Authority | None:
    """Return the CA in the Secret of an issuer; None if there is none that could be used."""
    data = (_ca_secret(world, issuer) or {}).get("data") or {}
    try:
        key = serialization.load_pem_private_key(base64.b64decode(data["tls.key"]), password=None)
        certificate = x509.load_pem_x509_certificate(base64.b64decode(data["tls.crt"]))
    except (KeyError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return Authority(certificate, key) if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _ca_secret(world: World, issuer: Mapping[str, Any]) -> dict[str, Any] | None:
    namespace = issuer["metadata"].get("namespace", NAMESPACE)
    return world.get(*_SECRET, namespace, _ca_name(issuer))


def _ca_name(issuer: Mapping[str, Any]) -> str:
    spec = issuer["spec"]
    return str(spec["ca"]["secretName"] if "ca" in spec else spec["acme"]["privateKeySecretRef"]["name"])


def _webhook(world: World) -> None:
    """Make the Secret with the CA of cert-manager's own webhook, as the webhook does when it starts."""
    if not world.runs(NAMESPACE, "cert-manager-webhook"):
        return
    if world.get(*_SECRET, NAMESPACE, WEBHOOK_SECRET) is None:
        authority = Authority.new("cert-manager-webhook-ca")
        _apply_secret(
            world,
            NAMESPACE,
            WEBHOOK_SECRET,
            {
                "tls.crt": authority.certificate,
                "tls.key": authority.private_key,
                "ca.crt": authority.certificate,
            },
            annotations={"cert-manager.io/allow-direct-injection": "true"},
            manager="webhook",
        )


def _write_secret(world: World, certificate: Mapping[str, Any], issued: Mapping[str, str]) -> None:
    metadata, spec = certificate["metadata"], certificate["spec"]
    _apply_secret(
        world,
        metadata["namespace"],
        spec["secretName"],
        issued,
        annotations={
            "cert-manager.io/certificate-name": metadata["name"],
            _ISSUER: spec["issuerRef"]["name"],
        },
        manager=_MANAGER,
    )


def _apply_secret(
    world: World,
    namespace: str,
    name: str,
    texts: Mapping[str, str],
    *,
    annotations: Mapping[str, str],
    manager: str,
) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()},
    }
    world.cluster.apply(f"/api/v1/namespaces/{namespace}/secrets/{name}", body, field_manager=manager)


def _is_ready(found: Mapping[str, Any]) -> bool:
    conditions = (found.get("status") or {}).get("conditions") or ()
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _say_ready(
    world: World,
    found: dict[str, Any],
    type_: tuple[str, str],
    reason: str,
    message: str,
    *,
    ready: bool,
    revision: int | None = None,
) -> None:
    wanted = "True" if ready else "False"
    conditions = (found.get("status") or {}).get("conditions") or ()
    said = {
        "type": "Ready",
        "status": wanted,
        "reason": reason,
        "message": message,
        "observedGeneration": found["metadata"].get("generation", 1),
    }
    if any(said.items() <= each.items() for each in conditions):
        return
    status: dict[str, Any] = {
        "conditions": [
            {
                **said,
                "lastTransitionTime": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        ]
    }
    if revision is not None:
        status["revision"] = revision
    world.cluster.patch(
        world.path(found, *type_) + "/status", {"status": status}, query={"fieldManager": _MANAGER}
    )


ISSUERS = Pass("issuers", (*_ISSUERS, _SECRET, _DEPLOYMENT), _issuers)
CERTIFICATES = Pass("certificates", (_CERTIFICATE, *_ISSUERS, _SECRET, _DEPLOYMENT), _certificates)
WEBHOOK = Pass("cert-manager's webhook", (_SECRET, _DEPLOYMENT), _webhook)
