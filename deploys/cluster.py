"""The Kubernetes cluster, at DigitalOcean or in the rehearsal."""

from tideflow.connectors.platform import CLUSTER
from tideflow.operations import digitalocean
from tideflow.operations.running import promise, settings

_settings = settings()

digitalocean.cluster(
    name="Cluster",
    region=_settings.region,
    version=_settings.kubernetes_version,
    size=_settings.node_size,
    count=_settings.node_count,
    timeout=_settings.timeout_seconds,
)

promise(CLUSTER)
