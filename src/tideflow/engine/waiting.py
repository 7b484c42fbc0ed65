"""What is waited for, and why, in a few words: for the live line, and for the end of a run that gives up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tideflow.engine import pods
from tideflow.engine.watching import Listed
from tideflow.engine.webhooks import selects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tideflow.engine.manifests import Key, Manifest
    from tideflow.engine.watching import News

_NAMED = 3  # objects named in the live line


class Pods:
    """The pods of the cluster, as far as they tell why a workload is not ready."""

    def __init__(self) -> None:
        self._pods: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.changed_at = time.monotonic()

    def see(self, seen: News) -> None:
        """Take in what a watch has seen, or that the pods were listed anew."""
        if isinstance(seen, Listed):
            for place in self._pods.keys() - seen.places:
                del self._pods[place]
                self.changed_at = time.monotonic()
            return
        metadata = seen.live["metadata"]
        place = (metadata["namespace"], metadata["name"])
        before = self._why(place)
        if seen.gone:
            self._pods.pop(place, None)
        else:
            self._pods[place] = seen.live
        if self._why(place) != before:
            self.changed_at = time.monotonic()

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Iterate over all pods."""
        return iter(list(self._pods.values()))

    def of(self, manifest: Manifest) -> Iterator[Mapping[str, Any]]:
        """Yield the pods of a workload, by its selector."""
        selector = (manifest.body.get("spec") or {}).get("selector")
        if pods.template(manifest.body) is None or not selector:
            return
        for (namespace, _), pod in self._pods.items():
            if namespace == manifest.key.namespace and selects(selector, pod["metadata"].get("labels") or {}):
                yield pod

    def _why(self, place: tuple[str, str]) -> str:
        pod = self._pods.get(place)
        return why(pod) if pod else ""


def why(pod: Mapping[str, Any]) -> str:
    """Return why a pod is not ready, in a few words; nothing if it is."""
    state = pod.get("status") or {}
    if state.get("phase") == "Succeeded":
        return ""
    conditions = {found["type"]: found for found in state.get("conditions") or ()}
    if (conditions.get("Ready") or {}).get("status") == "True":
        return ""
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        # The scheduler's first sentence counts the nodes; what follows is about preemption.
        first = scheduled.get("message", "").partition(". ")[0]
        return f"{scheduled.get('reason', 'Unschedulable')}: {first}".strip(": ")
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in state.get(field) or ():
            waits = (container.get("state") or {}).get("waiting")
            if waits and waits.get("reason") not in {None, "PodInitializing"}:
                return f"{container['name']}: {waits['reason']}"
    return str(state.get("phase") or "Pending")


def is_unschedulable(pod: Mapping[str, Any]) -> bool:
    """Tell whether the scheduler has found no node for the pod."""
    return any(
        found["type"] == "PodScheduled" and found.get("reason") == "Unschedulable"
        for found in (pod.get("status") or {}).get("conditions") or ()
    )


def line(elapsed: float, total: int, reasons: Mapping[Key, str]) -> str:
    """Return the live line: how long, how many, and the first few with their reasons."""
    named = [f"{key} ({reason})" for key, reason in list(reasons.items())[:_NAMED]]
    more = f", and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
    return f"{elapsed:.0f} s: {len(reasons)} of {total} not ready: {', '.join(named)}{more}"


def reasons(found: Iterable[Mapping[str, Any]]) -> str:
    """Return why pods are not ready, each reason once."""
    return "; ".join(dict.fromkeys(filter(None, map(why, found))))
