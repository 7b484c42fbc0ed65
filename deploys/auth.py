"""The passwords people log in with, and a Profile for each of them."""

from tideflow.operations import auth, kubeflow, kubernetes, people
from tideflow.operations.running import require_cluster, settings

require_cluster()
kubeflow.require_base()

_users = settings().users
people.check_profiles(_users)

# Asked for now, before the first change of the run, and not when its turn comes ten minutes later.
_password = auth.chosen_password()
_chosen = people.chosen(_users)

auth.password(name="Password", password=_password, timeout=settings().timeout_seconds)

people.known(name="Users", people=_users, chosen=_chosen, timeout=settings().timeout_seconds)

kubernetes.apply(
    name="Profiles",
    source=people.profiles(_users) or None,
    set_name="kubeflow-users",
    timeout=settings().timeout_seconds,
    prune=settings().prune,
)
