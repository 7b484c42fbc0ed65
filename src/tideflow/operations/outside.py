"""Looking at the way to Kubeflow's login from outside, once or until it is open."""

from __future__ import annotations

import datetime as dt
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tideflow.clients.outside import Outside, trusting
from tideflow.errors import UnreachedError
from tideflow.operations import following, presenting
from tideflow.operations.ways import BASE, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from tideflow.clients.outside import Presented
    from tideflow.operations.ways import Way

_PAUSE = 3.0  # seconds between two looks
_PAUSE_REHEARSAL = 0.5


@dataclass(frozen=True)
class Sight:
    """What is in the way, the first thing if there are several, or nothing; and what else is to be told."""

    trouble: Trouble | None = None
    notes: tuple[str, ...] = ()


def look(way: Way) -> Sight:
    """Go the way once."""
    try:
        return _look(way)
    except UnreachedError as error:
        return Sight(_unreached(error, way))


def wait(way: Way, *, patience: float, rehearsal: bool, live: Callable[[str], None]) -> Sight:
    """Return what is seen once the way is open, what is in it does not pass, or the ``patience`` is over.

    That is in seconds.
    """
    start = time.monotonic()
    while True:
        sight = look(way)
        elapsed = time.monotonic() - start
        if sight.trouble is None or not sight.trouble.passes or elapsed >= patience:
            return sight
        live(f"waiting {elapsed:.0f} s for {way.url}: {sight.trouble.what}")
        time.sleep(min(_PAUSE_REHEARSAL if rehearsal else _PAUSE, patience))


def _look(way: Way) -> Sight:
    if way.mode == "off":
        with closing(Outside(way.hostname, way.address, way.ports)) as outside:
            outside.connect("http")
            return Sight(following.to_login(outside, way))
    now = dt.datetime.now(dt.UTC)
    presented = _presented(way)
    if trouble := presenting.wrong(presented, way, now):
        return Sight(trouble)
    notes = tuple(presenting.notes(presented, way, now))
    # What people gave in files is trusted here for being theirs, whether browsers trust it or not.
    trusted = trusting(way.secret if way.mode == "files" else way.authority, world=not way.authority)
    with closing(Outside(way.hostname, way.address, way.ports, trusted)) as outside:
        trouble = following.to_login(outside, way) or following.to_https(outside, way)
        return Sight(trouble, notes)


def _presented(way: Way) -> Presented:
    trusted = trusting(way.authority, world=not way.authority)
    with closing(Outside(way.hostname, way.address, way.ports, trusted)) as outside:
        outside.connect("https")
        return outside.presented()


def _unreached(error: UnreachedError, way: Way) -> Trouble:
    balancer = "load_balancer" if way.edge == "nginx" else BASE
    match error.kind:
        case "not found":
            # A name stands for the address where others make load balancers and records.
            is_new = way.address != way.hostname
            return Trouble(f"make the record: {error.message}", "reachable", passes=is_new, theirs=True)
        case "timed out" if way.sources:
            only = ", ".join(way.sources)
            return Trouble(
                f"{error.message}: load_balancer_sources lets in {only} only, and this machine may be in "
                "none of them",
                "reachable",
                passes=True,
                theirs=True,
                first="go where it is let in",
            )
        case "timed out":
            why, step = "a firewall is between, or the load balancer is not ready", balancer
        case "refused":
            why, step = "no load balancer listens there", balancer
        case "no TLS" if way.edge == "istio" and not way.secret:
            why, step = "there is no certificate that Istio's gateway could present", way.certified_by
        case _ if way.edge == "istio":
            why = "the load balancer gets through to no pod of Istio's gateway, or the Gateway is not as made"
            step = BASE
        case _:
            why, step = "the load balancer gets through to no pod of nginx", "load_balancer"
    return Trouble(f"{error.message}: {why}", step, passes=True)
