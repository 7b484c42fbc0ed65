"""Changing a cluster that is there: its fields, its version, its nodes, in this order."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

from pyinfra import host

from tideflow.facts.digitalocean import Upgrades
from tideflow.operations import (
    bases,
    clusters,
    draining,
    mesh,
    pools,
    provisioning,
    scaling,
    upgrading,
    versions,
)
from tideflow.operations.leaving import View
from tideflow.operations.scaling import Scaling
from tideflow.operations.words import some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tideflow.clients.digitalocean import DigitalOcean
    from tideflow.clients.provided import Cluster
    from tideflow.connectors.platform import PlatformConnector
    from tideflow.operations.clusters import Wanted


def announced(target: PlatformConnector, found: Cluster, wanted: Wanted) -> Iterator[str]:
    """Yield what is done to nodes and to the version, beyond the settings that become others."""
    if upgrading.is_asked_for(found, wanted.version) and found.state != "upgrading":
        note = f" ({upgrading.REHEARSED})" if target.rehearsal else ""
        offered: list[str] | None = host.get_fact(Upgrades)
        newest = versions.newest(offered or (), wanted.version) or wanted.version
        yield (
            f"upgrade the cluster {found.name}: kubernetes_version: {found.version} → {newest}, from which "
            f"there is no way back; each node is replaced, with what is on its disk{note}"
        )
    if not loses_nodes(found, wanted) or target.kubernetes() is None:
        return
    view = View.read(target.kubernetes())
    names = [node.name for node in scaling.going(found, wanted, view)]
    yield f"drain and delete the nodes {some(names)}, from which {len(view.moving(names))} pods have to move"
    for words in view.at_stake(names):
        yield f"have no more: {words}"


def loses_nodes(found: Cluster, wanted: Wanted) -> bool:
    """Tell whether nodes are to go, allowed or not; while this is not so, nobody has to look at pods."""
    pool = pools.pool_of(found, wanted)
    if pool is None:
        return False
    return bool(pools.excess(pool, wanted) or (wanted.replace_nodes and pools.replaced(found, wanted)))


def left_over(target: PlatformConnector) -> list[str]:
    """Return the nodes that an earlier run was about to delete, where none is to go any more."""
    cluster = target.kubernetes()
    return [] if cluster is None else draining.held(View(cluster.get("/api/v1/nodes")["items"]))


def tell_what_is_newer(found: Cluster) -> None:
    """Say to which versions the cluster can be upgraded that the vendored Kubeflow runs on, if there are."""
    release = bases.release()
    offered: list[str] | None = host.get_fact(Upgrades)
    newer = upgrading.supported(offered or (), release)
    if newer:
        by = f"Kubeflow {release.name} runs on" if release else "DigitalOcean offers"
        host.log(
            f"the cluster {found.name} can be upgraded to {some(newer)}, which {by}: set kubernetes_version "
            "to have it"
        )


def change(
    target: PlatformConnector,
    api: DigitalOcean,
    wanted: Wanted,
    live: Callable[[str], None],
    *,
    timeout: float,
) -> None:
    """Make a cluster that is there as it is wanted, once it runs; what differs may have changed by then."""
    deadline = time.monotonic() + timeout
    look = functools.partial(_look, target)
    found = look()
    if found.state != "running":
        provisioning.wait(target, wanted, live, timeout=timeout)
        found = look()
    changed = clusters.changes(found, wanted)
    if changed.cluster:
        api.update_cluster(found.id, name=found.name, fields=changed.cluster)
    pause = provisioning.pause(target)
    if upgrading.is_asked_for(found, wanted.version):
        slug = upgrading.upgrade(api, wanted.version, look, live, deadline=deadline, pause=pause)
        target.host.log(f"upgraded the cluster {found.name} from {found.version} to {slug}")
        if target.rehearsal:
            target.host.log(upgrading.REHEARSED)
    Scaling(api, wanted, look, target.kubernetes, live, target.host.log, deadline, pause).run()
    provisioning.wait(target, wanted, live, timeout=max(1.0, deadline - time.monotonic()))
    for words in changed.words:
        target.host.log(f"changed {words}")
    mesh.check(target)


def _look(target: PlatformConnector) -> Cluster:
    """Return the cluster as it is now; raises ``ApplyError`` if there is none any more, or it failed."""
    target.forget()
    found = target.cluster()
    if found is None or found.state == "deleting":
        raise provisioning.deleted(target)
    provisioning.refuse_failed(found)
    return found
