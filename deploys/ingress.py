"""The Ingress that brings the hostname to Kubeflow's gateway."""

from pathlib import Path

from tideflow.operations import kubeflow, kubernetes
from tideflow.operations.running import require_cluster, settings

require_cluster()
kubeflow.require_base()

kubernetes.apply(
    name="Ingress",
    source=kubernetes.render(Path("templates/ingress.yaml.j2"), hostname=settings().hostname),
    set_name="kubeflow-ingress",
    timeout=settings().timeout_seconds,
    prune=settings().prune,
)
