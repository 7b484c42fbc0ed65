"""Waiting for a cluster and its nodes: DigitalOcean's API has nothing to watch, so it is asked again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tideflow.errors import ApplyError
from tideflow.operations.commands import to_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tideflow.clients.provided import Cluster
    from tideflow.connectors.platform import PlatformConnector

_POLL = 5.0  # seconds between two looks; a rehearsal is faster
_POLL_REHEARSAL = 0.5
_MOST_NAMED = 5


def wait(target: PlatformConnector, live: Callable[[str], None], *, timeout: float) -> None:
    """Wait until the platform's cluster runs, with all its nodes; ``timeout`` is in seconds.

    Raises ``ApplyError`` if the time is over, if DigitalOcean gave up, or if somebody deletes the cluster.
    """
    start = time.monotonic()
    while True:
        target.forget()
        found = target.cluster()
        if found is None or found.state == "deleting":
            raise deleted(target)
        refuse_failed(found)
        if is_settled(found):
            return
        elapsed = time.monotonic() - start
        how = f"{found.state}, {_running(found)} of {_nodes(found)} nodes running"
        if found.message:
            how += f" ({found.message})"
        if elapsed > timeout:
            raise ApplyError(
                f"waited {elapsed:.0f} s for the cluster {target.platform}: {how}{_missing(found)}",
                hint="run this step again: it goes on waiting",
            )
        live(f"waiting {elapsed:.0f} s for the cluster {target.platform}: {how}")
        time.sleep(pause(target))


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


def is_settled(found: Cluster) -> bool:
    """Tell whether there is nothing to wait for."""
    return found.state == "running" and _running(found) == _nodes(found)


def _nodes(found: Cluster) -> int:
    """Return how many nodes there are to be; those that are to go are among them until they are gone."""
    return sum(max(pool.count, len(pool.nodes)) for pool in found.node_pools)


def _running(found: Cluster) -> int:
    return sum(node.state == "running" for pool in found.node_pools for node in pool.nodes)


def _missing(found: Cluster) -> str:
    """Return which nodes do not run, as the end of a message."""
    missing = [
        f"{node.name} is {node.state}"
        for pool in found.node_pools
        for node in pool.nodes
        if node.state != "running"
    ]
    if not missing or found.state != "running":
        return ""
    more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
    return ": " + ", ".join(missing[:_MOST_NAMED]) + more
