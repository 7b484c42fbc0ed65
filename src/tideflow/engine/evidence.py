"""Why objects are not ready, in the words of those who know: pods, volumes, events and logs.

`collect` reads it, with few requests whatever is wrong: one list of warning events and at most one of claims
for each namespace, one of storage classes, and a handful of logs. `lines` tells it, the most telling first.
No Secret, ConfigMap or environment is told; what looks like a password in a program's own words is masked.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tideflow.engine import refusals, waiting
from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.engine.manifests import Key, Manifest
    from tideflow.engine.waiting import Pods

MOST_LINES = 9
"""Lines about one object; with the one that names it they are ten."""

_MOST_EVENTS = 1000  # read, of one namespace
_MOST_LOGS = 4  # requests; each may wait for a node that does not answer
_LOG_LINES = 3
_LOG_BYTES = 4096
_LOG_PATIENCE = 5.0  # seconds
_LONGEST_LINE = 240  # characters
_TOLD_BY_PODS = {"BackOff", "FailedScheduling"}
_SECRET = re.compile(
    r"(?P<name>[\w.-]*(?:passw(?:or)?d|secret|token|credential|api[_-]?key|authorization)[\w.-]*[\"']?\s*[=:]\s*)"
    r"(?:(?:bearer|basic)\s+)?[^\s,;&]+"
    r"|(?P<scheme>\w+://[^\s/:@]*:)[^\s/@]+(?=@)"
    r"|\beyJ[\w-]{10,}\.[\w-]+\.[\w-]*",
    re.IGNORECASE,
)

Place = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True)
class Evidence:
    """What was read: warnings and claims by namespace, names of storage classes, last lines of logs by pod.

    What could not be read, or was not asked for, is empty; ``classes`` is None then.
    """

    events: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    claims: Mapping[Place, Mapping[str, Any]] = field(default_factory=dict)
    classes: Mapping[str, bool] | None = None
    logs: Mapping[Place, Sequence[str]] = field(default_factory=dict)


def collect(cluster: Kubernetes, manifests: Collection[Manifest], pods: Pods) -> Evidence:
    """Read what tells why these objects are not ready."""
    unready = {manifest.key: _unready(pods, manifest) for manifest in manifests}
    namespaces = sorted({key.namespace for key in unready if key.namespace})
    claimed = sorted({place[0] for key, found in unready.items() for place in _claims_of(key, found)})
    claims: dict[Place, Mapping[str, Any]] = {}
    for namespace in claimed:
        for claim in _items(cluster, f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"):
            claims[namespace, claim["metadata"]["name"]] = claim
    unbound = any((claim.get("status") or {}).get("phase") != "Bound" for claim in claims.values())
    return Evidence(
        events={
            namespace: _items(
                cluster,
                f"/api/v1/namespaces/{namespace}/events",
                fieldSelector="type=Warning",
                limit=str(_MOST_EVENTS),
            )
            for namespace in namespaces
        },
        claims=claims,
        classes=_classes(cluster) if unbound else None,
        logs=_logs(cluster, [pod for found in unready.values() for pod in found[:1]]),
    )


def lines(manifest: Manifest, evidence: Evidence, pods: Pods, *, told: str = "") -> list[str]:
    """Return why an object is not ready, in at most `MOST_LINES`; ``told`` is what was said of it already."""
    unready = _unready(pods, manifest)
    warnings = _warnings(manifest.key, evidence, unready)
    found = [
        # Pods that are there were let in since, and a Deployment has said so itself.
        *(() if unready or "its pods " in told else _refused(warnings)),
        *_pods(unready),
        *_said(unready, evidence),
        *_volumes(manifest.key, unready, evidence),
        *_events(warnings, told=told, told_by_pods=bool(unready)),
    ]
    short = [_shortened(line) for line in dict.fromkeys(found)]
    return [line for line in short if line.rstrip("…") not in told][:MOST_LINES]


def masked(text: str) -> str:
    """Return the text without what looks like a password, a token, or credentials in a URL."""
    return _SECRET.sub(lambda found: f"{found['name'] or found['scheme'] or ''}***", text)


def _unready(pods: Pods, manifest: Manifest) -> list[Mapping[str, Any]]:
    return [pod for pod in pods.of(manifest) if waiting.why(pod)]


def _items(cluster: Kubernetes, path: str, **query: str) -> list[Mapping[str, Any]]:
    """Return a list's items; none if they may not be read, or the server is away."""
    try:
        return list(cluster.get(path, query=query)["items"] or ())
    except KubernetesError:
        return []


def _classes(cluster: Kubernetes) -> dict[str, bool] | None:
    """Return the storage classes, and whether each is the default."""
    try:
        found = cluster.get("/apis/storage.k8s.io/v1/storageclasses")["items"]
    except KubernetesError:
        return None
    default = "storageclass.kubernetes.io/is-default-class"
    return {
        each["metadata"]["name"]: (each["metadata"].get("annotations") or {}).get(default) == "true"
        for each in found
    }


def _logs(cluster: Kubernetes, pods: Iterable[Mapping[str, Any]]) -> dict[Place, list[str]]:
    """Return the last lines of those containers that have run; of none once a node does not answer."""
    logs: dict[Place, list[str]] = {}
    with contextlib.suppress(KubernetesError):
        for pod in pods:
            container = waiting.container_in_trouble(pod)
            if container is None or len(logs) == _MOST_LOGS:
                continue
            started = container.get("restartCount") or "waiting" not in (container.get("state") or {})
            if not started:
                continue
            metadata = pod["metadata"]
            text = cluster.text(
                f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/log",
                query={
                    "container": container["name"],
                    "tailLines": str(_LOG_LINES),
                    "limitBytes": str(_LOG_BYTES),
                },
                timeout=_LOG_PATIENCE,
            )
            said = [line.strip() for line in text.splitlines() if line.strip()]
            logs[metadata["namespace"], metadata["name"]] = said[-_LOG_LINES:]
    return logs


def _pods(unready: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with pods, those of the same trouble together."""
    alike: dict[str, list[str]] = {}
    for pod in unready:
        container = waiting.container_in_trouble(pod)
        why = waiting.why(pod)
        if container is not None:
            if container["image"] not in why:
                why += f", image {container['image']}"
            message = _message(container)
            why += f": {message}" if message else ""
        alike.setdefault(why, []).append(pod["metadata"]["name"])
    for why, names in sorted(alike.items(), key=lambda item: -len(item[1])):
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"pod {names[0]}{more}: {why}"


def _message(container: Mapping[str, Any]) -> str:
    """Return what the kubelet, or the program before it ended, says beyond the reason."""
    now = container.get("state") or {}
    ended = now.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
    said = ended.get("message") or (now.get("waiting") or {}).get("message") or ""
    return "" if said.startswith("back-off ") else masked(" ".join(said.split()))


def _said(unready: Sequence[Mapping[str, Any]], evidence: Evidence) -> Iterator[str]:
    for pod in unready:
        place = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        for line in evidence.logs.get(place, ()):
            yield f"its log: {masked(line)}"


def _claims_of(key: Key, unready: Iterable[Mapping[str, Any]]) -> list[Place]:
    if key.kind == "PersistentVolumeClaim":
        return [(key.namespace, key.name)]
    return [
        (pod["metadata"]["namespace"], volume["persistentVolumeClaim"]["claimName"])
        for pod in unready
        for volume in pod["spec"].get("volumes") or ()
        if volume.get("persistentVolumeClaim")
    ]


def _volumes(key: Key, unready: Iterable[Mapping[str, Any]], evidence: Evidence) -> Iterator[str]:
    for place in dict.fromkeys(_claims_of(key, unready)):
        claim = evidence.claims.get(place)
        if claim is None:
            continue
        phase = (claim.get("status") or {}).get("phase", "Pending")
        if phase != "Bound":
            yield f"claim {place[1]} is {phase}{_without_class(claim, evidence.classes)}"


def _without_class(claim: Mapping[str, Any], classes: Mapping[str, bool] | None) -> str:
    name = claim["spec"].get("storageClassName")
    if classes is None:
        return ""
    there = f"there is {', '.join(sorted(classes))}" if classes else "there is none"
    if name and name not in classes:
        return f": its storage class {name} does not exist; {there}"
    if name is None and not any(classes.values()):
        return f": it names no storage class, and none is the default; {there}"
    return f" (storage class {name})" if name else ""


def _warnings(key: Key, evidence: Evidence, unready: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the warnings about an object, its pods, claims and ReplicaSets, the newest first."""
    pods = {pod["metadata"]["name"] for pod in unready}
    claims = {name for _, name in _claims_of(key, unready)}

    def concerns(about: Mapping[str, Any]) -> bool:
        kind, name = about.get("kind"), about.get("name", "")
        return (
            (kind, name) == (key.kind, key.name)
            or (kind == "Pod" and name in pods)
            or (kind == "PersistentVolumeClaim" and name in claims)
            # A ReplicaSet is called as its Deployment, with a hash; it may have no pod to tell it by.
            or (kind == "ReplicaSet" and key.kind == "Deployment" and name.rpartition("-")[0] == key.name)
        )

    found = [each for each in evidence.events.get(key.namespace, ()) if concerns(each["involvedObject"])]
    return sorted(found, key=_when, reverse=True)


def _when(event: Mapping[str, Any]) -> str:
    """Return when an event happened last; events of the newer API say it elsewhere."""
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )


def _refused(warnings: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield who refuses the pods; the newest refusal is the one that holds."""
    for event in warnings:
        if event.get("reason") == "FailedCreate":
            yield refusals.in_words(event.get("message", ""))
            return


def _events(warnings: Iterable[Mapping[str, Any]], *, told: str, told_by_pods: bool) -> Iterator[str]:
    times: Counter[tuple[str, str]] = Counter()
    for event in warnings:
        reason, message = event.get("reason", ""), " ".join(event.get("message", "").split())
        by_pods = told_by_pods and (reason in _TOLD_BY_PODS or message.startswith("Error: "))
        if reason != "FailedCreate" and not by_pods and message not in told:
            seen = (event.get("series") or {}).get("count") or event.get("count") or 1
            times[reason, masked(message)] += seen
    for (reason, message), number in times.items():
        yield f"{reason}{f', {number} times' if number > 1 else ''}: {message}"


def _shortened(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + "…"
