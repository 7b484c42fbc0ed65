"""Evidence as text: the most telling first, no more than ten lines, and nothing secret."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine.objects import deployment, manifests
from tests.unit.engine.test_waiting import BACKING_OFF, CRASHED, PODS, container, pod

from tideflow.engine.evidence import Evidence
from tideflow.engine.telling import MOST_LINES, lines, masked
from tideflow.engine.waiting import Pods
from tideflow.engine.watching import Seen

(DEPLOYMENT,) = manifests(deployment("d"))


def pods(*found: dict[str, Any]) -> Pods:
    """Return them as watches have told of them."""
    seen = Pods()
    for each in found:
        seen.see(Seen(PODS, each))
    return seen


def event(kind: str, name: str, reason: str, message: str, *, at: int = 0, count: int = 1) -> Any:
    """Return a warning about an object, of the ``at``-th minute."""
    return {
        "metadata": {"name": "x"},
        "involvedObject": {"kind": kind, "name": name},
        "reason": reason,
        "message": message,
        "count": count,
        "lastTimestamp": f"2026-01-01T00:{at:02}:00Z",
    }


def claim(name: str, phase: str = "Pending", **spec: Any) -> Any:
    """Return a claim."""
    return {"metadata": {"name": name, "namespace": "a"}, "spec": spec, "status": {"phase": phase}}


def test_pods_of_the_same_trouble_share_a_line() -> None:
    """With the image and how it ended; then what it wrote; a back-off event adds nothing to that."""
    crashing = [
        pod(f"d-{number}", containerStatuses=[container(BACKING_OFF, restarts=2, last=CRASHED)])
        for number in range(3)
    ]
    events = {"a": [event("Pod", "d-0", "BackOff", "Back-off restarting failed container", count=9)]}
    logs = {("a", "d-0"): ["starting", "no database"]}
    assert lines(DEPLOYMENT, Evidence(events=events, logs=logs), pods(*crashing)) == [
        "pod d-0 and 2 more: main: CrashLoopBackOff (exit 1, 2 restarts), image example.org/main:1",
        "its log: starting",
        "its log: no database",
    ]


def test_a_programs_last_words_are_told() -> None:
    """From its termination message, where it left one."""
    last = {"terminated": {"exitCode": 2, "reason": "Error", "message": "no such\n  file"}}
    found = pod(containerStatuses=[container(BACKING_OFF, restarts=1, last=last)])
    (line,) = lines(DEPLOYMENT, Evidence(), pods(found))
    assert line.endswith("(exit 2, 1 restart), image example.org/main:1: no such file")


@pytest.mark.parametrize(
    ("spec", "classes", "said"),
    [
        ({"storageClassName": "fast"}, None, "claim data is Pending"),
        ({"storageClassName": "fast"}, {"fast": False}, "claim data is Pending (storage class fast)"),
        (
            {"storageClassName": "fast"},
            {"slow": True, "block": False},
            "claim data is Pending: its storage class fast does not exist; there is block, slow",
        ),
        (
            {},
            {"slow": False},
            "claim data is Pending: it names no storage class, and none is the default; there is slow",
        ),
        ({"storageClassName": ""}, {}, "claim data is Pending"),
    ],
)
def test_an_unbound_claim_says_what_is_missing(
    spec: dict[str, Any], classes: dict[str, bool] | None, said: str
) -> None:
    """A storage class that does not exist, or one that nobody named."""
    waiting = pod(phase="Pending")
    waiting["spec"] = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}
    evidence = Evidence(claims={("a", "data"): claim("data", **spec)}, classes=classes)
    assert lines(DEPLOYMENT, evidence, pods(waiting)) == ["pod d-1: Pending", said]


def test_a_bound_claim_is_no_evidence() -> None:
    """Nor one that nothing is known of."""
    waiting = pod(phase="Pending")
    waiting["spec"] = {
        "volumes": [{"persistentVolumeClaim": {"claimName": name}} for name in ("bound", "unknown")]
    }
    evidence = Evidence(claims={("a", "bound"): claim("bound", "Bound")}, classes={})
    assert lines(DEPLOYMENT, evidence, pods(waiting)) == ["pod d-1: Pending"]


def test_who_refuses_pods_is_told_by_the_event_of_their_replica_set() -> None:
    """The newest one, and not of a ReplicaSet whose name only begins alike."""
    denied = 'Error creating: admission webhook "no.example.org" denied the request: '
    events = {
        "a": [
            event("ReplicaSet", "d-5f", "FailedCreate", denied + "old", at=1),
            event("ReplicaSet", "d-5f", "FailedCreate", denied + "new", at=2),
            event("ReplicaSet", "d-other-5f", "FailedCreate", denied + "other", at=3),
        ]
    }
    said = ["its pods are refused by the webhook no.example.org: new"]
    assert lines(DEPLOYMENT, Evidence(events=events), pods()) == said
    assert lines(DEPLOYMENT, Evidence(events=events), pods(), told=said[0]) == []
    # A pod that is there was let in since.
    assert lines(DEPLOYMENT, Evidence(events=events), pods(pod())) == ["pod d-1: Pending"]


def test_the_last_warnings_come_first_and_once() -> None:
    """Those of the object, its pods and claims; of others, and of what was told already, none."""
    waiting = pod(phase="Pending")
    waiting["spec"] = {"volumes": [{"persistentVolumeClaim": {"claimName": "data"}}]}
    events = {
        "a": [
            event("Pod", "d-1", "FailedMount", "secret not found", at=1, count=2),
            event("Pod", "d-1", "FailedMount", "secret not found", at=2, count=3),
            event("PersistentVolumeClaim", "data", "ProvisioningFailed", "quota", at=3),
            event("Pod", "x-1", "FailedMount", "somebody else's", at=4),
            event("Deployment", "d", "Known", "said before", at=5),
        ],
        "b": [event("Pod", "d-1", "FailedMount", "of another namespace")],
    }
    assert lines(DEPLOYMENT, Evidence(events=events), pods(waiting), told="because: said before") == [
        "pod d-1: Pending",
        "ProvisioningFailed: quota",
        "FailedMount, 5 times: secret not found",
    ]


def test_events_of_the_newer_api_are_put_in_order_too() -> None:
    """They have a series, or only the time they were made at."""
    newer = event("Deployment", "d", "Two", "b") | {
        "lastTimestamp": None,
        "count": None,
        "series": {"count": 7, "lastObservedTime": "2026-01-01T00:02:00.000000Z"},
    }
    newest = event("Deployment", "d", "Three", "c") | {
        "lastTimestamp": None,
        "eventTime": "2026-01-01T00:03:00.000000Z",
    }
    events = {"a": [event("Deployment", "d", "One", "a", at=1), newest, newer]}
    assert lines(DEPLOYMENT, Evidence(events=events), pods()) == ["Three: c", "Two, 7 times: b", "One: a"]


def test_it_is_never_more_than_a_screenful() -> None:
    """However much there is to tell, and however long a message."""
    events = {"a": [event("Deployment", "d", f"Reason{number}", "x" * 900) for number in range(50)]}
    found = lines(DEPLOYMENT, Evidence(events=events), pods())
    assert len(found) == MOST_LINES
    assert max(map(len, found)) == 240


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("password=hunter2 refused", "password=*** refused"),
        ('"DB_PASSWORD": "hunter2", "x": 1', '"DB_PASSWORD": ***, "x": 1'),
        ("Authorization: Bearer hunter2", "Authorization: ***"),
        ("api-key: hunter2", "api-key: ***"),
        ("mysql://root:hunter2@mysql:3306/db", "mysql://root:***@mysql:3306/db"),
        ("redis://:hunter2@redis", "redis://:***@redis"),
        ("got eyJhbGciOiJIUzI1.eyJzdWIiOiIx.c2ln here", "got *** here"),
        ("no such file: /etc/passwd", "no such file: /etc/passwd"),
        ("could not connect to mysql:3306", "could not connect to mysql:3306"),
    ],
)
def test_what_looks_like_a_password_is_masked(text: str, clean: str) -> None:
    """In logs and messages, which are a program's own words; what is telling stays."""
    assert masked(text) == clean


@given(st.text(), st.sampled_from(["password={}", "token: {}", "https://user:{}@host/"]))
def test_masking_takes_any_text(around: str, form: str) -> None:
    """And never lets a password through that stands alone in one of its forms."""
    assert "hunter2" not in masked(f"{around} {form.format('hunter2')}")
