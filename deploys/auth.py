"""The password people log in with."""

from tideflow.operations import auth, kubeflow
from tideflow.operations.running import require_cluster, settings

require_cluster()
kubeflow.require_base()

# Asked for now, before the first change of the run, and not when its turn comes ten minutes later.
_password = auth.chosen_password()

auth.password(name="Password", password=_password, timeout=settings().timeout_seconds)
