"""Waiting for one thing in a cluster: by a list and a watch, never by asking again and again."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, TypeVar

from tideflow.errors import ApplyError, KubernetesError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tideflow.clients.kubernetes import Kubernetes

T = TypeVar("T")

_PAUSE = 1.0  # seconds, after a watch broke
_MOMENT = 3  # seconds after which it is asked whether to go on
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
        progress(f"waiting for {what}{f', for {elapsed:.0f} s by now' if elapsed >= 1 else ''}")
        try:
            for found, version in _changes(cluster, path, version):  # noqa: B007, B020 - to go on from
                if found is not None and (result := wanted(found)) is not None:
                    return result
        except KubernetesError as error:
            if not is_passing(error):
                raise
            progress(f"waiting for {what}: {error.message}")
            version = ""
            time.sleep(_PAUSE)
    raise ApplyError(
        f"waited {timeout / 60:g} minutes for {what}",
        hint="look at its events with kubectl describe, then run this step again",
    )


def wait_gone(
    cluster: Kubernetes,
    path: str,
    name: str,
    uid: str,
    *,
    patience: Callable[[], float],
    progress: Callable[[Mapping[str, Any]], None],
) -> Mapping[str, Any] | None:
    """Wait until the object of that name and UID in the collection at ``path`` is gone, and return None.

    Return the object as it is when there is no ``patience`` left, which is asked for in seconds now and then.
    ``progress`` is called with the object as often. Raises ``KubernetesError`` when the server refuses; a
    server that is away is waited for.
    """
    only = {"fieldSelector": f"metadata.name={name}"}
    left: Mapping[str, Any] | None = {"metadata": {"name": name, "uid": uid}}
    while left is not None:
        try:
            page = cluster.get(path, query=only)
            left = next((found for found in page["items"] if found["metadata"]["uid"] == uid), None)
            remaining = patience()
            if left is None or remaining <= 0:
                return left
            progress(left)
            version = page["metadata"]["resourceVersion"]
            watch = cluster.watch(
                path, resource_version=version, timeout_seconds=min(_MOMENT, int(remaining) + 1), query=only
            )
            with contextlib.closing(watch):
                for event in watch:
                    if event["type"] == "DELETED":
                        return None
                    if event["type"] == "MODIFIED" and event["object"]["metadata"]["uid"] == uid:
                        progress(event["object"])
        except KubernetesError as error:
            if error.status == 404:  # noqa: PLR2004 - its whole type is gone
                return None
            if not is_passing(error):
                raise
            if patience() <= 0:
                return left
            time.sleep(_PAUSE)
    return None


def is_passing(error: KubernetesError) -> bool:
    """Tell whether the server is away, busy, or wants the watch to start again."""
    return error.status in {0, 410, 429} or error.status >= 500  # noqa: PLR2004 - the server's own fault


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
