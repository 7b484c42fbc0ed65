"""What a run that did not succeed tells: what failed, what that stopped, and what would help."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

from tideflow.engine import capacity, evidence, telling, waiting
from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

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
    named = [*_failed(outcome), *_unready(outcome)]
    yield from _objects(outcome, _evidence(cluster, manifests, release, named))
    # What would help is left out if the server cannot be asked.
    with contextlib.suppress(KubernetesError):
        yield from _room(cluster, manifests, release, outcome)
    amiss = {*outcome.failed, *outcome.skipped, *outcome.not_ready, *outcome.held}
    applied = "Everything else is applied. " if len(amiss) < len(manifests) else ""
    yield f"{applied}Run this step again once that is mended"


def _failed(outcome: Outcome) -> list[Key]:
    return list(outcome.failed)[:_MOST_NAMED]


def _unready(outcome: Outcome) -> list[Key]:
    return list(outcome.not_ready)[:_MOST_NAMED]


def _evidence(
    cluster: Kubernetes, manifests: Mapping[Key, Manifest], release: Release, named: Sequence[Key]
) -> Callable[[Key], list[str]]:
    """Return what tells more about an object that was written and is not ready, in lines."""
    written = [manifests[key] for key in named if key in release.observed.written]
    found = evidence.collect(cluster, written, release.pods) if written else evidence.Evidence()

    def more(key: Key) -> list[str]:
        if key not in release.observed.written:
            return [f"    it is from {manifests[key].origin}"]
        told = release.observed.status(key).why
        return [f"    {line}" for line in telling.lines(manifests[key], found, release.pods, told=told)]

    return more


def _objects(outcome: Outcome, more: Callable[[Key], list[str]]) -> Iterator[str]:
    for key in _failed(outcome):
        yield f"{key} failed: {outcome.failed[key].removeprefix('has failed: ')}"
        yield from more(key)
    for key, cause in list(outcome.skipped.items())[:_MOST_NAMED]:
        yield f"{key} was not written, since it needs {cause}"
    for key in _unready(outcome):
        yield f"{key} is not ready after {outcome.elapsed:.0f} s: {outcome.not_ready[key]}"
        yield from more(key)
    by_reason = sorted(outcome.held, key=outcome.held.__getitem__)
    for reason, held in itertools.groupby(by_reason, outcome.held.__getitem__):
        first, *others = held
        and_more = f", and {len(others)} more for the same reason" if others else ""
        yield f"{first} could not be written: it {reason}{and_more}"
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
    if not any(map(waiting.lacks_room, release.pods)):
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
        yield (
            f"{name} asks for {room}; an empty node of {size} has {packing.empty}: "
            "it takes a cluster of larger nodes"
        )
    if packing.nodes > len(nodes):
        # What an injector would add to pods that are not written yet is not known.
        number = f"at least {packing.nodes}" if unwritten else str(packing.nodes)
        what = "the rest" if packing.misfits else "everything"
        yield f"{there}; {number} would hold {what}: set node_count, run deploys/cluster.py, and then this"
    elif not packing.misfits:
        yield f"{there}, which would hold everything if pods were placed better"
