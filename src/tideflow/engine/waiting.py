"""What is waited for, and why, in a few words: for the live line, and for the end of a run that gives up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tideflow.engine import pods
from tideflow.engine.watching import Listed
from tideflow.engine.webhooks import selects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tideflow.engine.manifests import Key, Manifest
    from tideflow.engine.watching import News

_NAMED = 3  # objects named in the live line
_UNPULLED = {"ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName"}


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
        """Yield the pods of a workload, by its selector; of a Pod, itself."""
        key = manifest.key
        if key.kind == "Pod":
            yield from filter(None, [self._pods.get((key.namespace, key.name))])
            return
        selector = pods.selector(manifest.body)
        if selector is None:
            return
        for (namespace, _), pod in self._pods.items():
            if namespace == key.namespace and selects(selector, pod["metadata"].get("labels") or {}):
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
    trouble = container_in_trouble(pod)
    if trouble:
        return container_trouble(trouble)
    return str(state.get("reason") or state.get("phase") or "Pending")


def container_in_trouble(pod: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the status of the container that keeps a pod from being ready."""
    state = pod.get("status") or {}
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in state.get(field) or ():
            now = container.get("state") or {}
            waits, ended = now.get("waiting") or {}, now.get("terminated") or {}
            if waits.get("reason") not in {None, "PodInitializing"} or ended.get("exitCode"):
                return dict(container)
    for container in state.get("containerStatuses") or ():
        if "running" in (container.get("state") or {}) and not container.get("ready"):
            return dict(container)
    return None


def container_trouble(container: Mapping[str, Any]) -> str:
    """Return what a container's status says, such as ``main: CrashLoopBackOff (exit 1, 3 restarts)``."""
    now = container.get("state") or {}
    ended = now.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
    reason = (now.get("waiting") or now.get("terminated") or {}).get("reason") or "runs, but is not ready"
    details = []
    if ended.get("exitCode"):
        why = ended.get("reason")
        plain = why in {None, "Error", reason}
        details.append(f"exit {ended['exitCode']}" if plain else f"exit {ended['exitCode']} {why}")
    restarts = container.get("restartCount", 0)
    if restarts:
        details.append(f"{restarts} restart{'s' if restarts > 1 else ''}")
    if reason in _UNPULLED:
        details.append(str(container["image"]))
    return f"{container['name']}: {reason}" + (f" ({', '.join(details)})" if details else "")


def lacks_room(pod: Mapping[str, Any]) -> bool:
    """Tell whether the scheduler has found no node with room for the pod: only another node helps it."""
    return any(
        found["type"] == "PodScheduled"
        and found.get("reason") == "Unschedulable"
        and ("Insufficient" in found.get("message", "") or "Too many pods" in found.get("message", ""))
        for found in (pod.get("status") or {}).get("conditions") or ()
    )


def line(elapsed: float, total: int, left: Sequence[Key], why: Callable[[Key], str]) -> str:
    """Return the live line: how long, how many are ``left`` of the total, and the first few with reasons."""
    named = [f"{key} ({why(key)})" for key in left[:_NAMED]]
    more = f", and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    return f"{elapsed:.0f} s: {len(left)} of {total} not ready: {', '.join(named)}{more}"


def reasons(found: Iterable[Mapping[str, Any]]) -> str:
    """Return why pods are not ready, each reason once."""
    return "; ".join(dict.fromkeys(filter(None, map(why, found))))
