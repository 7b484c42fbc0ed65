"""A run through a network and a server that fail all the time converges in one go, and nothing is lost."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client as upstream
from tests.integration.engine_runs import apply, apply_and_tell
from tests.integration.proxying import Answer, Cut, Pass, Proxy, refusal
from tests.unit.engine.objects import config_map, custom, definition, deployment, namespace

from tideflow.clients.kubernetes import Kubernetes
from tideflow.engine.manifests import load

if TYPE_CHECKING:
    from tests.integration.planes import Plane
    from tests.integration.proxying import Call, Verdict


def refused(status: int, reason: str, **headers: str) -> Answer:
    """Return a refusal as an API server gives it."""
    return Answer(
        status, refusal(status, reason), {name.replace("_", "-"): it for name, it in headers.items()}
    )


# What becomes of each hundred requests, and of each twenty watches; all others pass.
REQUESTS: dict[str, tuple[int, Verdict]] = {
    "reset": (3, Cut()),
    "reset after it was done": (2, Cut(unheard=True)),
    "503": (2, refused(503, "ServiceUnavailable")),
    "429": (1, refused(429, "TooManyRequests", retry_after="1")),
    "401": (1, refused(401, "Unauthorized")),
    "cut short": (3, Pass(cut_after=40)),
    "slow": (3, Pass(delay=0.5)),
}
WATCHES: dict[str, tuple[int, Verdict]] = {
    "too old": (3, Answer(200, {"type": "ERROR", "object": refusal(410, "Expired")})),
    "broken": (3, Pass(cut_after=40)),
    "closed": (2, Answer(200)),
}


class Faults:
    """Decides by a deck of cards for each hundred requests, so that each fault happens, and counts them."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._lock = threading.Lock()
        self._decks: dict[bool, list[str]] = {True: [], False: []}
        self.counts: Counter[str] = Counter()

    def __call__(self, call: Call) -> Verdict:
        """Decide about one request; only once are the credentials refused, which can be renewed once."""
        faults, size = (WATCHES, 20) if call.is_watch else (REQUESTS, 100)
        with self._lock:
            deck = self._decks[call.is_watch]
            if not deck:
                deck.extend(name for name, (number, _) in faults.items() for _ in range(number))
                deck.extend(["passed"] * (size - len(deck)))
                self._chance.shuffle(deck)
            card = deck.pop()
            if card == "401" and self.counts[card]:
                card = "passed"
            self.counts[card] += 1
        return faults[card][1] if card in faults else Pass()


def client_of(proxy: Proxy) -> Kubernetes:
    """Return a client whose credentials can be renewed; it is the proxy's that count."""

    def configuration(token: str) -> upstream.Configuration:
        made = upstream.Configuration()
        made.host = proxy.url
        made.api_key["authorization"] = f"Bearer {token}"
        return made

    return Kubernetes(configuration("first"), renew=lambda: configuration("second"))


def objects_of(space: str) -> list[dict[str, Any]]:
    """Return a set with all that is waited for: definitions, their resources, workloads and settings."""
    kinds = [f"Fault{at}" for at in range(3)]
    volumes = [{"name": "v", "configMap": {"name": "c0"}}]
    return [
        namespace(space),
        *map(definition, kinds),
        *(custom(kind, f"f{at}", space) for kind in kinds for at in range(5)),
        *(config_map(f"c{at}", space, x=str(at)) for at in range(60)),
        *(deployment(f"d{at}", space, volumes=volumes) for at in range(3)),
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_through_faults_converges_in_one_go(
    plane: Plane, cluster: Kubernetes, space: str, seed: int
) -> None:
    """Resets before and after the server has done it, refusals, cut and slow answers, broken watches."""
    faults, objects = Faults(seed), objects_of(space)
    with Proxy.before(plane.control_plane, faults) as proxy:
        through = client_of(proxy)
        try:
            _, summary = apply_and_tell(through, objects, timeout=180)
        finally:
            through.close()
    assert summary
    assert summary.created == len(objects)
    assert faults.counts.keys() >= REQUESTS.keys(), faults.counts
    assert faults.counts.keys() & WATCHES.keys(), faults.counts
    for at in range(60):
        live = cluster.get(f"/api/v1/namespaces/{space}/configmaps/c{at}")
        assert live["data"] == {"x": str(at)}
    assert not apply(cluster, objects).writes
    for at in range(3):
        cluster.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/fault{at}s.example.org")


@pytest.mark.parametrize("what", ["secrets", "leases"])
def test_a_create_whose_answer_is_lost_is_not_made_twice(
    plane: Plane, cluster: Kubernetes, space: str, what: str
) -> None:
    """A generated credential is the one that was stored, though nobody heard of it; so is a Lease."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": space},
        "stringData": {"k": "generated"},
    }
    lost: list[int] = []

    def decide(call: Call) -> Verdict:
        if call.method == "POST" and call.path.endswith(f"/{what}") and not lost:
            lost.append(call.number)
            return Cut(unheard=True)
        return Pass()

    objects = [namespace(space), secret]
    once = frozenset(manifest.key for manifest in load([secret]))
    with Proxy.before(plane.control_plane, decide) as proxy:
        through = proxy.client()
        plan, _ = apply_and_tell(through, objects, create_once=once)
        through.close()
    assert lost
    assert len(plan.created) == 2
    assert cluster.get(f"/api/v1/namespaces/{space}/secrets/s")["data"] == {"k": "Z2VuZXJhdGVk"}
    assert not apply(cluster, objects, create_once=once).writes
