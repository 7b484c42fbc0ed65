"""Releasing objects: each is written as soon as its own needs are met, and then watched until it is ready.

One loop takes in what writers and watches report and decides what can be written next, so nothing but it
changes any state. Writers are a bounded pool of threads.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any

from tideflow.clients.kubernetes import METADATA
from tideflow.engine import ownership, waiting
from tideflow.engine.graph import Ready
from tideflow.engine.observing import Observed, watched
from tideflow.engine.records import Record
from tideflow.engine.snapshot import is_whole
from tideflow.engine.waiting import Pods
from tideflow.engine.watching import Watching
from tideflow.engine.webhooks import CONFIGURATIONS, GROUP, Webhook
from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.engine.graph import Need
    from tideflow.engine.manifests import Key, Manifest
    from tideflow.engine.plan import Plan
    from tideflow.engine.snapshot import Snapshot
    from tideflow.engine.watching import Seen

WRITERS = 8
"""Writes at once; more do not make a control plane of this size faster."""

_TICK = 0.5  # seconds without news after which the clock is looked at
_MOMENT = 0.1  # seconds, while only time is missing
_DISCOVERY = 0.3  # seconds between two looks at discovery, which cannot be watched
_LINE = 1.0  # seconds between two live lines
_TRIES = 6
_STUCK = 20.0
"""Seconds without any change after which pods without a place are given up: the scheduler tries again at each
change, so nothing but a new node helps them."""


@dataclass
class Outcome:
    """What became of each object of a run; ``held`` are those whose needs were never met, and which."""

    written: dict[Key, Record] = field(default_factory=dict)
    created: int = 0
    changed: int = 0
    failed: dict[Key, str] = field(default_factory=dict)
    skipped: dict[Key, Key] = field(default_factory=dict)
    not_ready: dict[Key, str] = field(default_factory=dict)
    held: dict[Key, str] = field(default_factory=dict)
    out_of_room: bool = False
    elapsed: float = 0.0


@dataclass(frozen=True, slots=True)
class _Wrote:
    key: Key
    answer: dict[str, Any] | None
    error: KubernetesError | None


class Release:
    """One run over the objects of a plan."""

    def __init__(
        self,
        cluster: Kubernetes,
        manifests: Mapping[Key, Manifest],
        needs: Mapping[Key, Collection[Need]],
        plan: Plan,
        snapshot: Snapshot,
        *,
        set_name: str,
        create_once: Collection[Key],
        timeout: float,
        wait: bool,
        progress: Callable[[str], None],
    ) -> None:
        self.observed = Observed(manifests, snapshot, cluster.resources())
        self.pods = Pods()
        self._cluster = cluster
        self._manifests = manifests
        self._needs = needs
        self._plan = plan
        self._snapshot = snapshot
        self._manager = ownership.field_manager(set_name)
        self._create_once = create_once
        self._timeout = timeout
        self._wait = wait
        self._progress = progress
        self._queue: Queue[Seen | _Wrote] = Queue()
        self._watching = Watching(cluster, self._queue)
        self._watched: set[tuple[str, str]] = set()
        self._pending = {key for key in manifests if key in {*plan.created, *plan.changed}}
        self._scope = [key for key in manifests if key in self._pending or key in plan.waiting]
        self._in_flight: set[Key] = set()
        self._tries: Counter[Key] = Counter()
        self._due: dict[Key, float] = {}
        self._outcome = Outcome()
        self._started = time.monotonic()
        self._said_at = self._discovered_at = self._started

    def run(self) -> Outcome:
        """Write and wait until everything is done, failed, or out of time."""
        self.observed.written.update(self._plan.unchanged, self._plan.kept)
        try:
            with ThreadPoolExecutor(WRITERS) as writers:
                self._watch_types()
                while not self._is_over():
                    self._release(writers)
                    self._take_in()
                    self._discover()
                    self._say()
                self._outcome.held = {
                    key: self._why_pending(key) for key in self._manifests if key in self._pending
                }
        finally:
            self._watching.stop()
        self._outcome.elapsed = time.monotonic() - self._started
        return self._outcome

    def _release(self, writers: ThreadPoolExecutor) -> None:
        """Hand to the writers what can be written now, and give up what never can be."""
        for key in self._manifests:
            if key not in self._pending or key in self._in_flight:
                continue
            if self._due.get(key, 0.0) > time.monotonic():
                continue
            lost = next((cause for need in self._needs[key] if (cause := self._lost(need))), None)
            if lost is not None:
                self._pending.discard(key)
                self._outcome.skipped[key] = lost
            elif all(self.observed.met(need) for need in self._needs[key]):
                self._in_flight.add(key)
                writers.submit(self._write, key)

    def _lost(self, need: Need) -> Key | None:
        """Return the failed object because of which a need will not be met."""
        keys = (need.owner, need.service.key) if isinstance(need, Webhook) else (need.key,)
        for key in keys:
            if key in self._outcome.failed or key in self._outcome.skipped:
                return self._outcome.skipped.get(key, key)
            if isinstance(need, Ready) and key in self._manifests and self.observed.status(key).failed:
                return key
        return None

    def _write(self, key: Key) -> None:
        """Write one object, in a thread of the pool, and report to the loop."""
        try:
            self._queue.put(_Wrote(key, self._write_once(key), None))
        except KubernetesError as error:
            self._queue.put(_Wrote(key, None, error))

    def _write_once(self, key: Key) -> dict[str, Any]:
        manifest = self._manifests[key]
        resource = self.observed.resources.find(key.group, manifest.version, key.kind)
        if resource is None:
            raise KubernetesError(
                f"the server has no {key.kind} in {manifest.body['apiVersion']}", reason="NotServed"
            )
        if key in self._create_once:
            created: dict[str, Any] = self._cluster.request(
                "POST",
                resource.collection(key.namespace),
                body=manifest.body,
                query={"fieldManager": self._manager},
                accept=METADATA,
            )
            return created
        applied: dict[str, Any] = self._cluster.apply(
            resource.path(key.namespace, key.name),
            ownership.annotated(manifest.body, self._plan.desired[key]),
            field_manager=self._manager,
            accept=METADATA,
        )
        return applied

    def _take_in(self) -> None:
        """Wait for news, and take in all there is."""
        try:
            news = self._queue.get(timeout=_TICK if self._in_flight or not self._settling() else _MOMENT)
            while True:
                if isinstance(news, _Wrote):
                    self._wrote(news)
                elif news.resource.kind == "Pod":
                    self.pods.see(news)
                else:
                    self.observed.see(news)
                news = self._queue.get_nowait()
        except Empty:
            return

    def _settling(self) -> bool:
        """Tell whether only time is missing for a webhook to take effect."""
        return any(
            isinstance(need, Webhook) and self.observed.why_unserved(need) == "it takes effect in a moment"
            for key in self._pending - self._in_flight
            for need in self._needs[key]
        )

    def _wrote(self, news: _Wrote) -> None:
        self._in_flight.discard(news.key)
        if news.error is not None:
            self._tries[news.key] += 1
            if _is_passing(news.error) and self._tries[news.key] < _TRIES:
                # Spread, so that what failed together is not tried together.
                pause = news.error.retry_after or random.uniform(0.5, 1.5) * 2 ** self._tries[news.key] / 4  # noqa: S311
                self._due[news.key] = time.monotonic() + pause
                return
            self._outcome.failed[news.key] = str(news.error)
        self._pending.discard(news.key)
        if news.answer is None:
            return
        metadata = news.answer["metadata"]
        self.observed.wrote(news.key, metadata.get("resourceVersion", ""))
        owned = ownership.owned(news.answer, self._manager)
        if owned is not None and news.key not in self._create_once:
            self._outcome.written[news.key] = Record(metadata["uid"], owned)
        if news.key in self._plan.created:
            self._outcome.created += 1
        else:
            self._outcome.changed += 1

    def _watch_types(self) -> None:
        """Watch the types whose readiness is waited for, and what tells whether webhooks are served."""
        gates = {need.key for key in self._pending for need in self._needs[key] if isinstance(need, Ready)}
        for key in gates.union(self._scope if self._wait else ()):
            if watched(self._manifests[key]):
                self._watch(key.group, self._manifests[key].version, key.kind)
        if any(isinstance(need, Webhook) for key in self._pending for need in self._needs[key]):
            for kind in CONFIGURATIONS:
                self._watch(GROUP, "v1", kind)
            self._watch("discovery.k8s.io", "v1", "EndpointSlice")
            self._watch("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
        if self._scope and self._wait:
            self._watch("", "v1", "Pod")

    def _watch(self, group: str, version: str, kind: str) -> None:
        resource = self.observed.resources.find(group, version, kind)
        if resource is None or (group, kind) in self._watched:
            return
        self._watched.add((group, kind))
        # A snapshot that read the whole objects has told what there is; any other watch starts with a list.
        known = is_whole(group, kind) or kind == "CustomResourceDefinition"
        self._watching.add(resource, self._snapshot.versions.get((group, kind)) if known else None)

    def _discover(self) -> None:
        """Read discovery again while a definition is established that it does not have."""
        now = time.monotonic()
        if now - self._discovered_at >= _DISCOVERY and self.observed.unserved():
            self.observed.resources = self._cluster.resources(refresh=True)
            self._discovered_at = time.monotonic()
            self._watch_types()

    def _is_over(self) -> bool:
        if self._in_flight:
            return False
        late = time.monotonic() - self._started > self._timeout
        unready = self._unready() if self._wait else {}
        if not self._pending and not unready:
            return True
        if not late and not self._is_stuck():
            return False
        self._outcome.out_of_room = not late
        self._outcome.not_ready.update(unready)
        return True

    def _unready(self) -> dict[Key, str]:
        """Return the written objects that are not ready, and why; failed ones move to the failures."""
        unready = {}
        for key in self._scope:
            if key in self.observed.written:
                status = self.observed.status(key)
                if status.failed:
                    self._outcome.failed.setdefault(key, status.why)
                elif not status.ready:
                    unready[key] = waiting.reasons(self.pods.of(self._manifests[key])) or status.why
        return unready

    def _is_stuck(self) -> bool:
        """Tell whether all that is missing is room for pods."""
        if time.monotonic() - max(self.observed.changed_at, self.pods.changed_at) < _STUCK:
            return False
        unready = [pod for pod in self.pods if waiting.why(pod)]
        return bool(unready) and all(map(waiting.is_unschedulable, unready))

    def _why_pending(self, key: Key) -> str:
        unmet = [need for need in self._needs[key] if not self.observed.met(need)]
        if not unmet:
            return "is being written"
        first = unmet[0]
        why = f", and {self.observed.why_unserved(first)}" if isinstance(first, Webhook) else ""
        return f"waits for {first}{why}"

    def _say(self) -> None:
        now = time.monotonic()
        if now - self._said_at < _LINE:
            return
        self._said_at = now
        reasons = self._unready() if self._wait else {}
        reasons |= {key: self._why_pending(key) for key in self._manifests if key in self._pending}
        if reasons:
            self._progress(waiting.line(now - self._started, len(self._manifests), reasons))


def _is_passing(refused: KubernetesError) -> bool:
    """Tell whether the same write may succeed in a moment: the server is away, busy, or catching up."""
    no_match = refused.status == 404 and refused.reason != "NotFound"  # noqa: PLR2004 - no such type yet
    return refused.status in {0, 429} or refused.status >= 500 or no_match  # noqa: PLR2004 - the server's own fault
