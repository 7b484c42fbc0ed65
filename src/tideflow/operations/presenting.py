"""Whether the certificate that the hostname is presented with is as it should be, and else whose it is."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tideflow.operations.chains import covers
from tideflow.operations.ways import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tideflow.clients.outside import Presented
    from tideflow.operations.ways import Way

_FAKE = "Kubernetes Ingress Controller Fake Certificate"
_STAGING = "(staging)"  # in the names of all that Let's Encrypt's staging server issues with
_MOST_NAMED = 4
_SOON = dt.timedelta(days=14)
_TO_WATCH = dt.timedelta(days=7)  # cert-manager has renewed one of Let's Encrypt's long before


def wrong(presented: Presented, way: Way, now: dt.datetime) -> Trouble | None:
    """Return what keeps browsers from trusting a certificate, the most telling of it, if anything does."""
    found = next(_wrong(presented, way, now), None)
    if found is None or way.mode == "files" or not way.secret or _FAKE in presented.subject:
        return found
    # cert-manager looks at the Secret only now and then, and not at all of it.
    anew = f"kubectl delete secret -n istio-system kubeflow-tls-{way.mode}"
    return replace(found, otherwise=f"if that does not help, have it issued anew: {anew}")


def _wrong(presented: Presented, way: Way, now: dt.datetime) -> Iterator[Trouble]:
    step, issuer = way.certified_by, presented.issuer
    if _FAKE in presented.subject:
        yield Trouble(
            f"nginx presents its own fake certificate, and has none for {way.hostname}",
            "ingress" if way.secret else step,  # there is one, which no Ingress has then
            passes=True,
        )
    if way.mode == "acme" and _STAGING in issuer.lower():
        yield Trouble(
            f"the certificate is of {issuer}, Let's Encrypt's staging server, which no browser trusts",
            step,
            passes=True,
        )
    if presented.ends <= now:
        first = "have it renewed, in the files of tls_certificate and tls_key" if way.mode == "files" else ""
        yield Trouble(f"the certificate, of {issuer}, ended on {presented.ends:%Y-%m-%d}", step, first=first)
    if presented.begins > now:
        begins = f"{presented.begins:%Y-%m-%d %H:%M} (UTC)"
        yield Trouble(
            f"the certificate, of {issuer}, begins on {begins}", step, first="look at this machine's clock"
        )
    if not any(covers(name.lower(), way.hostname) for name in presented.names):
        names = ", ".join(presented.names[:_MOST_NAMED]) or presented.subject
        yield Trouble(f"the certificate is for {names}, and not for {way.hostname}", step, passes=True)
    if presented.wrong and not (way.mode == "files" and _is_ours(presented, way)):
        whom = "the platform's own CA" if way.mode == "self-signed" else "anybody that browsers trust"
        yield Trouble(
            f"the certificate is of {issuer}, and not of {whom} ({presented.wrong})", step, passes=True
        )


def notes(presented: Presented, way: Way, now: dt.datetime) -> Iterator[str]:
    """Yield what is no reason to fail, but to be told."""
    if presented.wrong:
        yield (
            f"browsers trust {presented.issuer}, who issued the certificate, only if they are told to: if "
            "that is no CA of your own, the file in tls_certificate lacks an intermediate certificate"
        )
    left = presented.ends - now
    if left < (_SOON if way.mode == "files" else _TO_WATCH):
        yield f"the certificate ends in {left.days} days"


def _is_ours(presented: Presented, way: Way) -> bool:
    """Tell whether it is the one that is in the cluster for the edge to present."""
    try:
        leaf = x509.load_pem_x509_certificate(way.secret.encode())
    except ValueError:
        return False
    return leaf.public_bytes(Encoding.DER) == presented.der
