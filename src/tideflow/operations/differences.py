"""What keeps a cluster that exists from becoming what the settings say, and what is left as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tideflow.connectors.settings import TAG
from tideflow.errors import SettingError
from tideflow.operations import versions
from tideflow.operations.clusters import changes, pool_of
from tideflow.operations.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tideflow.clients.provided import Cluster, NodePool
    from tideflow.operations.clusters import Wanted


def problems(found: Cluster, wanted: Wanted, *, adopt: bool) -> Iterator[SettingError]:
    """Yield what keeps a cluster from becoming what the settings say, each with what to do about it."""
    the_cluster = f"the cluster {found.name}"
    if TAG not in found.tags and not adopt:
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
    pool = pool_of(found, wanted)
    fewer = pool and _fewer(pool, wanted)
    if pool is not None and fewer:
        yield SettingError(
            f"the pool {pool.name} of {the_cluster} has {counted(pool.count, 'node')}, and {fewer}",
            hint="nodes are not removed from here yet: set at least as many as there are, or remove nodes in "
            "DigitalOcean's control panel first",
        )


def _fewer(pool: NodePool, wanted: Wanted) -> str:
    """Return which setting wants fewer nodes than there are, if one does."""
    if wanted.autoscale:
        most = wanted.autoscale[1]
        return f"node_autoscale allows {most} at most" if pool.count > most else ""
    if wanted.autoscale is None and pool.auto_scale:
        return ""
    return f"the setting node_count is {wanted.count}" if pool.count > wanted.count else ""


def notes(found: Cluster, wanted: Wanted) -> Iterator[str]:
    """Yield which settings are not true of a cluster, since nothing is done about it from here yet."""
    pool = pool_of(found, wanted)
    sizes = ", ".join(dict.fromkeys(each.size for each in found.node_pools))
    for setting, value, there, same in (
        ("kubernetes_version", wanted.version, found.version, versions.is_of(found.version, wanted.version)),
        ("node_size", wanted.size, sizes, pool is not None and pool.size == wanted.size),
    ):
        if not same:
            yield (
                f"the setting {setting} is {value}, and the cluster has {there}: that is not changed from "
                "here yet, but in DigitalOcean's control panel"
            )
    if pool is not None and wanted.autoscale is None and pool.auto_scale:
        yield (
            f"DigitalOcean scales the pool {pool.name} between {pool.min_nodes} and {pool.max_nodes} nodes: "
            "node_count does not count"
        )


def _differences(found: Cluster, wanted: Wanted) -> Iterator[str]:
    """Yield all that is not as the settings say, whether it can be changed or not."""
    pool = pool_of(found, wanted)
    sizes = ", ".join(dict.fromkeys(each.size for each in found.node_pools))
    if found.region != wanted.region:
        yield f"region: {found.region} → {wanted.region}"
    if _is_elsewhere(found, wanted):
        yield f"vpc: {found.vpc} → {wanted.vpc}"
    if not versions.is_of(found.version, wanted.version):
        yield f"kubernetes_version: {found.version} → {wanted.version}"
    if pool is None or pool.size != wanted.size:
        yield f"node_size: {sizes} → {wanted.size}"
    if pool is not None and _fewer(pool, wanted):
        yield f"node_count: {pool.count} → {wanted.most_nodes}"
    if wanted.ha is False and found.ha:
        yield "high_availability: on → off"
    yield from changes(found, wanted).words


def _is_elsewhere(found: Cluster, wanted: Wanted) -> bool:
    """Tell whether the cluster is in another VPC; a token without the scope vpc:read is not told in which."""
    return bool(found.vpc) and wanted.vpc not in {None, found.vpc}
