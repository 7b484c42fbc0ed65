"""The way of the hostname to Kubeflow's gateway: its certificate, and the Ingress of nginx or no other."""

from pathlib import Path

from tideflow.operations import certificates, edges, gateways, kubeflow, kubernetes
from tideflow.operations.running import require_cluster, settings

require_cluster()
kubeflow.require_base()

_encryption = settings().encryption

gateways.gateway(name="Gateway", hostname=settings().hostname)

# Before the Ingress, so that nobody is led to Kubeflow without it. Let's Encrypt's comes with
# deploys/certificate.py, once DNS leads here; until then nginx has one that no browser trusts, and still
# nothing goes unencrypted.
if _encryption.mode != "acme":
    certificates.certificate(
        name="Certificate",
        wanted=certificates.wanted(),
        timeout=settings().timeout_seconds,
        prune=settings().prune,
    )

kubernetes.apply(
    name="Ingress",
    source=kubernetes.render(
        Path("templates/ingress.yaml.j2"),
        hostname=settings().hostname,
        secret=_encryption.secret_name if _encryption.is_on else None,
    )
    if edges.edge() == "nginx"
    else None,
    set_name="kubeflow-ingress",
    timeout=settings().timeout_seconds,
    prune=settings().prune,
)
