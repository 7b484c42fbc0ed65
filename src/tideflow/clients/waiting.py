"""Waiting for one thing in a cluster: by a list and a watch, never by asking again and again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from tideflow.errors import ApplyError, KubernetesError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tideflow.clients.kubernetes import Kubernetes

T = TypeVar("T")

_PAUSE = 1.0  # seconds, after a watch broke
_TICK = 10  # seconds after which a silent watch is opened anew, so that the deadline is looked at


def wait_for(
    cluster: Kubernetes,
    path: str,
    wanted: Callable[[Any], T | None],
    *,
    what: str,
    timeout: float,
    progress: Callable[[str], None],
) -> T:
    """Return the first result of ``wanted`` that is not None, over the objects of the collection at ``path``.

    ``what`` completes "waiting for …"; ``timeout`` is in seconds. Raises ``ApplyError`` when it has passed,
    and ``KubernetesError`` when the server refuses; a server that is away is waited for.
    """
    start = time.monotonic()
    version = ""
    while (elapsed := time.monotonic() - start) < timeout:
        progress(f"waiting {elapsed:.0f} s for {what}")
        try:
            for found, version in _changes(cluster, path, version):  # noqa: B007, B020 - to go on from
                if found is not None and (result := wanted(found)) is not None:
                    return result
        except KubernetesError as error:
            if error.status not in {0, 410} and error.status < 500:  # noqa: PLR2004 - the server's own fault
                raise
            version = ""
            time.sleep(_PAUSE)
    raise ApplyError(
        f"waited {timeout / 60:.0f} minutes for {what}",
        hint="look at its events with kubectl describe, then run this step again",
    )


def _changes(cluster: Kubernetes, path: str, version: str) -> Iterator[tuple[Any, str]]:
    """Yield objects, each with the resourceVersion to go on from: all that are there, then one watch long."""
    if not version:
        page = cluster.get(path)
        version = page["metadata"]["resourceVersion"]
        kind = page["kind"].removesuffix("List")
        for found in page["items"]:
            yield {"kind": kind, **found}, version  # items of a list do not say it
    watch = cluster.watch(path, resource_version=version, timeout_seconds=_TICK)
    try:
        for event in watch:
            seen = event["object"]
            yield (
                seen if event["type"] in {"ADDED", "MODIFIED"} else None,
                seen["metadata"]["resourceVersion"],
            )
    finally:
        watch.close()
