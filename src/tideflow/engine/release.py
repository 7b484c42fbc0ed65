"""Releasing objects: each is written as soon as its own needs are met, and then watched until it is ready.

One loop takes in what writers and watches report and decides what can be written next, so nothing but it
changes any state. Writers are a bounded pool of threads.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, Queue
from typing import TYPE_CHECKING

from tideflow.engine import faults, ownership, pods, waiting
from tideflow.engine.faults import NOT_SERVED, Throttle
from tideflow.engine.graph import Ready, Written
from tideflow.engine.manifests import Key
from tideflow.engine.observing import GONE, SETTLES, Observed, watched
from tideflow.engine.outcome import Outcome
from tideflow.engine.pending import Pending
from tideflow.engine.records import ONCE, Record
from tideflow.engine.snapshot import is_whole
from tideflow.engine.waiting import Pods
from tideflow.engine.watching import Watching
from tideflow.engine.webhooks import CONFIGURATIONS, GROUP, Webhook
from tideflow.engine.writing import Writing
from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.engine.graph import Need
    from tideflow.engine.manifests import Manifest
    from tideflow.engine.outcome import Options
    from tideflow.engine.plan import Plan
    from tideflow.engine.snapshot import Snapshot
    from tideflow.engine.watching import News
    from tideflow.engine.writing import Written as Answer

_TICK = 0.5  # seconds without news after which the clock is looked at
_MOMENT = 0.1  # seconds, while only time is missing
_DISCOVERY = 0.3  # seconds between two looks at discovery, which cannot be watched
_DISCOVERY_MEANWHILE = 2.0  # the same while there is something else to do; each look is a large answer
_LINE = 1.0  # seconds between two live lines
_STUCK = 20.0
"""Seconds without any change after which pods without a place are given up: the scheduler tries again at each
change, so nothing but a new node helps them."""


@dataclass(frozen=True, slots=True)
class _Wrote:
    key: Key
    answer: Answer | Exception


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
        options: Options,
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
        self._options = options
        self._progress = progress
        self._writing = Writing(cluster, plan, snapshot, set_name=set_name, options=options)
        self._queue: Queue[News | _Wrote] = Queue()
        self._watching = Watching(cluster, self._queue)
        self._watched: set[tuple[str, str]] = set()
        self._created = frozenset(plan.created)
        to_write = self._created.union(plan.changed)
        self._pending = Pending([key for key in needs if key in to_write], needs)
        self._scope = set(to_write.union(plan.waiting).intersection(manifests))
        self._unready = set(self._scope)
        self._in_flight: set[Key] = set()
        self._throttle = Throttle()
        self._tries: Counter[Key] = Counter()
        self._refused: dict[Key, KubernetesError] = {}
        self._outcome = Outcome()
        self._started = time.monotonic()
        self._said_at = self._discovered_at = self._started

    def run(self) -> Outcome:
        """Write and wait until everything is done, failed, or out of time."""
        self.observed.written.update(self._plan.unchanged, self._plan.kept)
        try:
            with ThreadPoolExecutor(faults.WRITERS) as writers:
                self._watch_types()
                while not self._is_over():
                    self._release(writers)
                    self._take_in()
                    self._discover()
                    self._say()
            self._outcome.held = {key: self._why_pending(key) for key in self._pending}
        finally:
            self._watching.stop()
        self._outcome.elapsed = time.monotonic() - self._started
        return self._outcome

    def _release(self, writers: ThreadPoolExecutor) -> None:
        """Give up what never can be written, and hand to the writers what can be now."""
        if self._outcome.stopped:
            return
        self._fail_unserved()
        lost = [Written(key) for key in (*self._outcome.failed, *self._outcome.skipped)]
        for need in (*self._pending.gates(), *lost):
            if (cause := self._lost(need)) is None:
                continue
            for key in self._pending.waiting_for(need):
                self._pending.discard(key)
                self._unready.discard(key)
                self._outcome.skipped[key] = cause
        free = self._pending.next(self.observed.met)
        while len(self._in_flight) < self._throttle.limit and (found := next(free, None)) is not None:
            self._in_flight.add(found)
            writers.submit(self._write, found)

    def _fail_unserved(self) -> None:
        """Give up the aggregated APIs, not available so far, whose every workload cannot be written."""
        if not (self._outcome.failed or self._outcome.skipped):
            return
        apis = [key for key in self._unready if key.kind == "APIService" and key in self.observed.written]
        for key in apis:
            service = self._manifests[key].body["spec"].get("service")
            if not service or self.observed.status(key).ready:
                continue
            place = Key("", "Service", service["namespace"], service["name"])
            cause = self._unserved(place)
            # What was there before this run may serve it still.
            if cause is not None and not any(
                key in self._snapshot.objects for key in pods.behind(place, self._manifests)
            ):
                self._unready.discard(key)
                self._outcome.failed[key] = f"{cause}, which is to serve it, is not there"

    def _unserved(self, service: Key) -> Key | None:
        """Return what failed where nothing of the set will ever serve a Service; None if something may."""
        serving = list(pods.behind(service, self._manifests))
        if not serving or not all(map(self._is_lost, serving)):
            return None
        return self._outcome.skipped.get(serving[0], serving[0])

    def _lost(self, need: Need) -> Key | None:
        """Return the failed object because of which a need will not be met."""
        keys = (need.owner, need.service.key) if isinstance(need, Webhook) else (need.key,)
        for key in keys:
            if self._is_lost(key):
                return self._outcome.skipped.get(key, key)
            if isinstance(need, Ready) and key in self._manifests and self.observed.status(key).failed:
                return key
        anything = self._outcome.failed or self._outcome.skipped
        if anything and isinstance(need, Webhook) and not self.observed.has_endpoint(need):
            return self._unserved(need.service.key)
        return None

    def _is_lost(self, key: Key) -> bool:
        return key in self._outcome.failed or key in self._outcome.skipped

    def _write(self, key: Key) -> None:
        """Write one object, in a thread of the pool, and report to the loop."""
        manifest = self._manifests[key]
        resource = self.observed.resources.find(key.group, manifest.version, key.kind)
        try:
            if resource is None:
                raise KubernetesError(  # noqa: TRY301 - answered as the server would
                    f"the server has no {key.kind} in {manifest.body['apiVersion']}", reason=NOT_SERVED
                )
            self._queue.put(_Wrote(key, self._writing.write(manifest, resource)))
        except Exception as error:  # noqa: BLE001 - the loop raises again what it cannot deal with
            self._queue.put(_Wrote(key, error))

    def _take_in(self) -> None:
        """Wait for news, and take in all there is."""
        try:
            news = self._queue.get(timeout=_MOMENT if self._is_moment() else _TICK)
            while True:
                if isinstance(news, _Wrote):
                    self._wrote(news)
                else:
                    if news.resource.kind == "Pod":
                        self.pods.see(news)
                    self.observed.see(news)
                news = self._queue.get_nowait()
        except Empty:
            return

    def _is_moment(self) -> bool:
        """Tell whether only time is missing, and little of it: nothing else would tell of its passing."""
        return not self._in_flight and any(
            isinstance(need, Webhook) and self.observed.why_unserved(need) == SETTLES
            for need in self._pending.gates()
        )

    def _wrote(self, news: _Wrote) -> None:
        key = news.key
        self._in_flight.discard(key)
        if isinstance(news.answer, KubernetesError):
            self._was_refused(key, news.answer)
            return
        if isinstance(news.answer, Exception):
            raise news.answer
        self._throttle.succeeded()
        self._pending.discard(key)
        self._pending.written(key)
        self._refused.pop(key, None)
        metadata = news.answer.metadata["metadata"]
        self.observed.wrote(key, metadata.get("resourceVersion", ""))
        owned = ownership.owned(news.answer.metadata, self._manager)
        if key in self._options.create_once:
            self._outcome.written[key] = Record(metadata["uid"], ONCE)
        elif owned is not None:
            self._outcome.written[key] = Record(metadata["uid"], owned)
        self._outcome.notes.extend(news.answer.notes)
        if key in self._created:
            self._outcome.created += 1
        else:
            self._outcome.changed += 1

    def _was_refused(self, key: Key, error: KubernetesError) -> None:
        self._throttle.refused(error)
        self._tries[key] += 1
        if faults.is_passing(error, self._tries[key]):
            self._refused[key] = error
            self._pending.pause(key, faults.pause(error, self._tries[key]))
        else:
            self._outcome.failed[key] = str(error)
            self._pending.discard(key)
            self._unready.discard(key)

    def _watch_types(self) -> None:
        """Watch the types whose readiness is waited for, and what tells whether webhooks are served."""
        gates = {need.key for key in self._pending for need in self._needs[key] if isinstance(need, Ready)}
        for key in gates.union(self._scope if self._options.wait else ()):
            if watched(self._manifests[key]):
                self._watch(key.group, self._manifests[key].version, key.kind)
        if any(isinstance(need, Webhook) for key in self._pending for need in self._needs[key]):
            for kind in CONFIGURATIONS:
                self._watch(GROUP, "v1", kind)
            self._watch("discovery.k8s.io", "v1", "EndpointSlice")
            self._watch("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
        if self._scope and self._options.wait:
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
        """Read discovery again while it lacks what an established definition, or an aggregated API, has."""
        pause = _DISCOVERY_MEANWHILE if self._in_flight else _DISCOVERY
        if time.monotonic() - self._discovered_at < pause:
            return
        if not self.observed.unserved() and all(
            found.reason != NOT_SERVED for found in self._refused.values()
        ):
            return
        # A server that is away for a moment is asked again.
        with contextlib.suppress(KubernetesError):
            self.observed.discovered(self._cluster.resources(refresh=True))
            self._watch_types()
        self._discovered_at = time.monotonic()

    def _is_over(self) -> bool:
        self._outcome.stopped = self._outcome.stopped or self._options.stopped()
        if self._in_flight:
            return False  # what is under way is waited for, and recorded, in any case
        self._settle()
        if self._outcome.stopped or (not self._pending and not any(self._waited_for())):
            return True
        late = time.monotonic() - self._started > self._options.timeout
        if not late and not self._is_stuck():
            return False
        self._outcome.not_ready.update((key, self._why_unready(key)) for key in self._in_order())
        return True

    def _waited_for(self) -> Iterator[Key]:
        """Yield the written objects that are not ready, if that matters."""
        return (key for key in self._unready if self._options.wait and key not in self._pending)

    def _in_order(self) -> list[Key]:
        """Return the same in the order of the set."""
        waited_for = set(self._waited_for())
        return [key for key in self._manifests if key in waited_for]

    def _settle(self) -> None:
        """Look at those objects again of which there are news; failed ones move to the failures."""
        for key in self.observed.take_changed() & self.observed.written:
            status = self.observed.status(key)
            if status is GONE:
                self._make_again(key)
            elif key in self._scope:
                if status.ready or status.failed:
                    self._unready.discard(key)
                else:
                    self._unready.add(key)
                if status.failed and self._options.wait:
                    self._outcome.failed[key] = status.why
                else:
                    self._outcome.failed.pop(key, None)  # what had stalled may go on

    def _make_again(self, key: Key) -> None:
        """Write an object again that somebody has deleted: at the end of the run it has to be there."""
        if not self._needs:  # a run that only waits writes nothing
            self._outcome.failed[key] = GONE.why
            self._unready.discard(key)
            return
        self._outcome.notes.append(f"{key} {GONE.why}, and is made again")
        self.observed.written.discard(key)
        self._scope.add(key)
        self._unready.add(key)
        self._pending.add(key)

    def _why(self, key: Key) -> str:
        return self._why_pending(key) if key in self._pending else self._why_unready(key)

    def _why_unready(self, key: Key) -> str:
        return waiting.reasons(self.pods.of(self._manifests[key])) or self.observed.status(key).why

    def _is_stuck(self) -> bool:
        """Tell whether all that is missing is room for pods."""
        if time.monotonic() - max(self.observed.changed_at, self.pods.changed_at) < _STUCK:
            return False
        unready = [
            pod
            for key in self._unready
            if key in self.observed.written
            for pod in self.pods.of(self._manifests[key])
            if waiting.why(pod)
        ]
        return bool(unready) and all(map(waiting.lacks_room, unready))

    def _why_pending(self, key: Key) -> str:
        if key in self._refused:
            times = f" {self._tries[key]} times" if self._tries[key] > 1 else ""
            return f"was refused{times}, and is tried again: {self._refused[key].message}"
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
        unready = [key for key in self._in_order() if not self.observed.status(key).ready]
        left = [*unready, *self._pending]
        if left:
            self._progress(waiting.line(now - self._started, len(self._manifests), left, self._why))
