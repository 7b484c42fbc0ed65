"""The Kubernetes cluster, at DigitalOcean or in the rehearsal."""

from tideflow.connectors.platform import CLUSTER
from tideflow.operations import digitalocean
from tideflow.operations.clusters import Wanted
from tideflow.operations.running import platform, promise, settings

_settings = settings()

digitalocean.cluster(
    name="Cluster",
    wanted=Wanted.of(_settings, name=platform().platform),
    adopt=_settings.adopt_cluster,
    timeout=_settings.timeout_seconds,
)

promise(CLUSTER)
