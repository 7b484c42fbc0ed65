"""The vendored Kubeflow base: hundreds of objects, each written as soon as what it needs is there."""

from tideflow.operations import bases, kubeflow
from tideflow.operations.room import room
from tideflow.operations.running import BASE, promise, require_cluster, settings

require_cluster()

_base = bases.base()

room(name="Room for Kubeflow", base=_base)

kubeflow.base(
    name="Kubeflow base",
    base=_base,
    timeout=settings().timeout_seconds,
    prune=settings().prune,
)

promise(BASE)
