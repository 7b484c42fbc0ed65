"""What each object of a set needs before it can be written, found in the structure of the objects.

There are no stages: an object is written as soon as its own needs are met. Some needs are orderings, such as
a ServiceAccount before the workload that names it. Others are gates, which want something ready: a definition
before its custom resources, a webhook before the objects it is called for, an injector before the pods it
changes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tideflow.engine import pods, webhooks
from tideflow.engine.manifests import DEFINITION, Key
from tideflow.engine.webhooks import Target, Webhook
from tideflow.errors import GraphError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tideflow.engine.manifests import Manifest

RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Written:
    """The object has been written."""

    key: Key

    def __str__(self) -> str:
        """Return it as it is waited for."""
        return str(self.key)


@dataclass(frozen=True, slots=True)
class Ready:
    """The object is ready; a definition is, once what it defines is served."""

    key: Key

    def __str__(self) -> str:
        """Return it as it is waited for."""
        return str(self.key)


Need = Written | Ready | Webhook


@dataclass(frozen=True)
class StatedGate:
    """A dependency that no structure shows: pods that ``injected_by`` changes start only ``after`` is ready.

    ``injected_by`` is the name of a MutatingWebhookConfiguration, ``reason`` is for who reads the pins.
    """

    injected_by: str
    after: Key
    reason: str


@dataclass(frozen=True)
class World:
    """What is in the cluster already, as far as the graph needs it.

    ``namespaces`` are labels by name, None if it is not known which there will be. ``configurations`` are the
    live webhook configurations; ``plurals``, by group and kind, the types' plurals and whether they are
    namespaced.
    """

    namespaces: Mapping[str, Mapping[str, str]] | None
    configurations: Sequence[Mapping[str, Any]]
    plurals: Mapping[tuple[str, str], tuple[str, bool]]


def needs(
    manifests: Sequence[Manifest], world: World, gates: Iterable[StatedGate] = ()
) -> dict[Key, frozenset[Need]]:
    """Return what each object needs before it is written, in the order in which they are best written.

    That order begins with what most others wait for to be ready: its pods take their time.

    Raises ``GraphError`` for an object in a namespace that nobody makes, and for a circle of needs.
    """
    return _Builder(manifests, world).build(tuple(gates))


class _Builder:
    def __init__(self, manifests: Sequence[Manifest], world: World) -> None:
        self._manifests = {manifest.key: manifest for manifest in manifests}
        self._world = world
        self._labels = dict(world.namespaces or {})
        self._plurals = dict(world.plurals)
        self._definitions: dict[tuple[str, str], Manifest] = {}
        self._bindings: dict[Key, set[Key]] = defaultdict(set)
        self._behind: dict[Key, list[Key]] = {}
        for manifest in manifests:
            self._index(manifest)

    def _index(self, manifest: Manifest) -> None:
        key, body = manifest.key, manifest.body
        if key.kind == "Namespace" and not key.group:
            labels = body["metadata"].get("labels") or {}
            self._labels[key.name] = {**self._labels.get(key.name, {}), **labels, _NAME_LABEL: key.name}
        elif key.type == DEFINITION:
            spec = body["spec"]
            kind = (spec["group"], spec["names"]["kind"])
            self._definitions[kind] = manifest
            self._plurals[kind] = (spec["names"]["plural"], spec.get("scope") == "Namespaced")
        elif key.kind in {"RoleBinding", "ClusterRoleBinding"} and key.group == RBAC:
            for subject in body.get("subjects") or ():
                if subject.get("kind") == "ServiceAccount":
                    account = Key(
                        "", "ServiceAccount", subject.get("namespace") or key.namespace, subject["name"]
                    )
                    self._bindings[account].add(key)

    def build(self, gates: Sequence[StatedGate]) -> dict[Key, frozenset[Need]]:
        found = {key: set(self._structural(manifest)) for key, manifest in self._manifests.items()}
        called = list(self._webhooks())
        before = {webhook: self._backing(webhook, found) for webhook, _ in called}
        for key, manifest in self._manifests.items():
            targets = list(self._targets(manifest))
            for webhook, definition in called:
                # What serves a webhook, and all that needs, cannot wait for it.
                if key not in before[webhook] and any(webhooks.matches(definition, at) for at in targets):
                    found[key].add(webhook)
                    found[key].update(
                        Ready(gate.after)
                        for gate in gates
                        if gate.injected_by == webhook.owner.name
                        and gate.after in self._manifests
                        and gate.after != key
                    )
        result = {key: frozenset(found[key]) for key in self._most_wanted_first(found)}
        self._refuse_cycles(result)
        return result

    def _most_wanted_first(self, found: Mapping[Key, Iterable[Need]]) -> list[Key]:
        gates = Counter(need for wanted in found.values() for need in wanted if not isinstance(need, Written))
        waiting: dict[Key, int] = {}
        for gate, number in gates.most_common():
            for key in self._backing(gate, found):
                waiting.setdefault(key, number)
        return sorted(found, key=lambda key: -waiting.get(key, 0))

    def _structural(self, manifest: Manifest) -> Iterator[Need]:
        """Yield what follows from where the object is and what it is."""
        key = manifest.key
        if key.namespace:
            namespace = Key("", "Namespace", "", key.namespace)
            if namespace in self._manifests:
                yield Written(namespace)
            elif self._world.namespaces is not None and key.namespace not in self._labels:
                raise GraphError(
                    f"{key} is in the namespace {key.namespace}, which is not there and which nobody makes",
                    hint=f"add the Namespace, or correct {manifest.origin}",
                )
        definition = self._definitions.get((key.group, key.kind))
        if definition is not None:
            yield Ready(definition.key)
            conversion = webhooks.of_definition(definition.body, manifest.version)
            if conversion is not None:
                yield conversion
        if manifest.api_service in self._manifests:
            yield Ready(manifest.api_service)
        yield from self._names(manifest)

    def _names(self, manifest: Manifest) -> Iterator[Need]:
        """Yield what the object names, and what has to be there to be of any use to it."""
        key, body = manifest.key, manifest.body
        if key.kind in {"RoleBinding", "ClusterRoleBinding"} and key.group == RBAC:
            role = body["roleRef"]
            yield from self._ordering(
                Key(RBAC, role["kind"], key.namespace if role["kind"] == "Role" else "", role["name"])
            )
        pod = pods.template(body)
        if pod is not None:
            for named in pods.named(pod, key.namespace):
                yield from self._ordering(named)
                for binding in self._bindings.get(named, ()):
                    yield from self._ordering(binding)

    def _ordering(self, key: Key) -> Iterator[Need]:
        if key in self._manifests:
            yield Written(key)

    def _webhooks(self) -> Iterator[tuple[Webhook, Mapping[str, Any]]]:
        """Yield the webhooks of the set, and those that are live and not of the set."""
        for key, manifest in self._manifests.items():
            if key.type in webhooks.TYPES:
                yield from webhooks.of_configuration(manifest.body)
        for live in self._world.configurations:
            found = list(webhooks.of_configuration(live))
            if found and found[0][0].owner in self._manifests:
                # Ours, but its rules may be filled in by a controller: then the live ones count.
                shipped = {
                    webhook.name
                    for webhook, definition in webhooks.of_configuration(
                        self._manifests[found[0][0].owner].body
                    )
                    if definition.get("rules")
                }
                found = [(webhook, body) for webhook, body in found if webhook.name not in shipped]
            yield from found

    def _targets(self, manifest: Manifest) -> Iterator[Target]:
        """Yield the object as webhooks see it, and the pods that are made from it."""
        key, metadata = manifest.key, manifest.body["metadata"]
        plural, namespaced = self._plurals.get((key.group, key.kind), ("", bool(key.namespace)))
        labels = metadata.get("labels") or {}
        inside: Mapping[str, str] | None = self._labels.get(key.namespace, {}) if namespaced else None
        if key.kind == "Namespace" and not key.group:
            inside = self._labels[key.name]
        yield Target(key.group, plural, namespaced, labels, inside)
        pod = pods.template(manifest.body)
        if pod is not None and key.kind != "Pod":
            of_pod = (pod.get("metadata") or {}).get("labels") or {}
            yield Target("", "pods", namespaced=True, labels=of_pod, namespace_labels=inside)

    def _backing(self, gate: Need, found: Mapping[Key, Iterable[Need]]) -> set[Key]:
        """Return what opens a gate (a webhook: its configuration, Service, workloads), and all it needs."""
        todo = list(self._objects([gate]))
        seen: set[Key] = set()
        while todo:
            key = todo.pop()
            if key not in seen:
                seen.add(key)
                todo.extend(need.key for need in found.get(key, ()) if not isinstance(need, Webhook))
        return seen

    def _workloads(self, service: Key) -> list[Key]:
        """Return the workloads of the set behind a Service; many objects ask for those of the same few."""
        if service not in self._behind:
            self._behind[service] = list(pods.behind(service, self._manifests))
        return self._behind[service]

    def _refuse_cycles(self, found: Mapping[Key, Iterable[Need]]) -> None:
        """Raise ``GraphError`` if some objects can never be written, since they wait for each other."""
        waits = {key: set(self._objects(wanted)) & self._manifests.keys() for key, wanted in found.items()}
        free = [key for key, wanted in waits.items() if not wanted]
        blocks: dict[Key, set[Key]] = defaultdict(set)
        for key, wanted in waits.items():
            for other in wanted:
                blocks[other].add(key)
        while free:
            key = free.pop()
            for other in blocks.pop(key, ()):
                waits[other].discard(key)
                if not waits[other]:
                    free.append(other)
        circle = _circle({key: wanted for key, wanted in waits.items() if wanted})
        if circle:
            raise GraphError(
                "these objects wait for each other: " + " → ".join(map(str, [*circle, circle[0]])),
                hint="one of them has to do without: change a selector, or set its failurePolicy to Ignore",
            )

    def _objects(self, wanted: Iterable[Need]) -> Iterator[Key]:
        for need in wanted:
            if isinstance(need, Webhook):
                yield need.owner
                yield need.service.key
                yield from self._workloads(need.service.key)
            else:
                yield need.key


def _circle(waits: Mapping[Key, set[Key]]) -> list[Key]:
    """Return one circle among objects each of which waits for another of them."""
    if not waits:
        return []
    path: list[Key] = []
    key = min(waits)
    while key not in path:
        path.append(key)
        key = min(waits[key] & waits.keys())
    return path[path.index(key) :]


_NAME_LABEL = "kubernetes.io/metadata.name"
