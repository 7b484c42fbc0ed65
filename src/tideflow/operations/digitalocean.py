"""What DigitalOcean provides: the cluster."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pyinfra import host

from tideflow.errors import ApplyError, SettingError
from tideflow.operations import changing, clusters, differences, mesh, provisioning, upgrading, versions
from tideflow.operations.running import announce, change, operation, platform
from tideflow.operations.words import counted, some

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pyinfra.api import FunctionCommand

    from tideflow.clients.digitalocean import DigitalOcean
    from tideflow.clients.provided import Cluster
    from tideflow.connectors.platform import PlatformConnector
    from tideflow.operations.clusters import Wanted


@operation
def cluster(*, wanted: Wanted, adopt: bool, timeout: float) -> Generator[FunctionCommand]:
    """Have a running cluster of the platform's name, as it is wanted.

    What can be changed in place is changed; what cannot, and differs, is an error. One that Tideflow did not
    make is left alone, unless it is to be ``adopt``-ed. ``timeout`` is in seconds.
    """
    target = platform()
    api = target.digitalocean
    if api is None:
        host.log(f"{target.platform} is not made by DigitalOcean's API: nothing to do here")
        return
    found = target.cluster()
    if found is None:
        announce(f"create the cluster {wanted.name}: {wanted}")
        yield change(functools.partial(_create, target, api, wanted, timeout=timeout))
        return
    refuse_unusable(found, wanted, adopt=adopt)
    for note in (*differences.notes(found, wanted), *provisioning.others(found, wanted)):
        host.log_styled(note, fg="yellow")
    changed = clusters.changes(found, wanted)
    newer = upgrading.is_asked_for(found, wanted.version)
    settled = provisioning.is_settled(found, wanted)
    if not settled:
        announce(f"wait for the cluster {found.name}, which is {found.state}")
    for words in changed.words:
        announce(f"change the cluster {found.name}: {words}")
    for words in changing.announced(target, found, wanted):
        announce(words)
    left = [] if changed or newer or not settled else changing.left_over(target)
    if left:
        announce(f"let pods on {some(left)} again, which an earlier run was about to delete")
    if changed or newer or left or not settled:
        yield change(functools.partial(changing.change, target, api, wanted, timeout=timeout))
        return
    mesh.check(target)
    nodes = sum(pool.count for pool in found.node_pools)
    changing.tell_what_is_newer(found)
    host.noop(f"the cluster {found.name} runs Kubernetes {found.version} on {counted(nodes, 'node')}")


def refuse_unusable(found: Cluster, wanted: Wanted, *, adopt: bool) -> None:
    """Raise the first of the errors that keep a cluster from becoming what is wanted."""
    if found.state == "deleting":
        raise ApplyError(
            f"the cluster {found.name} is being deleted", hint="wait until it is gone, run again"
        )
    provisioning.refuse_failed(found)
    for problem in differences.problems(found, wanted, adopt=adopt):
        raise problem


def _create(
    target: PlatformConnector,
    api: DigitalOcean,
    wanted: Wanted,
    live: Callable[[str], None],
    *,
    timeout: float,
) -> None:
    version = versions.newest((offer.slug for offer in api.options().versions), wanted.version)
    if version is None:
        raise SettingError(
            f"DigitalOcean offers no kubernetes_version {wanted.version!r}",
            hint="set it to a minor that it offers, such as '1.34'",
        )
    made = api.create_cluster(
        name=wanted.name,
        region=wanted.region,
        version=version,
        size=wanted.size,
        count=wanted.count,
        fields=wanted.cluster_fields(),
        pool=wanted.pool_fields(),
    )
    target.know(made)
    provisioning.wait(target, wanted, live, timeout=timeout, new=True)
    target.host.log(f"made the cluster {wanted.name}: {wanted}")
    mesh.check(target)
