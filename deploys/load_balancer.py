"""The 1-click nginx, whose load balancer has the address that the hostname points to."""

from tideflow.operations import digitalocean
from tideflow.operations.running import promise, require_cluster, settings

require_cluster()

digitalocean.one_click(
    name="Load balancer", slug=digitalocean.INGRESS_NGINX, timeout=settings().timeout_seconds
)

promise(digitalocean.LOAD_BALANCER)
