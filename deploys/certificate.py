"""The hostname's certificate of Let's Encrypt, once DNS leads here; others are made with the Ingress."""

from tideflow.operations import certificates, kubeflow
from tideflow.operations.running import require_cluster, settings

require_cluster()
kubeflow.require_base()

if settings().encryption.mode == "acme":
    certificates.certificate(
        name="Certificate",
        wanted=certificates.wanted(),
        timeout=settings().timeout_seconds,
        prune=settings().prune,
    )
