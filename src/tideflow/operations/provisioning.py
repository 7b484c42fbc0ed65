"""Waiting for a cluster and its nodes: DigitalOcean's API has nothing to watch, so it is asked again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tideflow.errors import ApplyError
from tideflow.operations import pools
from tideflow.operations.commands import to_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tideflow.clients.provided import Cluster
    from tideflow.connectors.platform import PlatformConnector
    from tideflow.operations.clusters import Wanted

_POLL = 5.0  # seconds between two looks; a rehearsal is faster
_POLL_REHEARSAL = 0.5
_DEGRADED = 300.0  # seconds that a cluster may be, with all its nodes
_UNSEEN = 30.0  # seconds
_MOST_NAMED = 5


def wait(
    target: PlatformConnector,
    wanted: Wanted,
    live: Callable[[str], None],
    *,
    timeout: float,
    new: bool = False,
) -> None:
    """Wait until the platform's cluster runs, with all its nodes; ``timeout`` is in seconds.

    A ``new`` one may not be seen at once. Raises ``ApplyError`` if the time is over, if DigitalOcean gave
    up, or if somebody deletes the cluster.
    """
    start = time.monotonic()
    while True:
        target.forget()
        found = target.cluster()
        elapsed = time.monotonic() - start
        if found is None and new and elapsed < _UNSEEN:
            live(f"waiting {elapsed:.0f} s for the cluster {target.platform}: it is not to be seen yet")
            time.sleep(pause(target))
            continue
        if found is None or found.state == "deleting":
            raise deleted(target)
        new = False
        refuse_failed(found)
        if is_settled(found, wanted):
            return
        how = f"{found.state}, {_running(found, wanted)} of {_nodes(found, wanted)} nodes running"
        if found.message:
            how += f" ({found.message})"
        if elapsed > timeout or (elapsed > _DEGRADED and _is_only_degraded(found, wanted)):
            if found.state == "degraded":
                raise _degraded(found, wanted, elapsed)
            raise ApplyError(
                f"waited {elapsed:.0f} s for the cluster {target.platform}: {how}{_missing(found, wanted)}",
                hint="run this step again: it goes on waiting",
            )
        live(f"waiting {elapsed:.0f} s for the cluster {target.platform}: {how}")
        time.sleep(pause(target))


def _is_only_degraded(found: Cluster, wanted: Wanted) -> bool:
    return found.state == "degraded" and _running(found, wanted) == _nodes(found, wanted)


def _degraded(found: Cluster, wanted: Wanted, elapsed: float) -> ApplyError:
    nodes = f"{_running(found, wanted)} of {_nodes(found, wanted)} nodes running{_missing(found, wanted)}"
    return ApplyError(
        f"the cluster {found.name} is degraded: {found.message or 'it gives no reason'} "
        f"(waited {elapsed:.0f} s, {nodes})",
        hint="the other steps can be run all the same, and this one again later; if it stays so, ask "
        "DigitalOcean's support",
    )


def pause(target: PlatformConnector) -> float:
    """Return the seconds between two looks at a cluster."""
    return _POLL_REHEARSAL if target.rehearsal else _POLL


def deleted(target: PlatformConnector) -> ApplyError:
    """Return the error that tells that somebody deletes the cluster while this goes on."""
    return ApplyError(f"the cluster {target.platform} was deleted meanwhile", hint="run this step again")


def refuse_failed(found: Cluster) -> None:
    """Raise ``ApplyError`` if DigitalOcean has given the cluster up."""
    if found.state == "error":
        raise ApplyError(
            f"DigitalOcean could not make the cluster {found.name}: {found.message or 'it gives no reason'}",
            hint=f"delete it, with all that it has made: {to_run('teardown')}; then run this step again",
        )


def is_settled(found: Cluster, wanted: Wanted) -> bool:
    """Tell whether there is nothing to wait for; pools that people made besides are not waited for."""
    return found.state == "running" and _running(found, wanted) == _nodes(found, wanted)


def others(found: Cluster, wanted: Wanted) -> Iterator[str]:
    """Yield which pools that people made besides lack nodes."""
    ours = pools.needed(found, wanted)
    for pool in found.node_pools:
        if pool not in ours and not pools.is_settled(pool):
            yield f"the pool {pool.name}, which Tideflow did not make, has {pools.running(pool)}"


def _nodes(found: Cluster, wanted: Wanted) -> int:
    """Return how many nodes there are to be; those that are to go are among them until they are gone."""
    return sum(max(pool.count, len(pool.nodes)) for pool in pools.needed(found, wanted))


def _running(found: Cluster, wanted: Wanted) -> int:
    return sum(node.state == "running" for pool in pools.needed(found, wanted) for node in pool.nodes)


def _missing(found: Cluster, wanted: Wanted) -> str:
    """Return which nodes do not run, as the end of a message."""
    missing = [
        f"{node.name} is {node.state}"
        for pool in pools.needed(found, wanted)
        for node in pool.nodes
        if node.state != "running"
    ]
    if not missing or found.state not in {"running", "degraded"}:
        return ""
    more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
    return ": " + ", ".join(missing[:_MOST_NAMED]) + more
