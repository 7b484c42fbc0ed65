"""The credentials that upstream ships alike for everybody: none of them is live when this is through."""

from tideflow.operations import kubeflow, rotation
from tideflow.operations.running import require_cluster, settings

require_cluster()
kubeflow.require_base()

rotation.rotated(name="Credentials", again=settings().rotate_credentials, timeout=settings().timeout_seconds)
