"""Writing one object: created once, or applied server-side, and what is done about a refusal.

Called from the threads of a pool; nothing here is changed by two of them.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tideflow.clients.kubernetes import JSON, JSON_PATCH, METADATA
from tideflow.engine import fieldpaths, ownership, settled
from tideflow.engine.adoption import adoption, needs_adoption, without_abandoned
from tideflow.engine.yielding import WOKEN, owns_replicas, without_replicas
from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.clients.resources import Resource
    from tideflow.engine.manifests import Key, Manifest
    from tideflow.engine.outcome import Options
    from tideflow.engine.plan import Plan
    from tideflow.engine.snapshot import Snapshot

Conflicts = Literal["own", "yield", "fail"]
"""What is done about fields that another manager owns: take them, leave them to it, or stop."""

REPLACEABLE = {"Job": ("batch", "Background"), "StatefulSet": ("apps", "Orphan")}
"""Kinds that may be replaced where a field cannot be changed, with their group, since Volcano's Job, to name
one, is another kind, and with what becomes of their pods: those of a Job go with it, those of a StatefulSet
stay and belong to the next one."""

_CONFLICT = "FieldManagerConflict"
_MANAGER = re.compile(r'conflict with "([^"]*)"')
_TRIES = 3


@dataclass(frozen=True)
class Written:
    """The metadata that a write was answered with, and ``notes`` on what a person should know of it."""

    metadata: dict[str, Any]
    notes: tuple[str, ...] = ()


class Writing:
    """Writes the objects of one set, as its plan and the options say; ``snapshot`` is what was live then."""

    def __init__(
        self, cluster: Kubernetes, plan: Plan, snapshot: Snapshot, *, set_name: str, options: Options
    ) -> None:
        self._cluster = cluster
        self._manager = ownership.field_manager(set_name)
        self._desired = plan.desired
        self._scaled = plan.scaled
        self._asleep = plan.asleep
        self._live = snapshot.objects
        self._create_once = options.create_once
        self._conflicts = options.conflicts
        self._replace = options.replace

    def write(self, manifest: Manifest, resource: Resource) -> Written:
        """Write one object; raises ``KubernetesError`` with what the server, or we, hold against it."""
        key = manifest.key
        path = resource.path(key.namespace, key.name)
        if key in self._create_once:
            return self._create(manifest, resource, path)
        live: Mapping[str, Any] | None = self._live.get(key)
        body = self._annotated(manifest, live)
        notes: list[str] = []
        if live is not None and self._adopts(live):
            live = self._rewritten(path, live, needs_adoption, adoption)
            notes.append(_taken_over(key))
        if live is not None and self._gives_up_replicas(key, live):
            self._rewritten(path, live, owns_replicas, without_replicas)
        try:
            answer = self._apply(key, path, body, notes)
        except KubernetesError as error:
            self._may_replace(manifest, path, error)
            self._replace_settled(key, path)
        if answer["metadata"].get("deletionTimestamp"):
            raise _being_deleted(key, answer["metadata"].get("finalizers") or ())
        if key in self._asleep:
            answer = self._woken(path, answer)
        return Written(answer, tuple(notes))

    def preview(self, manifest: Manifest, resource: Resource, live: Mapping[str, Any] | None) -> Written:
        """Return the whole object that writing over ``live`` would make, by dry runs of the same writes.

        ``live`` is None where there is nothing yet. Raises ``KubernetesError`` as ``write`` would; of reason
        ``Replaced`` if it would be made anew.
        """
        key = manifest.key
        path = resource.path(key.namespace, key.name)
        body = self._annotated(manifest, live)
        notes: list[str] = []
        adopts = live is not None and self._adopts(live)
        if live is not None and (self._gives_up_replicas(key, live) or (adopts and key in self._scaled)):
            # Nobody can give a field up in a dry run. Applied as it is, it stays as well.
            body = {**body, "spec": {**body["spec"], "replicas": live["spec"]["replicas"]}}
        if key in self._asleep:
            body = {**body, "spec": {**body["spec"], "replicas": 1}}
        try:
            answer = self._apply(key, path, body, notes, dry_run=True)
        except KubernetesError as error:
            fields = self._may_replace(manifest, path, error)
            raise KubernetesError(
                f"{fields} cannot be changed once it is there", status=422, reason="Replaced"
            ) from None
        if live is not None and adopts:
            notes.append(_taken_over(key))
            kept = without_abandoned(live, answer)
            if kept != answer:
                kept["metadata"].pop("managedFields", None)
                answer = self._cluster.put(path, kept, query={"fieldManager": self._manager, "dryRun": "All"})
        return Written(answer, tuple(notes))

    def _annotated(self, manifest: Manifest, live: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the object to apply, with the digest of what is desired and what is not taken over now."""
        desired = self._desired[manifest.key]
        if self._conflicts != "own" and live is not None and needs_adoption(live, self._manager):
            desired = ownership.not_taken_over(desired)
        return ownership.annotated(manifest.body, desired)

    def _adopts(self, live: Mapping[str, Any]) -> bool:
        return self._conflicts == "own" and needs_adoption(live, self._manager)

    def _gives_up_replicas(self, key: Key, live: Mapping[str, Any]) -> bool:
        return key in self._scaled and owns_replicas(live, self._manager)

    def _woken(self, path: str, answer: dict[str, Any]) -> dict[str, Any]:
        """Give a pod to what has none, unless somebody has done so meanwhile."""
        query = {"fieldManager": self._manager}
        try:
            woken: dict[str, Any] = self._cluster.patch(path, WOKEN, content_type=JSON_PATCH, query=query)
        except KubernetesError as error:
            if error.status != 422:  # noqa: PLR2004 - the test failed
                raise
            return answer
        return woken

    def _create(self, manifest: Manifest, resource: Resource, path: str) -> Written:
        """Create an object that is left alone once it is there, whoever made it."""
        try:
            answer = self._cluster.request(
                "POST",
                resource.collection(manifest.key.namespace),
                body=manifest.body,
                query={"fieldManager": self._manager},
                accept=METADATA,
            )
        except KubernetesError as error:
            if error.reason != "AlreadyExists":
                raise
            # Somebody was quicker, or it was us and the answer was lost.
            answer = self._cluster.get(path, accept=METADATA)
            if answer["metadata"].get("deletionTimestamp"):
                raise _being_deleted(manifest.key, answer["metadata"].get("finalizers") or ()) from None
        return Written(answer)

    def _apply(
        self, key: Key, path: str, body: dict[str, Any], notes: list[str], *, dry_run: bool = False
    ) -> dict[str, Any]:
        """Apply the object, by our stance on conflicts; a dry run is answered with the whole object."""
        left: dict[str, list[str]] = {}
        while True:
            try:
                answer: dict[str, Any] = self._cluster.apply(
                    path,
                    body,
                    field_manager=self._manager,
                    force=self._conflicts == "own",
                    dry_run=dry_run,
                    accept=JSON if dry_run else METADATA,
                )
            except KubernetesError as error:
                owners = _owners(error)
                smaller = body
                for field in owners:
                    smaller = fieldpaths.without(smaller, field)
                if not owners or (self._conflicts == "yield" and smaller == body):
                    raise
                if self._conflicts == "fail":
                    raise self._conflict(key, path, body, owners) from None
                body = smaller
                desired = ownership.applied(body)
                if desired is not None:  # unless another set has applied it
                    body = ownership.annotated(body, ownership.with_some_left(desired))
                for field, owner in owners.items():
                    left.setdefault(owner, []).append(field)
            else:
                notes.extend(
                    f"{key}: {', '.join(sorted(fields))} left to {owner}" for owner, fields in left.items()
                )
                return answer

    def _conflict(
        self, key: Key, path: str, body: Mapping[str, Any], owners: Mapping[str, str]
    ) -> KubernetesError:
        """Return the error that names manager, field and both values; those of a Secret are nobody's."""
        live = self._cluster.get(path)
        told = [
            f"{owner} owns {field}"
            + (
                ""
                if key.kind == "Secret"
                else f" (there {_shown(live, field)}, wanted {_shown(body, field)})"
            )
            for field, owner in owners.items()
        ]
        return KubernetesError(
            "; ".join(told),
            status=409,
            reason=_CONFLICT,
            hint='take the fields with conflicts="own", or leave them with conflicts="yield"',
        )

    def _rewritten(
        self,
        path: str,
        live: Mapping[str, Any],
        needed: Callable[[Mapping[str, Any], str], bool],
        patch: Callable[[Mapping[str, Any], str], list[dict[str, Any]]],
    ) -> Mapping[str, Any] | None:
        """Change who owns what, whatever else happens to the object meanwhile; None if it is gone by then."""
        for _ in range(_TRIES):
            try:
                answer: dict[str, Any] = self._cluster.patch(
                    path, patch(live, self._manager), content_type=JSON_PATCH
                )
            except KubernetesError as error:
                if error.status not in {404, 409}:
                    raise
            else:
                return answer
            try:
                live = self._cluster.get(path, accept=METADATA)
            except KubernetesError as error:
                if error.status == 404:  # noqa: PLR2004 - gone: what is applied now is created
                    return None
                raise
            if not needed(live, self._manager):
                return live
        raise KubernetesError("it is changed by others all the time", status=409, reason="Conflict")

    def _may_replace(self, manifest: Manifest, path: str, error: KubernetesError) -> str:
        """Return the settled fields of an object that may be replaced; raises the error of any other."""
        causes = settled.causes(error)
        if not causes:
            raise error
        key = manifest.key
        live = functools.partial(self._cluster.get, path)
        fields = ", ".join(settled.fields(causes, manifest.body, live)) or "a field"
        replaceable = key.kind in REPLACEABLE and REPLACEABLE[key.kind][0] == key.group
        if replaceable and key.kind in self._replace:
            return fields
        place = f" -n {key.namespace}" if key.namespace else ""
        allowed = f', or allow it with replace=["{key.kind}"]' if replaceable else ""
        # Before the last colon stands the value, which may be a page long.
        why = causes[0].message.partition("\n")[0].rpartition(": ")[2]
        raise KubernetesError(
            f"{fields} cannot be changed once it is there ({why})",
            status=422,
            reason="Immutable",
            hint=f"delete it if you can do without: kubectl delete {key.kind.lower()}{place} {key.name}"
            f"{allowed}",
        ) from None

    def _replace_settled(self, key: Key, path: str) -> None:
        """Delete what has settled fields; what is raised then has it written again."""
        live = self._cluster.get(path, accept=METADATA)
        if not live["metadata"].get("deletionTimestamp"):
            _, pods = REPLACEABLE[key.kind]
            options = {"preconditions": {"uid": live["metadata"]["uid"]}, "propagationPolicy": pods}
            self._cluster.delete(path, options)
        raise _being_deleted(key, live["metadata"].get("finalizers") or ())


def _taken_over(key: Key) -> str:
    return f"{key} was kubectl's, and is taken over"


def _owners(error: KubernetesError) -> dict[str, str]:
    """Return who owns what we wanted to set, by field; nothing if the error is another."""
    return {
        cause.field: (_MANAGER.search(cause.message) or ["", "another manager"])[1]
        for cause in error.causes
        if cause.reason == _CONFLICT
    }


def _shown(body: Any, field: str) -> str:
    text = repr(fieldpaths.value(body, field))
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - what fits a line beside the rest


def _being_deleted(key: Key, finalizers: Sequence[str]) -> KubernetesError:
    """Return the error of a write that has to wait until what is there has gone."""
    held = f", and held by the finalizer {finalizers[0]}" if finalizers else ""
    return KubernetesError(f"{key} is being deleted{held}", status=409, reason="BeingDeleted")
