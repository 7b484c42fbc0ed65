"""Deleting what is pruned, rank by rank, and waiting until it is gone."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tideflow.clients.kubernetes import METADATA
from tideflow.clients.waiting import wait_gone
from tideflow.engine import faults
from tideflow.engine.ownership import field_manager, other_set
from tideflow.engine.prune import NAMED, RANKS, foreign, is_kubectls, listed, rank_of
from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.clients.resources import Resource
    from tideflow.engine.manifests import Key
    from tideflow.engine.plan import Plan
    from tideflow.engine.records import Record

_FINALIZERS = {
    "customresourcecleanup.apiextensions.k8s.io": "objects of its type are still there",
    "foregroundDeletion": "what it owns is still there",
    "kubernetes.io/pv-protection": "a claim is still bound to it",
    "kubernetes.io/pvc-protection": "a pod still uses it",
    "service.kubernetes.io/load-balancer-cleanup": "its load balancer is not gone yet",
}
_TRIES = 4  # within some seconds: a webhook that is gone is still called for one
_NOT_FOUND, _CONFLICT = 404, 409


@dataclass
class Outcome:
    """What became of what was to be pruned."""

    gone: list[Key] = field(default_factory=list)
    forgotten: dict[Key, str] = field(default_factory=dict)
    failed: dict[Key, str] = field(default_factory=dict)
    put_off: list[Key] = field(default_factory=list)
    stopped: str = ""

    def done(self, plan: Plan) -> Iterator[str]:
        """Yield lines about what was deleted, and what was spared although the plan had it."""
        if self.gone:
            yield f"deleted {listed(self.gone)}"
        for key, why in self.forgotten.items():
            if key not in plan.forgotten:
                yield f"{key} stays: {why}"

    def told(self) -> Iterator[str]:
        """Yield lines about what could not be deleted."""
        for key, why in list(self.failed.items())[:NAMED]:
            yield f"{key} {why}"
        if len(self.failed) > NAMED:
            yield f"… and {len(self.failed) - NAMED} more could not be deleted"
        if self.put_off:
            yield f"{self.stopped or 'after that'}: {listed(self.put_off)} are still to be deleted"
        yield "All of the set is applied. Run this step again, which goes on with what is to be deleted"


class Pruning:
    """The deletions of one run. ``timeout`` is in seconds, ``progress`` is told what is waited for."""

    def __init__(
        self,
        cluster: Kubernetes,
        set_name: str,
        records: Mapping[Key, Record],
        *,
        timeout: float,
        stopped: Callable[[], str],
        progress: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._set = set_name
        self._records = records
        self._timeout = timeout
        self._stopped = stopped
        self._progress = progress
        self._started = time.monotonic()
        self._outcome = Outcome()

    def run(self, plan: Plan, live: Mapping[Key, Mapping[str, Any]]) -> Outcome:
        """Delete what the plan says, and wait until all of it is gone; ``live`` is what was planned with."""
        for key, reason in plan.forgotten.items():
            self._forget(key, reason, live.get(key))
        ranks: list[list[Key]] = [[] for _ in range(RANKS)]
        for key in plan.pruned:
            ranks[rank_of(key)].append(key)
        refused: dict[Key, str] = {}
        for number, rank in enumerate(ranks):
            # A webhook that nobody serves refuses deletes until its registration has gone, a rank or two on.
            todo, refused = [*refused, *rank], {}
            waited = {}
            while todo and not self._stopped():
                key = todo.pop(0)
                if uid := self._delete(key, refused):
                    waited[key] = uid
            if not self._wait(waited) or self._stopped():
                later = [key for rank in ranks[number + 1 :] for key in rank]
                self._outcome.put_off = [*refused, *todo, *later]
                self._outcome.stopped = self._stopped()
                return self._outcome
        for key, why in refused.items():
            self._outcome.failed[key] = f"could not be deleted: {why}"
        return self._outcome

    def _delete(self, key: Key, refused: dict[Key, str]) -> str | None:
        """Delete an object if it is still the set's; return its UID if it is not gone at once."""
        for attempt in range(1, _TRIES + 1):
            try:
                return self._deleted(key)
            except KubernetesError as error:
                if error.status == _NOT_FOUND:
                    self._outcome.gone.append(key)
                    return None
                # A conflict is another UID: the next look tells whose it is.
                if not faults.is_passing(error, attempt) and error.status != _CONFLICT:
                    self._outcome.failed[key] = f"could not be deleted: {error}"
                    return None
                if attempt == _TRIES:
                    refused[key] = str(error)
                else:
                    time.sleep(faults.pause(error, attempt))
        return None

    def _deleted(self, key: Key) -> str | None:
        collection = self._resource(key).collection(key.namespace)
        path = f"{collection}/{key.name}"
        live = self._cluster.get(path, accept=METADATA)
        reason = foreign(live, self._records[key], self._set)
        if reason:
            self._forget(key, reason, live)
            return None
        metadata = live["metadata"]
        if "deletionTimestamp" not in metadata:
            options = {"propagationPolicy": "Background", "preconditions": {"uid": metadata["uid"]}}
            if self._cluster.delete(path, options).get("kind") == "Status":
                self._outcome.gone.append(key)
                return None
        return str(metadata["uid"])

    def _patience(self) -> float:
        """Return how many seconds are left to wait for anything."""
        return 0.0 if self._stopped() else self._timeout - (time.monotonic() - self._started)

    def _wait(self, waited: Mapping[Key, str]) -> bool:
        """Wait until all of these are gone; if they are not in time, or cannot be watched, say why not."""
        left = dict(waited)
        for key, uid in waited.items():

            def say(live: Mapping[str, Any], key: Key = key) -> None:
                more = f", and {len(left) - 1} more" if len(left) > 1 else ""
                elapsed = time.monotonic() - self._started
                self._progress(f"{elapsed:.0f} s: waiting until {key} is gone ({lingering(live)}){more}")

            try:
                live = wait_gone(
                    self._cluster,
                    self._resource(key).collection(key.namespace),
                    key.name,
                    uid,
                    patience=self._patience,
                    progress=say,
                )
            except KubernetesError as error:
                self._outcome.failed[key] = f"is being deleted, and cannot be watched: {error}"
                continue
            del left[key]
            if live is None:
                self._outcome.gone.append(key)
            else:
                elapsed = time.monotonic() - self._started
                self._outcome.failed[key] = (
                    f"is not gone after {elapsed:.0f} s: {lingering(live)}{_help(key, live)}"
                )
        return not self._outcome.failed.keys() & waited.keys()

    def _forget(self, key: Key, reason: str, live: Mapping[str, Any] | None) -> None:
        """Forget an object; if it is another's now, or was before, give up the fields that are this set's."""
        if live is not None and (other_set(live, self._set) or is_kubectls(live, self._set)):
            resource = self._resource(key)
            metadata = {"name": key.name, "uid": live["metadata"]["uid"]}  # the UID, so that none is created
            if key.namespace:
                metadata["namespace"] = key.namespace
            nothing = {"apiVersion": resource.api_version, "kind": key.kind, "metadata": metadata}
            try:
                self._cluster.apply(
                    resource.path(key.namespace, key.name), nothing, field_manager=field_manager(self._set)
                )
            except KubernetesError as error:
                if error.status not in {_NOT_FOUND, _CONFLICT}:
                    self._outcome.failed[key] = f"could not be left to whose it is: {error}"
                    return
        self._outcome.forgotten[key] = reason

    def _resource(self, key: Key) -> Resource:
        found = self._cluster.resources().of_kind(key.group, key.kind)
        if found is None:
            raise KubernetesError(
                f"the server has no {key.kind} any more", status=_NOT_FOUND, reason=faults.NOT_SERVED
            )
        return found


def lingering(live: Mapping[str, Any]) -> str:
    """Return why an object that is being deleted is still there, by its finalizers and conditions."""
    finalizers = _finalizers(live)
    found = [
        f"its finalizer {name} is there" + (f": {_FINALIZERS[name]}" if name in _FINALIZERS else "")
        for name in finalizers
    ]
    for condition in (live.get("status") or {}).get("conditions") or ():
        # A Namespace and a definition say what is left of what is in them.
        remaining = (
            condition.get("type", "").startswith("Namespace") or condition.get("type") == "Terminating"
        )
        if remaining and condition.get("status") == "True" and condition.get("message"):
            found.append(condition["message"].rstrip("."))
    return "; ".join(found) or "it is being deleted"


def _finalizers(live: Mapping[str, Any]) -> list[str]:
    return [*(live["metadata"].get("finalizers") or ())]


def _help(key: Key, live: Mapping[str, Any]) -> str:
    """Return what a person can do about finalizers whose controllers may be gone for good."""
    unknown = [name for name in _finalizers(live) if name not in _FINALIZERS]
    if not unknown:
        return ""
    where = f" -n {key.namespace}" if key.namespace else ""
    kind = f"{key.kind}.{key.group}".rstrip(".").lower()
    return (
        f". The controller of {', '.join(unknown)} has to take that away; if it is gone for good, and "
        f"nothing is left for it to clean up: kubectl patch {kind} {key.name}{where} --type=merge "
        """-p '{"metadata":{"finalizers":null}}'"""
    )
