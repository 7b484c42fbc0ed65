"""The pool of nodes that the settings are about, and the next thing to do for it to be as they say.

It is decided from what the API shows now, one step at a time: so a run that was killed, or whose request was
not answered, is gone on with by whoever looks next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tideflow.operations.words import said, some

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tideflow.clients.provided import Cluster, Node, NodePool
    from tideflow.operations.clusters import Wanted

Bounds = tuple[int, int] | Literal[False]
"""The least and the most nodes of a pool that DigitalOcean scales; False for one that it does not."""

_LEAVING = {"draining", "deleting"}


@dataclass(frozen=True)
class Make:
    """A new pool is to be made."""

    name: str
    size: str
    count: int
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """A pool is to have more nodes, or is to be scaled otherwise."""

    pool: NodePool
    count: int
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shrink:
    """A pool is to have one node less."""

    pool: NodePool


@dataclass(frozen=True)
class Retire:
    """A pool is to be emptied and deleted."""

    pool: NodePool


Step = Make | Change | Shrink | Retire


def own_pools(found: Cluster, wanted: Wanted) -> list[NodePool]:
    """Return the pools that Tideflow made, by their names: the first one, and what is to replace it."""
    first = f"{wanted.name}-pool"
    return [pool for pool in found.node_pools if pool.name in {first, f"{first}-{pool.size}"}]


def pool_of(found: Cluster, wanted: Wanted) -> NodePool | None:
    """Return the pool that the settings are about: ours, or else the first of the size.

    Of ours it is the one of the size, or any if none is. Pools that people made besides, for GPUs perhaps,
    are theirs.
    """
    own = own_pools(found, wanted)
    of_size = [pool for pool in (own or found.node_pools) if pool.size == wanted.size]
    return next(iter([*of_size, *own]), None)


def replaced(found: Cluster, wanted: Wanted) -> list[NodePool]:
    """Return our pools that are there beside the one that the settings are about, or are to give way."""
    pool = pool_of(found, wanted)
    stays = pool is not None and pool.size == wanted.size
    return [other for other in own_pools(found, wanted) if not (stays and pool and other.id == pool.id)]


def needed(found: Cluster, wanted: Wanted) -> list[NodePool]:
    """Return the pools that have to run: ours, or where there is none, what stands in for it."""
    pool = pool_of(found, wanted)
    return own_pools(found, wanted) or ([pool] if pool else list(found.node_pools))


def running(pool: NodePool) -> str:
    """Return in words how many nodes of a pool run, and which do not; those that go are among them."""
    run = sum(node.state == "running" for node in pool.nodes)
    late = [f"{node.name} is {node.state}" for node in pool.nodes if node.state != "running"]
    return f"{run} of {max(pool.count, len(pool.nodes))} nodes running" + (f": {some(late)}" if late else "")


def is_to_be_made(found: Cluster, wanted: Wanted) -> bool:
    """Tell whether nodes of another size are to come, in a pool that is not there yet."""
    pool = pool_of(found, wanted)
    return wanted.replace_nodes and pool is not None and pool.size != wanted.size


def staying(pool: NodePool) -> list[Node]:
    """Return the nodes that are not on their way out."""
    return [node for node in pool.nodes if node.state not in _LEAVING]


def is_settled(pool: NodePool) -> bool:
    """Tell whether a pool has all its nodes, and they run."""
    return len(pool.nodes) == pool.count and all(node.state == "running" for node in pool.nodes)


def nodes_now(pool: NodePool) -> tuple[int, int]:
    """Return how many nodes a pool is to have, and how many it may be scaled up to."""
    return pool.count, max(pool.count, pool.max_nodes if pool.auto_scale else 0)


def nodes_then(pool: NodePool, wanted: Wanted) -> tuple[int, int]:
    """Return the same of the pool as it is wanted; it has no fewer nodes than now, unless that is allowed.

    While a pool is scaled, how many nodes there are is not ours to say, but for the bounds.
    """
    bounds = _bounds(pool) if wanted.autoscale is None else wanted.autoscale
    if not bounds:
        new = wanted.replace_nodes and pool.size != wanted.size
        if not is_counted(pool, wanted):
            return pool.count, pool.count
        count = wanted.count if wanted.scale_down or new else max(pool.count, wanted.count)
        return count, count
    return min(max(pool.count, bounds[0]), bounds[1]), bounds[1]


def is_counted(pool: NodePool, wanted: Wanted) -> bool:
    """Tell whether ``node_count`` is about a pool: of nodes of another size, that may not go, it is not."""
    return pool.size == wanted.size or wanted.replace_nodes or wanted.scale_down


def excess(pool: NodePool, wanted: Wanted) -> int:
    """Return how many nodes a pool has that the settings do not want."""
    bounds = _bounds(pool) if wanted.autoscale is None else wanted.autoscale
    if wanted.autoscale is None and bounds:
        return 0
    if not bounds and not is_counted(pool, wanted):
        return 0
    most = bounds[1] if bounds else wanted.count
    return max(0, len(staying(pool)) - most, pool.count - most)


def step(found: Cluster, wanted: Wanted) -> Step | None:
    """Return what is to be done next; None if all is as it is wanted, or may not be changed."""
    pool = pool_of(found, wanted)
    if pool is None:
        return None
    count, _ = nodes_then(pool, wanted)
    bounds = _bounds(pool) if wanted.autoscale is None else wanted.autoscale
    fields = {} if bounds == _bounds(pool) else scaling(bounds)
    if is_to_be_made(found, wanted):
        return Make(new_name(wanted), wanted.size, count, scaling(bounds) if bounds else {})
    stays = not (bounds or wanted.scale_down)  # not to be scaled any more takes no node away
    if pool.count < count or (fields and (stays or not excess(pool, wanted))):
        return Change(pool, count, fields)
    if wanted.replace_nodes and (old := replaced(found, wanted)):
        return _still(old[0]) or Retire(old[0])
    if not (wanted.scale_down and excess(pool, wanted)):
        return None
    return _still(pool) or (Shrink(pool) if len(staying(pool)) > count else Change(pool, count))


def _still(pool: NodePool) -> Change | None:
    """Return how a pool is no longer scaled, or DigitalOcean might bring back what is taken away."""
    return Change(pool, pool.count, {"auto_scale": False}) if pool.auto_scale else None


def new_name(wanted: Wanted) -> str:
    """Return the name of a pool that replaces another one: there is one of each size."""
    return f"{wanted.name}-pool-{wanted.size}"


def words(found: Cluster, wanted: Wanted) -> Iterator[str]:
    """Yield what of the pool becomes another, as ``setting: old → new``."""
    pool = pool_of(found, wanted)
    if pool is None:
        return
    old = replaced(found, wanted) if wanted.replace_nodes else []
    if is_to_be_made(found, wanted):
        names = ", ".join(each.name for each in old)
        count, _ = nodes_then(pool, wanted)
        yield (
            f"node_size: {pool.size} → {wanted.size}: a pool of {count} nodes is made, then {names} is "
            "drained and deleted"
        )
        return
    if wanted.autoscale not in {None, _bounds(pool)}:
        yield f"node_autoscale: {said(_bounds(pool))} → {said(wanted.autoscale or False)}"
    count, _ = nodes_then(pool, wanted)
    if count != pool.count or (wanted.scale_down and excess(pool, wanted)):
        yield f"node_count: {max(pool.count, len(staying(pool)))} → {count}"
    for each in old:
        yield f"node_size: {each.size} → {wanted.size}: the pool {each.name} is drained and deleted"


def scaling(bounds: Bounds) -> dict[str, Any]:
    """Return bounds as fields of the API."""
    if not bounds:
        return {"auto_scale": False}
    return {"auto_scale": True, "min_nodes": bounds[0], "max_nodes": bounds[1]}


def _bounds(pool: NodePool) -> Bounds:
    return pool.auto_scale and (pool.min_nodes, pool.max_nodes)
