"""Who issues the hostname's certificate, as cert-manager asks them: what is asked, and whether it is done."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tideflow.clients.waiting import wait_for
from tideflow.engine import readiness
from tideflow.engine.manifests import Key, load
from tideflow.engine.templates import render
from tideflow.errors import ApplyError
from tideflow.operations import edges
from tideflow.operations.live import shown
from tideflow.operations.running import change, executing, needed_cluster, platform, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from pyinfra.api import FunctionCommand

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.connectors.encryption import Mode
    from tideflow.connectors.platform import PlatformConnector
    from tideflow.engine.manifests import Manifest

STAGING = "tideflow-letsencrypt-staging"
PRODUCTION = "tideflow-letsencrypt"
OWN = "tideflow-ca"
ISSUERS: dict[Mode, str] = {"acme": PRODUCTION, "self-signed": OWN}
"""The issuer of each setting ``tls`` that has one."""

SPACE = edges.GATEWAY.namespace
"""Where the edge looks for certificates, be it nginx or Istio's gateway."""

_TEMPLATE = Path("templates/certificate.yaml.j2")
_SERVERS = {
    STAGING: "https://acme-staging-v02.api.letsencrypt.org/directory",
    PRODUCTION: "https://acme-v02.api.letsencrypt.org/directory",
}
_CERTIFICATE = Key("cert-manager.io", "Certificate", SPACE, "kubeflow")
_CERTIFICATES = f"/apis/cert-manager.io/v1/namespaces/{SPACE}/certificates"
_LONGEST_NAME = 64  # characters of a common name
_PATIENCE = 600.0  # seconds; a minute is usual, and what takes longer needs somebody


def asked_of(issuer: str) -> list[Manifest]:
    """Return the issuer, and the Certificate that it is to issue for the hostname."""
    chosen, target = settings(), platform()
    values: Mapping[str, object] = {
        "mode": chosen.encryption.mode,
        "issuer": issuer,
        "server": _SERVERS.get(issuer),
        "email": chosen.encryption.acme_email,
        "edge": edges.edge(),
        "hostname": chosen.hostname,
        "secret": chosen.encryption.secret_name,
        "authority": f"Kubeflow on {target.platform}"[:_LONGEST_NAME],
    }
    return load(render(_TEMPLATE, values))


def is_asked_of(issuer: str) -> bool:
    """Tell whether the live Certificate is this issuer's, and for the hostname."""
    spec = (shown(_CERTIFICATE) or {}).get("spec", {})
    found = (spec.get("issuerRef", {}).get("name"), spec.get("dnsNames"))
    return found == (issuer, [settings().hostname])


def is_ready(issuer: str) -> bool:
    """Tell whether an issuer has issued the certificate."""
    live = shown(_CERTIFICATE)
    return live is not None and is_asked_of(issuer) and _is_issued(live) is True


def has_failed() -> bool:
    """Tell whether the issuer refused; cert-manager asks again after an hour, and after more each time."""
    live = shown(_CERTIFICATE)
    return live is not None and _is_issued(live) is False


def forgotten() -> FunctionCommand:
    """Return the change that deletes the Certificate, not its Secret: one made anew is asked for at once."""
    return change(functools.partial(_forget, platform()))


def _forget(target: PlatformConnector, _: object) -> None:
    needed_cluster(target).delete(f"{_CERTIFICATES}/{_CERTIFICATE.name}")


def _is_issued(live: Mapping[str, Any]) -> bool | None:
    """Return True for a Certificate that is as it was last asked for, False if that failed.

    One without a status is ready as far as `readiness` goes, but its Secret is not there yet.
    """
    if live["metadata"]["name"] != _CERTIFICATE.name:
        return None
    state, generation = live.get("status") or {}, live["metadata"].get("generation")
    found = readiness.condition(state, "Ready")
    if found.get("status") == "True" and found.get("observedGeneration", generation) == generation:
        return True
    is_asking = readiness.condition(state, "Issuing").get("status") == "True"
    return False if state.get("lastFailureTime") and not is_asking else None


def issued(issuer: str, timeout: float) -> Generator[FunctionCommand]:
    """Wait until the issuer has issued it; not a change, if it has."""
    if executing() and not is_ready(issuer):
        yield change(functools.partial(_await, platform(), issuer, min(timeout, _PATIENCE)))


def _await(target: PlatformConnector, issuer: str, timeout: float, live: Callable[[str], None]) -> None:
    cluster = needed_cluster(target)
    try:
        what = f"{issuer} to issue the certificate of {target.settings.hostname}"
        if not wait_for(cluster, _CERTIFICATES, _is_issued, what=what, timeout=timeout, progress=live):
            raise ApplyError(f"waited in vain for {what}")  # noqa: TRY301 - to be told as the other is
    except ApplyError as error:
        why = "; ".join(_complaints(cluster)) or "cert-manager does not say why"
        raise ApplyError(
            f"{error.message}: {why}", hint="docs/access.md says what helps; then run this step again"
        ) from None
    target.host.log(f"{issuer} has issued the certificate of {target.settings.hostname}")


def _complaints(cluster: Kubernetes) -> list[str]:
    """Return what cert-manager says of the challenges that were not met, or else of the certificate."""
    resource = cluster.resources().of_kind("acme.cert-manager.io", "Challenge")
    challenges = cluster.get(resource.collection(SPACE))["items"] if resource else []
    said = [(found.get("status") or {}).get("reason") for found in challenges]
    if not any(said):
        status = cluster.get(f"{_CERTIFICATES}/{_CERTIFICATE.name}").get("status") or {}
        said = [readiness.condition(status, kind).get("message") for kind in ("Issuing", "Ready")]
    return [" ".join(str(words).split()) for words in said if words]
