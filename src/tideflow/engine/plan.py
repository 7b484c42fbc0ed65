"""What would be written: the snapshot compared with what is desired, object by object, by proof."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tideflow.engine import readiness
from tideflow.engine.ownership import digest, field_manager, is_applied, owned
from tideflow.engine.snapshot import NAMESPACE, is_whole

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from tideflow.engine.manifests import Key, Manifest
    from tideflow.engine.records import Record
    from tideflow.engine.snapshot import Snapshot
    from tideflow.engine.writing import Conflicts


@dataclass(frozen=True)
class Plan:
    """What a run would do with each object.

    ``kept`` are credentials that are there and left alone; ``waiting`` are unchanged ones, not yet ready. Of
    what the set no longer has, ``pruned`` are deleted, in that order; ``left`` and ``forgotten`` are not, and
    why; ``gone`` are so already. The replicas of those that are ``scaled`` are an autoscaler's, which does
    nothing for those ``asleep``.
    """

    created: tuple[Key, ...] = ()
    changed: tuple[Key, ...] = ()
    unchanged: tuple[Key, ...] = ()
    kept: tuple[Key, ...] = ()
    waiting: tuple[Key, ...] = ()
    pruned: tuple[Key, ...] = ()
    left: Mapping[Key, str] = field(default_factory=dict)
    forgotten: Mapping[Key, str] = field(default_factory=dict)
    gone: tuple[Key, ...] = ()
    desired: Mapping[Key, str] = field(default_factory=dict, repr=False)
    scaled: frozenset[Key] = frozenset()
    asleep: frozenset[Key] = frozenset()

    @property
    def writes(self) -> bool:
        """Whether anything would be written, deleted, or given up."""
        return bool(self.created or self.changed or self.pruned or self.forgotten)


def compare(
    manifests: Sequence[Manifest],
    snapshot: Snapshot,
    records: Mapping[Key, Record],
    *,
    set_name: str,
    create_once: Collection[Key],
    asleep: Collection[Key] = (),
    conflicts: Conflicts = "own",
) -> Plan:
    """Return what has to be written so that everything is as the manifests say.

    Those ``asleep`` have 0 replicas, from which no autoscaler scales them up.

    What was left to other owners, kubectl above all, is as it should be only while ``conflicts`` leaves it.
    """
    manager = field_manager(set_name)
    created: list[Key] = []
    changed: list[Key] = []
    unchanged: list[Key] = []
    kept: list[Key] = []
    waiting: list[Key] = []
    desired = {}
    going = {
        namespace["metadata"]["name"]
        for namespace in snapshot.of_type(*NAMESPACE)
        if "deletionTimestamp" in namespace["metadata"]
    }
    for manifest in manifests:
        key = manifest.key
        live = snapshot.objects.get(key)
        if live is not None and (key.namespace in going or "deletionTimestamp" in live["metadata"]):
            live = None  # it will have gone when its turn comes
        if key in create_once:
            (created if live is None else kept).append(key)
            continue
        wanted = desired[key] = digest(manifest.body)
        if live is None:
            created.append(key)
            continue
        record = records.get(key)
        proven = (
            record is not None
            and record.uid == live["metadata"]["uid"]
            and record.owned == owned(live, manager)
            and is_applied(live, wanted, conflicts)
            and key not in asleep
        )
        if not proven:
            changed.append(key)
            continue
        unchanged.append(key)
        if is_whole(key.group, key.kind) and not readiness.status(key.group, key.kind, live).ready:
            waiting.append(key)
    return Plan(
        created=tuple(created),
        changed=tuple(changed),
        unchanged=tuple(unchanged),
        kept=tuple(kept),
        waiting=tuple(waiting),
        desired=desired,
    )
