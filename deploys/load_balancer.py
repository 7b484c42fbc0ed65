"""The 1-clicks, and the load balancer of nginx, whose address is what the hostname points to."""

from tideflow.operations import addons, balancers, edges
from tideflow.operations.running import promise, require_cluster, settings

require_cluster()

# Before the first change of the run, as an unknown one would be found after minutes.
_slugs = edges.addons()
addons.check(_slugs)

addons.installed(name="Addons", slugs=_slugs, timeout=settings().timeout_seconds)

if edges.edge() == "nginx":
    balancers.configured(
        name="Load balancer", wanted=settings().balancing, timeout=settings().timeout_seconds
    )
else:
    edges.left_over(name="Load balancer")

promise(balancers.LOAD_BALANCER)
