"""Applying a set: load → graph → snapshot → plan → release → record, on one cluster."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tideflow.clients.guarding import Guarded
from tideflow.engine import (
    comparing,
    diff,
    graph,
    placing,
    plan,
    prune,
    pruning,
    records,
    report,
    snapshot,
    webhooks,
)
from tideflow.engine.comparing import Difference
from tideflow.engine.graph import StatedGate, World
from tideflow.engine.lease import Lease
from tideflow.engine.manifests import DEFINITION, Key
from tideflow.engine.others import Others
from tideflow.engine.outcome import Options
from tideflow.engine.ownership import field_manager, is_owner
from tideflow.engine.plan import Plan
from tideflow.engine.pruning import Pruning
from tideflow.engine.records import ONCE, Record, Records
from tideflow.engine.release import Release
from tideflow.engine.webhooks import Webhook
from tideflow.engine.writing import Writing
from tideflow.engine.yielding import SCALABLE, may_rest, scale_targets, stands_still, yielded
from tideflow.errors import ApplyError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.clients.resources import Resource, Resources
    from tideflow.engine.manifests import Manifest

__all__ = ["Application", "Difference", "Options", "Others", "Plan", "StatedGate", "Summary"]


@dataclass(frozen=True)
class Summary:
    """What a run did, in how many seconds, and what a person should know of it.

    ``waited`` tells whether it did so until all was ready.
    """

    created: int
    changed: int
    unchanged: int
    pruned: int
    elapsed: float
    notes: tuple[str, ...] = ()
    waited: bool = True

    def __str__(self) -> str:
        """Return it as one line."""
        return (
            f"{self.created} created, {self.changed} changed, {self.unchanged} unchanged, "
            f"{self.pruned} pruned in {self.elapsed:.0f} s"
            f"{'; all are ready' if self.waited else ', not waited for'}"
        )


class Application:
    """One set to be applied to one cluster; ``cluster`` is None while it does not exist."""

    def __init__(
        self,
        cluster: Kubernetes | None,
        *,
        set_name: str,
        manifests: Sequence[Manifest],
        gates: Sequence[StatedGate] = (),
        options: Options = Options(),  # noqa: B008 - it cannot be changed
    ) -> None:
        self._cluster = cluster
        self._set = set_name
        self._given = tuple(manifests)
        self._manifests = list(manifests)
        self._gates = gates
        self._others = Others()
        self._options = options
        self._snapshot = snapshot.Snapshot()
        self._recorded: dict[Key, Record] = {}
        self._needs: dict[Key, frozenset[graph.Need]] = {}

    def check(self, *, namespaces: Collection[str]) -> None:
        """Raise ``GraphError`` or ``ManifestError`` for what a new cluster could not take.

        ``namespaces`` are those that it will have; nothing is asked of any cluster.
        """
        placing.refuse_undefined(self._manifests)
        world = World({name: {} for name in namespaces}, (), {})
        graph.needs(self._manifests, world, self._gates)

    def plan(self, others: Others = Others()) -> Plan:  # noqa: B008 - it cannot be changed
        """Return what a run would do; only reads.

        What the ``others`` make is there by then. Raises ``GraphError`` and ``ManifestError`` for what cannot
        be applied, ``KubernetesError`` when the server cannot be asked.
        """
        self._others = others
        if self._cluster is None:
            placing.refuse_undefined(self._manifests, others.manifests)
            graph.needs(self._manifests, World(None, (), {}), self._gates)
            return Plan(created=tuple(manifest.key for manifest in self._manifests))
        resources = self._cluster.resources()
        self._manifests = placing.placed(self._given, resources, others.manifests)
        if self._options.conflicts == "own":
            others.refuse_differing(self._set, self._manifests)
        wanted = {manifest.key for manifest in self._manifests}
        self._recorded = Records(self._cluster, self._set).read()
        removed = {key: record for key, record in self._recorded.items() if key not in wanted}
        self._snapshot = snapshot.read(
            self._cluster, self._types(resources, removed), wanted | removed.keys()
        )
        autoscalers = [
            *(manifest.body for manifest in self._manifests if manifest.key.type == snapshot.HPA),
            *self._snapshot.of_type(*snapshot.HPA),
        ]
        scaled = scale_targets(autoscalers)
        meant = {manifest.key for manifest in self._manifests if stands_still(manifest.body)}
        asleep = self._asleep(scaled - may_rest(autoscalers) - meant)
        self._manifests = [
            manifest  # created whole, once, and never compared
            if manifest.key in self._options.create_once
            else dataclasses.replace(manifest, body=yielded(manifest, scaled))
            for manifest in self._manifests
        ]
        found = plan.compare(
            self._manifests,
            self._snapshot,
            self._recorded,
            set_name=self._set,
            create_once=self._options.create_once,
            asleep=asleep,
            conflicts=self._options.conflicts,
        )
        unserved = tuple(
            manifest.key
            for manifest in self._manifests
            if manifest.key.type == DEFINITION
            and manifest.key in found.unchanged
            and not resources.of_kind(manifest.body["spec"]["group"], manifest.body["spec"]["names"]["kind"])
        )
        if removed:
            fates = prune.fates(
                self._cluster,
                removed,
                self._snapshot.objects,
                wanted,
                prune=self._options.prune,
                set_name=self._set,
                elsewhere=self._options.elsewhere(),
            )
            found = dataclasses.replace(found, **vars(fates))
        if found.writes:
            self._needs = self._graph(resources)
        return dataclasses.replace(
            found, waiting=found.waiting + unserved, scaled=frozenset(scaled), asleep=asleep
        )

    def _asleep(self, scaled: Collection[Key]) -> frozenset[Key]:
        """Return which of these have no pods by their number; who set it is only overruled with ``own``."""
        if self._options.conflicts != "own":
            return frozenset()
        live = self._snapshot.objects
        return frozenset(key for key in scaled if key in live and stands_still(live[key]))

    def differences(
        self, found: Plan, *, created: bool, progress: Callable[[str], None]
    ) -> dict[Key, Difference]:
        """Return what the plan's writes would change in each object; only asks for dry runs.

        With ``created``, also what the server holds against objects that are not there yet; it can be asked
        about those whose type and namespace are. Of credentials there is nothing to tell. ``progress`` is
        told now and then, in one line, how far it is. Raises ``KubernetesError`` when the server cannot be
        asked.
        """
        manifests = {manifest.key: manifest for manifest in self._manifests}
        new = [manifests[key] for key in found.created if key not in self._options.create_once]
        differences = {key: Difference() for key in found.created}
        differences |= {manifest.key: Difference(diff.additions(manifest.body)) for manifest in new}
        if self._cluster is not None:
            writing = Writing(self._cluster, found, self._snapshot, set_name=self._set, options=self._options)
            asked = [manifests[key] for key in found.changed]
            if created:
                asked += [manifest for manifest in new if self._has_place(self._cluster, manifest)]
            differences |= comparing.compared(
                self._cluster,
                writing,
                asked,
                new=frozenset(found.created),
                first=self._first(asked, found),
                progress=progress,
            )
        return differences

    def _first(self, asked: Iterable[Manifest], found: Plan) -> dict[Key, str]:
        """Return what is to be written before objects that need it, or may; nothing if there is none."""
        writes = {*found.created, *found.changed}
        others = ", ".join(self._others.writing)
        unless = f"what {others} has to write is" if others else ""

        def needed(key: Key) -> Iterator[str]:
            for need in self._needs.get(key, ()):
                if not isinstance(need, Webhook) and need.key in writes:
                    yield f"{need.key} is"

        return {manifest.key: next(needed(manifest.key), unless) for manifest in asked}

    def _has_place(self, cluster: Kubernetes, manifest: Manifest) -> bool:
        """Tell whether an object could be made now: its type is served, and its namespace there to stay."""
        key = manifest.key
        place = self._snapshot.objects.get(Key(*snapshot.NAMESPACE, "", key.namespace))
        there = place is not None and "deletionTimestamp" not in place["metadata"]
        served = cluster.resources().find(key.group, manifest.version, key.kind) is not None
        return served and (there or not key.namespace) and key not in self._snapshot.objects

    def run(
        self,
        found: Plan,
        *,
        progress: Callable[[str], None],
        before: Callable[[Plan], None] = lambda _: None,
    ) -> Summary:
        """Write what the plan says, wait until everything is ready, record it, and prune.

        ``progress`` is told now and then, in one line, what is waited for. ``before`` is called with the plan
        that is carried out just before that: another one than was given, if another run has changed something
        since. Raises ``ApplyError``, which tells what failed, what was skipped because of it, and what is not
        ready and why.
        """
        if self._cluster is None:
            raise ApplyError("there is no cluster to apply to", hint="plan again once it is there")
        if not found.writes:
            return self._carry_out(self._cluster, found, Records(self._cluster, self._set), progress)
        if not self._recorded:
            records.make_namespace(self._cluster)
        with Lease(self._cluster, self._set, self._options, progress=progress) as lease:
            cluster = Guarded(self._cluster, lease.check)
            remembered = Records(cluster, self._set)
            if remembered.read() != self._recorded or lease.waited:
                found = self.plan(self._others)
            before(found)

            def told(text: str) -> None:
                lease.refuse_lost()
                progress(text)

            try:
                return self._carry_out(cluster, found, remembered, told)
            except ApplyError:
                lease.refuse_lost()  # the one reason for all that failed
                raise

    def _carry_out(
        self, cluster: Kubernetes, found: Plan, remembered: Records, progress: Callable[[str], None]
    ) -> Summary:
        """Release, record and prune; whatever a killed run may have left in the cluster is in the records."""
        started = time.monotonic()
        manifests = {manifest.key: manifest for manifest in self._manifests}
        others = [
            key
            for key in found.changed
            if key not in self._recorded or self._recorded[key].uid != self._uid(key)
        ]
        known = self._recorded | dict.fromkeys([*found.created, *others], Record("", ""))
        if found.writes:
            remembered.write(records.in_order(known, self._needs))
        release = Release(
            cluster,
            manifests,
            self._needs,
            found,
            self._snapshot,
            set_name=self._set,
            options=self._options,
            progress=progress,
        )
        outcome = release.run()
        if found.writes:
            known = known | outcome.written | self._credentials(found)
            # What was known before keeps its place; what is new follows in the order of this release.
            places = dict.fromkeys([*self._recorded, *outcome.written, *known])
            known = records.in_order({key: known[key] for key in places}, self._needs)
            remembered.write(known)
        if outcome.stopped or outcome.failed or outcome.skipped or outcome.not_ready or outcome.held:
            waits = [f"{len(found.pruned)} objects are deleted only after that"] if found.pruned else []
            raise ApplyError("\n".join([*report.told(cluster, manifests, release, outcome), *waits]))
        deleted = pruning.Outcome()
        if found.pruned or found.forgotten or (found.gone and found.writes):
            left = self._options.timeout - (time.monotonic() - started)
            deleting = Pruning(
                cluster, self._set, known, timeout=left, stopped=self._options.stopped, progress=progress
            )
            deleted = deleting.run(found, self._snapshot.objects)
            finished = {*found.gone, *deleted.gone, *deleted.forgotten}
            remembered.write({key: record for key, record in known.items() if key not in finished})
            if deleted.failed or deleted.put_off:
                raise ApplyError("\n".join(deleted.told()))
        return Summary(
            created=outcome.created,
            changed=outcome.changed,
            pruned=len(deleted.gone),
            unchanged=len(found.unchanged) + len(found.kept),
            elapsed=time.monotonic() - started,
            notes=(*outcome.notes, *deleted.done(found)),
            waited=self._options.wait,
        )

    def _uid(self, key: Key) -> str | None:
        live = self._snapshot.objects.get(key)
        return live["metadata"]["uid"] if live else None

    def _credentials(self, found: Plan) -> dict[Key, Record]:
        """Return records of the credentials that are there and that this set made."""
        manager = field_manager(self._set)
        there = {key: self._snapshot.objects[key] for key in found.kept}
        return {
            key: Record(live["metadata"]["uid"], ONCE)
            for key, live in there.items()
            if is_owner(live, manager)
        }

    def _types(self, resources: Resources, removed: Collection[Key]) -> Iterator[Resource]:
        """Yield the types to read: those of the set that are served, and those that decide about others."""
        for key in removed:
            found = resources.of_kind(key.group, key.kind)
            if found is not None:
                yield found  # where the set has the type in another version, that one follows, and is read
        names = {(found.key.group, found.version, found.key.kind) for found in self._manifests}
        if any(found.key.kind in SCALABLE for found in self._manifests):
            names.add((snapshot.HPA[0], "v2", snapshot.HPA[1]))
        if any(found.key.namespace for found in self._manifests):
            names.add(("", "v1", snapshot.NAMESPACE[1]))
        for group, version, kind in sorted(names):
            resource = resources.find(group, version, kind)
            if resource is not None:
                yield resource

    def _graph(self, resources: Resources) -> dict[Key, frozenset[graph.Need]]:
        """Return the graph; live webhooks are read only for it, so a run without writes does not."""
        live: list[dict[str, Any]] = []
        for kind in webhooks.CONFIGURATIONS:
            if (webhooks.GROUP, kind) in self._snapshot.versions:
                live.extend(self._snapshot.of_type(webhooks.GROUP, kind))
                continue
            resource = resources.of_kind(webhooks.GROUP, kind)
            for page in self._cluster.pages(resource.collection()) if resource and self._cluster else ():
                live.extend({**body, "kind": kind} for body in page["items"] or ())
        there = self._snapshot.of_type(*snapshot.NAMESPACE)
        to_come = [
            found.body
            for found in self._others.manifests
            if (found.key.group, found.key.kind) == snapshot.NAMESPACE
        ]
        namespaces = {
            found["metadata"]["name"]: found["metadata"].get("labels") or {} for found in [*to_come, *there]
        }
        world = World(
            namespaces=None if self._others.more else namespaces,
            configurations=live,
            plurals={(found.group, found.kind): (found.plural, found.namespaced) for found in resources},
        )
        return graph.needs(self._manifests, world, self._gates)
