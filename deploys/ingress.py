"""The way of the hostname to Kubeflow's gateway: nginx's Ingress, or none where the gateway is the edge."""

from pathlib import Path

from tideflow.operations import edges, kubeflow, kubernetes
from tideflow.operations.running import require_cluster, settings

require_cluster()
kubeflow.require_base()

kubernetes.apply(
    name="Ingress",
    source=kubernetes.render(Path("templates/ingress.yaml.j2"), hostname=settings().hostname)
    if edges.edge() == "nginx"
    else None,
    set_name="kubeflow-ingress",
    timeout=settings().timeout_seconds,
    prune=settings().prune,
)

if edges.edge() == "istio":
    edges.gateway(name="Gateway", hostname=settings().hostname)
