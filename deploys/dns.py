"""The DNS record that leads the hostname to the load balancer."""

from tideflow.operations import dns, hostnames
from tideflow.operations.running import platform, require_cluster, settings

require_cluster()

# Whatever keeps the record from being made is told now, before the first change of the run; the record
# itself is made late. No other step needs the name, so what a run may wait for in vain, because people have
# something to do first, comes once all else is done. And nobody is led to a Kubeflow that is not there yet,
# nor does a resolver that asks too early remember for half an hour that there is no such name.
_asked = hostnames.Asked.of(settings(), rehearsal=platform().rehearsal)

dns.check(_asked)

dns.record(name="DNS record", asked=_asked)
