"""The vendored Kubeflow base: hundreds of objects, each written as soon as what it needs is there."""

from tideflow.operations import kubeflow
from tideflow.operations.running import BASE, promise, require_cluster, settings

require_cluster()

kubeflow.base(
    name="Kubeflow base",
    source=kubeflow.source(),
    email=settings().email,
    timeout=settings().timeout_seconds,
)

promise(BASE)
