"""Why an object is not ready, from the evidence, in a few lines of which the most telling come first.

What looks like a password in a program's own words is masked.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from tideflow.engine import refusals, waiting
from tideflow.engine.evidence import claims_of, unready

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tideflow.engine.evidence import Evidence
    from tideflow.engine.manifests import Key, Manifest
    from tideflow.engine.waiting import Pods

MOST_LINES = 9
"""Lines about one object; with the one that names it they are ten."""

_LONGEST_LINE = 240  # characters
_TOLD_BY_PODS = {"BackOff", "FailedScheduling"}
_SECRET = re.compile(
    r"(?P<name>[\w.-]*(?:passw(?:or)?d|secret|token|credential|api[_-]?key|authorization)[\w.-]*[\"']?\s*[=:]\s*)"
    r"(?:(?:bearer|basic)\s+)?[^\s,;&]+"
    r"|(?P<scheme>\w+://[^\s/:@]*:)[^\s/@]+(?=@)"
    r"|\beyJ[\w-]{10,}\.[\w-]+\.[\w-]*",
    re.IGNORECASE,
)


def lines(manifest: Manifest, evidence: Evidence, pods: Pods, *, told: str = "") -> list[str]:
    """Return why an object is not ready, in at most `MOST_LINES`; ``told`` is what was said of it already."""
    late = unready(pods, manifest)
    warnings = _warnings(manifest.key, evidence, late)
    found = [
        # Pods that are there were let in since, and a Deployment has said so itself.
        *(() if late or "its pods " in told else _refused(warnings)),
        *_pods(late),
        *_said(late, evidence),
        *_volumes(manifest.key, late, evidence),
        *_events(warnings, told=told, told_by_pods=bool(late)),
    ]
    short = [_shortened(line) for line in dict.fromkeys(found)]
    return [line for line in short if line.rstrip("…") not in told][:MOST_LINES]


def masked(text: str) -> str:
    """Return the text without what looks like a password, a token, or credentials in a URL."""
    return _SECRET.sub(lambda found: f"{found['name'] or found['scheme'] or ''}***", text)


def _pods(late: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with pods, those of the same trouble together."""
    alike: dict[str, list[str]] = {}
    for pod in late:
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


def _said(late: Sequence[Mapping[str, Any]], evidence: Evidence) -> Iterator[str]:
    for pod in late:
        place = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        for line in evidence.logs.get(place, ()):
            yield f"its log: {masked(line)}"


def _volumes(key: Key, late: Iterable[Mapping[str, Any]], evidence: Evidence) -> Iterator[str]:
    for place in dict.fromkeys(claims_of(key, late)):
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


def _warnings(key: Key, evidence: Evidence, late: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the warnings about an object, its pods, claims and ReplicaSets, the newest first."""
    pods = {pod["metadata"]["name"] for pod in late}
    claims = {name for _, name in claims_of(key, late)}

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
