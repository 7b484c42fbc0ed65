"""What keeps a cluster that exists from becoming what the settings say, and what is left as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tideflow.connectors.settings import TAG
from tideflow.errors import SettingError
from tideflow.operations import pools, versions
from tideflow.operations.clusters import changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tideflow.clients.provided import Cluster
    from tideflow.operations.clusters import Wanted


def problems(found: Cluster, wanted: Wanted, *, adopt: bool) -> Iterator[SettingError]:
    """Yield what keeps a cluster from becoming what the settings say, each with what to do about it."""
    the_cluster = f"the cluster {found.name}"
    if not (found.has(TAG) or adopt):
        differs = "; ".join(_differences(found, wanted)) or "nothing"
        yield SettingError(
            f"{the_cluster} was not made by Tideflow: it has no tag {TAG}. What differs from the settings: "
            f"{differs}",
            hint="to take it over, add --data adopt_cluster=true; else name another platform (or give the "
            "token the scope tag:read, without which no tags are seen)",
        )
    if found.region != wanted.region:
        yield SettingError(
            f"{the_cluster} is in {found.region}, and the setting region is {wanted.region}",
            hint="a cluster cannot move: set region to where it is, or name another platform",
        )
    if _is_elsewhere(found, wanted):
        yield SettingError(
            f"{the_cluster} is in the VPC {found.vpc}, and the setting vpc is {wanted.vpc}",
            hint="a cluster cannot move: set vpc to where it is, or name another platform",
        )
    if wanted.ha is False and found.ha:
        yield SettingError(
            f"the control plane of {the_cluster} is highly available, and high_availability is false",
            hint="DigitalOcean does not take that back: set high_availability to None or true",
        )


def notes(found: Cluster, wanted: Wanted) -> Iterator[str]:
    """Yield which settings are not true of a cluster, and are left so."""
    pool = pools.pool_of(found, wanted)
    sizes = ", ".join(dict.fromkeys(each.size for each in found.node_pools))
    if versions.is_older(wanted.version, found.version):
        yield (
            f"the setting kubernetes_version is {wanted.version}, and the cluster has {found.version}, which "
            "is newer: that is left"
        )
    own = pools.own_pools(found, wanted)
    if pool is None or (pool not in own and pool.size != wanted.size):
        yield (
            f"the setting node_size is {wanted.size}, and the cluster has {sizes}: Tideflow made none of its "
            "pools, and replaces none; add a pool of that size in DigitalOcean's control panel"
        )
    elif pool.size != wanted.size and not wanted.replace_nodes:
        yield (
            f"the setting node_size is {wanted.size}, and the cluster has {sizes}: to have other nodes, add "
            "--data replace_nodes=true; until then node_count is not looked at"
        )
    if pool is not None and pool.size == wanted.size and not wanted.replace_nodes:
        for other in pools.replaced(found, wanted):
            if pool in own:
                yield (
                    f"the pool {other.name} of {other.size} is left from replacing nodes, and billed: to "
                    f"have it drained and deleted, as node_size is {wanted.size}, add --data "
                    "replace_nodes=true"
                )
    if pool is not None and wanted.autoscale is None and pool.auto_scale:
        yield (
            f"DigitalOcean scales the pool {pool.name} between {pool.min_nodes} and {pool.max_nodes} nodes: "
            "node_count does not count"
        )


def _differences(found: Cluster, wanted: Wanted) -> Iterator[str]:
    """Yield all that is not as the settings say, whether it can be changed or not."""
    pool = pools.pool_of(found, wanted)
    sizes = ", ".join(dict.fromkeys(each.size for each in found.node_pools))
    if found.region != wanted.region:
        yield f"region: {found.region} → {wanted.region}"
    if _is_elsewhere(found, wanted):
        yield f"vpc: {found.vpc} → {wanted.vpc}"
    if not versions.is_of(found.version, wanted.version):
        yield f"kubernetes_version: {found.version} → {wanted.version}"
    if not wanted.replace_nodes and (pool is None or pool.size != wanted.size):
        yield f"node_size: {sizes} → {wanted.size}"
    if pool is not None and not wanted.scale_down and pools.excess(pool, wanted):
        yield f"node_count: {pool.count} → {wanted.most_nodes}"
    if wanted.ha is False and found.ha:
        yield "high_availability: on → off"
    yield from changes(found, wanted).words


def _is_elsewhere(found: Cluster, wanted: Wanted) -> bool:
    """Tell whether the cluster is in another VPC; a token without the scope vpc:read is not told in which."""
    return bool(found.vpc) and wanted.vpc not in {None, found.vpc}
