"""What DigitalOcean provides: the cluster."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pyinfra import host

from tideflow.errors import ApplyError
from tideflow.operations import clusters, differences, mesh, provisioning, versions
from tideflow.operations.running import announce, change, operation, platform

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
    for note in differences.notes(found, wanted):
        host.log_styled(note, fg="yellow")
    changed = clusters.changes(found, wanted)
    if not provisioning.is_settled(found):
        announce(f"wait for the cluster {found.name}, which is {found.state}")
    for words in changed.words:
        announce(f"change the cluster {found.name}: {words}")
    if changed or not provisioning.is_settled(found):
        yield change(functools.partial(_change, target, api, wanted, timeout=timeout))
        return
    mesh.check_now(target)
    nodes = sum(pool.count for pool in found.node_pools)
    host.noop(f"the cluster {found.name} runs Kubernetes {found.version} on {nodes} nodes")


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
    api.create_cluster(
        name=wanted.name,
        region=wanted.region,
        version=version or wanted.version,
        size=wanted.size,
        count=wanted.count,
        fields=wanted.cluster_fields(),
        pool=wanted.pool_fields(),
    )
    provisioning.wait(target, live, timeout=timeout)
    mesh.check(target, live, timeout=timeout)


def _change(
    target: PlatformConnector,
    api: DigitalOcean,
    wanted: Wanted,
    live: Callable[[str], None],
    *,
    timeout: float,
) -> None:
    """Make a cluster that is there as it is wanted, once it runs; what differs may have changed by then."""
    found = target.cluster()
    if found is None or found.state != "running":
        provisioning.wait(target, live, timeout=timeout)
        found = target.cluster()
    if found is None:
        raise provisioning.deleted(target)
    changed = clusters.changes(found, wanted)
    if changed.cluster:
        api.update_cluster(found.id, name=found.name, fields=changed.cluster)
    pool = clusters.pool_of(found, wanted)
    if pool is not None and changed.count is not None:
        api.update_node_pool(found.id, pool.id, name=pool.name, count=changed.count, fields=changed.pool)
    provisioning.wait(target, live, timeout=timeout)
    for words in changed.words:
        target.host.log(f"changed {words}")
    mesh.check(target, live, timeout=timeout)
