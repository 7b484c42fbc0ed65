"""Applying a set: load → graph → snapshot → plan → release → record, on one cluster."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tideflow.engine import capacity, graph, plan, snapshot, waiting, webhooks
from tideflow.engine.graph import StatedGate, World
from tideflow.engine.plan import Plan
from tideflow.engine.records import Records
from tideflow.engine.release import Release
from tideflow.engine.yielding import SCALABLE, scale_targets, yielded
from tideflow.errors import ApplyError, ManifestError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.clients.resources import Resource, Resources
    from tideflow.engine.manifests import Key, Manifest
    from tideflow.engine.release import Outcome

__all__ = ["Application", "Plan", "StatedGate", "Summary"]

_MOST_NAMED = 12  # objects named one by one when a run fails
_BUILT_IN = ("default", "kube-node-lease", "kube-public", "kube-system")


@dataclass(frozen=True)
class Summary:
    """What a run did."""

    created: int
    changed: int
    unchanged: int
    elapsed: float

    def __str__(self) -> str:
        """Return it as one line."""
        return (
            f"{self.created} created, {self.changed} changed, {self.unchanged} unchanged "
            f"in {self.elapsed:.0f} s; all are ready"
        )


class Application:
    """One set to be applied to one cluster; ``cluster`` is None while it does not exist.

    ``create_once`` are objects that are created when they are missing and left alone afterwards. ``timeout``
    is in seconds, over everything. With ``wait`` off, nothing but gates is waited for.
    """

    def __init__(
        self,
        cluster: Kubernetes | None,
        *,
        set_name: str,
        manifests: Sequence[Manifest],
        create_once: Collection[Key] = (),
        gates: Sequence[StatedGate] = (),
        timeout: float = 1800,
        wait: bool = True,
    ) -> None:
        self._cluster = cluster
        self._set = set_name
        self._manifests = list(manifests)
        self._create_once = frozenset(create_once)
        self._gates = gates
        self._timeout = timeout
        self._wait = wait
        self._snapshot = snapshot.Snapshot()
        self._records: Records | None = None
        self._recorded: dict[Key, Any] = {}

    def plan(self) -> Plan:
        """Return what a run would do; only reads.

        Raises ``GraphError`` and ``ManifestError`` for what cannot be applied, ``KubernetesError`` when the
        server cannot be asked.
        """
        if self._cluster is None:
            self._needs(None)
            return Plan(created=tuple(manifest.key for manifest in self._manifests))
        resources = self._cluster.resources()
        definitions = _definitions(self._manifests)
        self._manifests = [_placed(manifest, resources, definitions) for manifest in self._manifests]
        wanted = {manifest.key for manifest in self._manifests}
        self._snapshot = snapshot.read(self._cluster, self._types(resources), wanted)
        scaled = scale_targets(
            [manifest.body for manifest in self._manifests if manifest.key.kind == snapshot.HPA[1]]
            + self._snapshot.of_type(*snapshot.HPA)
        )
        self._manifests = [
            dataclasses.replace(manifest, body=yielded(manifest, scaled)) for manifest in self._manifests
        ]
        self._records = Records(self._cluster, self._set)
        self._recorded = dict(self._records.read())
        found = plan.compare(
            self._manifests,
            self._snapshot,
            self._recorded,
            set_name=self._set,
            create_once=self._create_once,
        )
        unserved = tuple(
            manifest.key
            for manifest in self._manifests
            if manifest.key in found.unchanged
            and manifest.key.kind == "CustomResourceDefinition"
            and not resources.of_kind(manifest.body["spec"]["group"], manifest.body["spec"]["names"]["kind"])
        )
        return dataclasses.replace(found, waiting=found.waiting + unserved)

    def run(self, found: Plan, *, progress: Callable[[str], None]) -> Summary:
        """Write what the plan says, wait until everything is ready, and record it.

        ``progress`` is told now and then, in one line, what is waited for. Raises ``ApplyError``, which tells
        what failed, what was skipped because of it, and what is not ready and why.
        """
        if self._cluster is None or self._records is None:
            raise ApplyError("there is no cluster to apply to", hint="plan again once it is there")
        manifests = {manifest.key: manifest for manifest in self._manifests}
        release = Release(
            self._cluster,
            manifests,
            self._needs(self._cluster.resources()),
            found,
            self._snapshot,
            set_name=self._set,
            create_once=self._create_once,
            timeout=self._timeout,
            wait=self._wait,
            progress=progress,
        )
        outcome = release.run()
        proven = {key: record for key, record in self._recorded.items() if key not in outcome.written}
        self._records.write(proven | outcome.written)
        if outcome.failed or outcome.skipped or outcome.not_ready or outcome.held:
            raise ApplyError("\n".join((*_told(outcome), *self._room(release, outcome))))
        return Summary(
            outcome.created, outcome.changed, len(found.unchanged) + len(found.kept), outcome.elapsed
        )

    def _types(self, resources: Resources) -> Iterator[Resource]:
        """Yield the types to read: those of the set that are served, and those that decide about others."""
        names = {(found.key.group, found.version, found.key.kind) for found in self._manifests}
        if any(found.key.kind in SCALABLE for found in self._manifests):
            names.add((snapshot.HPA[0], "v2", snapshot.HPA[1]))
        if any(found.key.namespace for found in self._manifests):
            names.add(("", "v1", snapshot.NAMESPACE[1]))
        for group, version, kind in sorted(names):
            resource = resources.find(group, version, kind)
            if resource is not None:
                yield resource

    def _needs(self, resources: Resources | None) -> dict[Key, frozenset[graph.Need]]:
        """Return the graph; webhooks that are live are read only for it, so a run without writes does not."""
        live = []
        if self._cluster is not None and resources is not None:
            for kind in webhooks.CONFIGURATIONS:
                resource = resources.of_kind(webhooks.GROUP, kind)
                for page in self._cluster.pages(resource.collection()) if resource else ():
                    live.extend([{**body, "kind": kind} for body in page["items"] or ()])
        namespaces = {
            found["metadata"]["name"]: found["metadata"].get("labels") or {}
            for found in self._snapshot.of_type(*snapshot.NAMESPACE)
        }
        world = World(
            namespaces=namespaces or {name: {} for name in _BUILT_IN},
            configurations=live,
            plurals={
                (found.group, found.kind): (found.plural, found.namespaced) for found in resources or ()
            },
        )
        return graph.needs(self._manifests, world, self._gates)

    def _room(self, release: Release, outcome: Outcome) -> Iterator[str]:
        """Yield how many nodes would hold what has no place, if that is what is missing."""
        if self._cluster is None or not any(map(waiting.is_unschedulable, release.pods)):
            return
        nodes = self._cluster.get("/api/v1/nodes")["items"]
        unwritten = [
            (str(manifest.key), *found)
            for manifest in self._manifests
            if manifest.key in outcome.held and (found := capacity.replicas(manifest.body))
        ]
        packing = capacity.pack(nodes, release.pods, unwritten)
        if packing is None:
            return
        size = (nodes[0]["metadata"].get("labels") or {}).get("node.kubernetes.io/instance-type", "this size")
        there = f"There are {len(nodes)} nodes of {size}"
        for name, room in packing.misfits.items():
            yield f"{name} asks for {room}; an empty node of {size} has {packing.empty}: take larger nodes"
        if packing.nodes > len(nodes):
            # What an injector would add to pods that are not written yet is not known.
            number = f"at least {packing.nodes}" if unwritten else str(packing.nodes)
            what = "the rest" if packing.misfits else "everything"
            yield f"{there}; {number} would hold {what}: set node_count"
        elif not packing.misfits:
            yield f"{there}, which would hold everything if pods were placed better"


def _definitions(manifests: Sequence[Manifest]) -> dict[tuple[str, str], bool]:
    """Return, for each type that the set defines, whether it is namespaced."""
    return {
        (spec["group"], spec["names"]["kind"]): spec.get("scope") == "Namespaced"
        for manifest in manifests
        if manifest.key.kind == "CustomResourceDefinition" and (spec := manifest.body["spec"])
    }


def _placed(manifest: Manifest, resources: Resources, definitions: dict[tuple[str, str], bool]) -> Manifest:
    """Return the manifest in the namespace it belongs to; raises ``ManifestError`` for an unknown type."""
    key = manifest.key
    resource = resources.find(key.group, manifest.version, key.kind)
    namespaced = resource.namespaced if resource else definitions.get((key.group, key.kind))
    if namespaced is None:
        raise ManifestError(
            f"{key} is of a type that nobody defines: {manifest.body['apiVersion']} {key.kind}",
            hint=f"add its CustomResourceDefinition, or correct {manifest.origin}",
        )
    if namespaced and not key.namespace:
        return manifest.in_namespace("default")
    if not namespaced and key.namespace:
        return manifest.in_namespace("")  # the server ignores it, and so does kubectl
    return manifest


def _told(outcome: Outcome) -> Iterator[str]:
    """Yield lines: first what failed, then what that stopped, then what is not ready."""
    for key, why in list(outcome.failed.items())[:_MOST_NAMED]:
        yield f"{key} failed: {why}"
    for key, cause in list(outcome.skipped.items())[:_MOST_NAMED]:
        yield f"{key} was not written, since it needs {cause}"
    for key, why in list(outcome.not_ready.items())[:_MOST_NAMED]:
        yield f"{key} is not ready after {outcome.elapsed:.0f} s: {why}"
    by_reason = sorted(outcome.held, key=outcome.held.__getitem__)
    for reason, held in itertools.groupby(by_reason, outcome.held.__getitem__):
        first, *others = held
        more = f", and {len(others)} more for the same reason" if others else ""
        yield f"{first} could not be written: it {reason}{more}"
    for verb, keys in (
        ("failed", outcome.failed),
        ("were not written", outcome.skipped),
        ("are not ready", outcome.not_ready),
    ):
        if len(keys) > _MOST_NAMED:
            yield f"… and {len(keys) - _MOST_NAMED} more {verb}"
    yield "Everything else is applied. Run this step again once that is mended"
