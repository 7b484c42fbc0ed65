"""What a run that did not succeed tells: what failed, what that stopped, and what would help."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from tideflow.engine import capacity, waiting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.engine.manifests import Key, Manifest
    from tideflow.engine.outcome import Outcome
    from tideflow.engine.release import Release

_MOST_NAMED = 12  # objects named one by one


def told(
    cluster: Kubernetes, manifests: Mapping[Key, Manifest], release: Release, outcome: Outcome
) -> Iterator[str]:
    """Yield lines: first what failed, then what that stopped, then what is not ready, and what would help."""
    if outcome.stopped and not outcome.failed:
        yield (
            f"{outcome.stopped} after {outcome.elapsed:.0f} s: {len(outcome.written)} objects are written, "
            f"{len(outcome.held)} are not. Run the same command again: it goes on from there"
        )
        return
    yield from _objects(outcome)
    yield from _room(cluster, manifests, release, outcome)
    yield "Everything else is applied. Run this step again once that is mended"


def _objects(outcome: Outcome) -> Iterator[str]:
    for key, why in list(outcome.failed.items())[:_MOST_NAMED]:
        yield f"{key} failed: {why}"
    for key, cause in list(outcome.skipped.items())[:_MOST_NAMED]:
        yield f"{key} was not written, since it needs {cause}"
    for key, why in list(outcome.not_ready.items())[:_MOST_NAMED]:
        yield f"{key} is not ready after {outcome.elapsed:.0f} s: {why}"
    by_reason = sorted(outcome.held, key=outcome.held.__getitem__)
    for reason, held in itertools.groupby(by_reason, outcome.held.__getitem__):
        first, *others = held
        more = f", and {len(others)} more for the same reason" if others else ""
        yield f"{first} could not be written: it {reason}{more}"
    for verb, keys in (
        ("failed", outcome.failed),
        ("were not written", outcome.skipped),
        ("are not ready", outcome.not_ready),
    ):
        if len(keys) > _MOST_NAMED:
            yield f"… and {len(keys) - _MOST_NAMED} more {verb}"


def _room(
    cluster: Kubernetes, manifests: Mapping[Key, Manifest], release: Release, outcome: Outcome
) -> Iterator[str]:
    """Yield how many nodes would hold what has no place, if that is what is missing."""
    if not any(map(waiting.is_unschedulable, release.pods)):
        return
    nodes = cluster.get("/api/v1/nodes")["items"]
    unwritten = [
        (str(manifest.key), *found)
        for manifest in manifests.values()
        if manifest.key in outcome.held and (found := capacity.replicas(manifest.body))
    ]
    packing = capacity.pack(nodes, release.pods, unwritten)
    if packing is None:
        return
    size = (nodes[0]["metadata"].get("labels") or {}).get("node.kubernetes.io/instance-type", "this size")
    there = f"There are {len(nodes)} nodes of {size}"
    for name, room in packing.misfits.items():
        yield f"{name} asks for {room}; an empty node of {size} has {packing.empty}: take larger nodes"
    if packing.nodes > len(nodes):
        # What an injector would add to pods that are not written yet is not known.
        number = f"at least {packing.nodes}" if unwritten else str(packing.nodes)
        what = "the rest" if packing.misfits else "everything"
        yield f"{there}; {number} would hold {what}: set node_count"
    elif not packing.misfits:
        yield f"{there}, which would hold everything if pods were placed better"
