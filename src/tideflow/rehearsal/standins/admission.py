"""What webhooks answer: they allow what the real ones allow, convert by version, and inject sidecars."""

from __future__ import annotations

import base64
import functools
import json
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tideflow.errors import RehearsalError
from tideflow.rehearsal.certificates import Authority
from tideflow.rehearsal.standins import injecting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tideflow.rehearsal.standins.world import World

_INJECTOR = ("istio-system", "istiod")


def answer(world: World, namespace: str, service: str, review: Mapping[str, Any]) -> dict[str, Any]:
    """Return the review that the webhook of a Service answers with."""
    request = review["request"]
    if review["kind"] == "ConversionReview":
        wanted = request["desiredAPIVersion"]
        response: dict[str, Any] = {
            "uid": request["uid"],
            "result": {"status": "Success"},
            "convertedObjects": [{**found, "apiVersion": wanted} for found in request["objects"]],
        }
    else:
        response = {"uid": request["uid"], "allowed": True}
        if (namespace, service) == _INJECTOR and request["resource"]["resource"] == "pods":
            patches = injecting.patches(world, request)
            if patches:
                response["patchType"] = "JSONPatch"
                response["patch"] = base64.b64encode(json.dumps(patches).encode()).decode()
    return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}


@functools.lru_cache(maxsize=64)
def certificate_of(certificate: str, key: str, server_name: str) -> tuple[str, str]:
    """Return a certificate for a server, and its key, signed by the CA of which these are the PEM texts."""
    private = serialization.load_pem_private_key(key.encode(), password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise RehearsalError(f"the CA for {server_name} has a key of another kind than the rehearsal makes")
    authority = Authority(x509.load_pem_x509_certificate(certificate.encode()), private)
    return authority.issue(server_name[:64], dns_names=[server_name])
