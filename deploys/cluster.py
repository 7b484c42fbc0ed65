"""The Kubernetes cluster, at DigitalOcean or in the rehearsal."""

from tideflow.connectors.platform import CLUSTER
from tideflow.operations import digitalocean
from tideflow.operations.clusters import Wanted
from tideflow.operations.preflight import preflight
from tideflow.operations.running import platform, promise, settings

_settings = settings()
_wanted = Wanted.of(_settings, name=platform().platform)

preflight(_wanted, adopt=_settings.adopt_cluster, unsupported=_settings.unsupported_kubernetes)

digitalocean.cluster(
    name="Cluster",
    wanted=_wanted,
    adopt=_settings.adopt_cluster,
    timeout=_settings.timeout_seconds,
)

promise(CLUSTER)
