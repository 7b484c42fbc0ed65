"""The vendored Kubeflow base: hundreds of objects, each written as soon as what it needs is there."""

from tideflow.operations import bases, kubeflow
from tideflow.operations.running import BASE, promise, require_cluster, settings

require_cluster()

kubeflow.base(
    name="Kubeflow base",
    base=bases.base(),
    timeout=settings().timeout_seconds,
    prune=settings().prune,
)

promise(BASE)
