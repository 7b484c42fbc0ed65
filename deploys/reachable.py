"""Whether people get to Kubeflow's login at the hostname, asked from outside; it changes nothing."""

from tideflow.operations import kubeflow
from tideflow.operations.running import require_cluster, settings

require_cluster()
kubeflow.require_base()

kubeflow.reachable(name="Reachable", timeout=settings().timeout_seconds)
