"""What a set remembers of itself in the cluster: of each object, whose digest of ownership was left behind.

Records are ConfigMaps in the namespace ``tideflow``. They are a memory and no truth: one that is gone,
damaged or foreign only costs an apply.
"""

from __future__ import annotations

import functools
import heapq
import json
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from tideflow.clients.kubernetes import METADATA
from tideflow.engine.faults import insisted
from tideflow.engine.manifests import Key
from tideflow.engine.ownership import field_manager
from tideflow.engine.webhooks import Webhook
from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.engine.graph import Need

NAMESPACE = "tideflow"

ONCE = "created once"
"""Stands in a record for the digest of an object that is created once and then left alone: a credential."""

_SET_LABEL = "tideflow.dev/set"
_DATA = "objects"
_FORBIDDEN = 403
_LARGEST = 700_000  # bytes of JSON in one ConfigMap; etcd takes 1.5 MB, the API server 1 MiB


@dataclass(frozen=True, slots=True)
class Record:
    """Which object it was when it was applied, by UID, and the digest of the fields that were ours then.

    Both are empty from just before an object is written for the first time until that is known to be done, so
    that a run that is killed leaves nothing behind that no record knows.
    """

    uid: str
    owned: str


def in_order(records: Mapping[Key, Record], needs: Mapping[Key, Collection[Need]]) -> dict[Key, Record]:
    """Return the records with each object after what it needs, and otherwise in the order they have.

    What an older release wrote may need what a newer one adds.
    """
    place = {key: number for number, key in enumerate(records)}
    sorter = TopologicalSorter(
        {
            key: [found for need in needs.get(key, ()) for found in _keys(need) if found in place]
            for key in records
        }
    )
    sorter.prepare()
    free: list[tuple[int, Key]] = []
    ordered = {}
    while sorter.is_active():
        for key in sorter.get_ready():
            heapq.heappush(free, (place[key], key))
        _, key = heapq.heappop(free)
        ordered[key] = records[key]
        sorter.done(key)
    return ordered


def _keys(need: Need) -> tuple[Key, ...]:
    return (need.owner, need.service.key) if isinstance(need, Webhook) else (need.key,)


def make_namespace(cluster: Kubernetes) -> None:
    """Have the namespace that records and Leases are in; who may not write one needs it there."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    path = f"/api/v1/namespaces/{NAMESPACE}"
    try:
        insisted(functools.partial(cluster.apply, path, body, field_manager="tideflow"))
    except KubernetesError as error:
        if error.status != _FORBIDDEN or not _is_there(cluster, path):
            raise


def _is_there(cluster: Kubernetes, path: str) -> bool:
    try:
        cluster.get(path, accept=METADATA)
    except KubernetesError:
        return False
    return True


class Records:
    """The records of one set, in the order in which its objects were released."""

    def __init__(self, cluster: Kubernetes, set_name: str) -> None:
        self._cluster = cluster
        self._set = set_name
        self._path = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
        self._shards: set[str] = set()
        self._read: dict[Key, Record] = {}

    def read(self) -> dict[Key, Record]:
        """Return what is remembered; what cannot be read is forgotten."""
        pages = self._cluster.pages(self._path, query={"labelSelector": f"{_SET_LABEL}={self._set}"})
        shards = {item["metadata"]["name"]: item for page in pages for item in page["items"] or ()}
        self._shards = set(shards)
        self._read = {}
        for name in sorted(shards, key=lambda name: (len(name), name)):
            self._read.update(_parsed(shards[name]))
        return dict(self._read)

    def write(self, records: Mapping[Key, Record]) -> None:
        """Remember these, and only these; nothing is written if nothing is new."""
        if list(records.items()) == list(self._read.items()):
            return
        manager = field_manager(self._set)
        written = set()
        shards = list(enumerate(_shards(records)))
        # Killed in between, lines that go from one shard to another are in both, and not in none.
        for number, text in shards if len(records) < len(self._read) else reversed(shards):
            name = f"{self._set}-{number}"
            written.add(name)
            shard = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": NAMESPACE, "labels": {_SET_LABEL: self._set}},
                "data": {_DATA: text},
            }
            self._apply(f"{self._path}/{name}", shard, manager)
        for name in self._shards - written:
            insisted(functools.partial(self._delete, f"{self._path}/{name}"))
        self._shards, self._read = written, dict(records)

    def _delete(self, path: str) -> None:
        try:
            self._cluster.delete(path)
        except KubernetesError as error:
            if error.status != 404:  # noqa: PLR2004 - gone is what was wanted
                raise

    def _apply(self, path: str, body: dict[str, Any], manager: str) -> None:
        insisted(functools.partial(self._cluster.apply, path, body, field_manager=manager))


def _parsed(shard: Mapping[str, Any]) -> Iterator[tuple[Key, Record]]:
    try:
        lines = json.loads(shard["data"][_DATA])
        yield from [
            (Key(str(group), str(kind), str(namespace), str(name)), Record(str(uid), str(owned)))
            for group, kind, namespace, name, uid, owned in lines
        ]
    except (KeyError, TypeError, ValueError):
        return


def _shards(records: Mapping[Key, Record]) -> Iterator[str]:
    lines: list[str] = []
    size = 0
    for key, record in records.items():
        line = json.dumps([key.group, key.kind, key.namespace, key.name, record.uid, record.owned])
        if lines and size + len(line) > _LARGEST:
            yield f"[{','.join(lines)}]"
            lines, size = [], 0
        lines.append(line)
        size += len(line) + 1
    yield f"[{','.join(lines)}]"
