"""What is pruned: what a set once applied and no longer has, and in which order it goes.

Only what is still the set's own goes: the object that was recorded, by UID, with fields that the set's
manager still owns. What carries users' data goes only if that is asked for by name, and stays recorded until
then.

The order is the reverse of that of release, in ranks: custom resources first, while the controllers that
clean up after them still run; then definitions; then what makes the API server call something of the set,
before that something stops; Namespaces last. Each rank is gone before the next one goes.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tideflow.clients.kubernetes import METADATA_LIST
from tideflow.engine import readiness, webhooks
from tideflow.engine.adoption import needs_adoption
from tideflow.engine.manifests import Key
from tideflow.engine.ownership import awaits_takeover, field_manager, is_owner, other_set
from tideflow.engine.records import ONCE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.clients.resources import Resources
    from tideflow.engine.plan import Plan
    from tideflow.engine.records import Record

Prune = Literal["off", "objects", "everything"]
"""What to delete of what a set no longer has: nothing, what carries no data of users, or all of it."""

_DEFINITION = ("apiextensions.k8s.io", "CustomResourceDefinition")
_NAMESPACE = ("", "Namespace")
_DATA = {
    _DEFINITION: "every object of the type it defines",
    _NAMESPACE: "all that is in it",
    ("", "PersistentVolume"): "the data on it",
    ("", "PersistentVolumeClaim"): "the data on its volume",
    ("kubeflow.org", "Profile"): "its user's namespace with all that is in it",
    ("snapshot.storage.k8s.io", "VolumeSnapshot"): "the data in it",
    ("snapshot.storage.k8s.io", "VolumeSnapshotContent"): "the data in it",
}
_REGISTRATIONS = {webhooks.GROUP, "apiregistration.k8s.io"}
_KUBECTLS = "it was kubectl's before, and is left to it"
RANKS = 5
"""How many ranks there are."""

NAMED = 12
"""Objects that are named one by one."""


@dataclass(frozen=True)
class Removed:
    """What is ``pruned``, in that order, of what a set no longer has, and why the rest is not.

    ``gone`` is what somebody else deleted: the record is rid of it when it is written next.
    """

    pruned: tuple[Key, ...] = ()
    left: Mapping[Key, str] = field(default_factory=dict)
    forgotten: Mapping[Key, str] = field(default_factory=dict)
    gone: tuple[Key, ...] = ()


def fates(
    cluster: Kubernetes,
    removed: Mapping[Key, Record],
    live: Mapping[Key, Mapping[str, Any]],
    wanted: Collection[Key],
    *,
    prune: Prune,
    set_name: str,
    elsewhere: Mapping[str, Collection[Key]],
) -> Removed:
    """Return what becomes of the ``removed`` objects of a set that has the ``wanted`` ones; only reads.

    ``elsewhere`` is what other sets are about to have, by their names: that moves, and must not be deleted.
    Raises ``KubernetesError`` when the server cannot be asked who owns volumes.
    """
    resources = cluster.resources()
    keep = {
        key: "its API does not answer"
        for key in removed
        if key.group in resources.away and not resources.of_kind(key.group, key.kind)
    }
    keep |= _needed(wanted, resources, "the set")
    for other, keys in elsewhere.items():
        keep |= _needed(keys, resources, f"the set {other}")
        for key, record in removed.items():
            if key in live and not foreign(live[key], record, set_name) and is_among(key, keys):
                keep[key] = f"the set {other} has it now"
    owners: set[str] = set()
    if prune == "objects":
        for page in cluster.pages("/api/v1/persistentvolumeclaims", accept=METADATA_LIST):
            for claim in page["items"] or ():
                owners.update(owner["uid"] for owner in claim["metadata"].get("ownerReferences") or ())
    return judge(
        removed,
        live,
        prune=prune,
        set_name=set_name,
        keep=keep,
        wanted={live[key]["metadata"]["uid"] for key in wanted if key in live},
        owners=owners,
    )


def _needed(keys: Collection[Key], resources: Resources, whose: str) -> dict[Key, str]:
    """Return the Namespaces and definitions that objects cannot do without, and why they must not go."""
    found = {}
    for key in keys:
        found[Key(*_NAMESPACE, "", key.namespace or "default")] = f"{whose} has objects in it"
        if (resource := resources.of_kind(key.group, key.kind)) is not None:
            name = f"{resource.plural}.{key.group}"
            found[Key(*_DEFINITION, "", name)] = f"{whose} has objects of its type"
    return found


def spared(
    doomed: Collection[Key], keys: Collection[Key], resources: Resources, whose: str
) -> dict[Key, str]:
    """Return which of the ``doomed`` stay after all, and why, since another set is to have these ``keys``."""
    needed = _needed(keys, resources, whose)
    moved = {key: f"{whose} has it now" for key in doomed if is_among(key, keys)}
    return {key: why for key, why in needed.items() if key in doomed} | moved


def is_among(key: Key, keys: Collection[Key]) -> bool:
    """Tell whether an object is among those of manifests, which may leave out where it belongs."""
    return any(
        (other.group, other.kind, other.name) == (key.group, key.kind, key.name)
        and (not key.namespace or key.namespace == (other.namespace or "default"))
        for other in keys
    )


def judge(
    removed: Mapping[Key, Record],
    live: Mapping[Key, Mapping[str, Any]],
    *,
    prune: Prune,
    set_name: str,
    keep: Mapping[Key, str],
    wanted: Collection[str],
    owners: Collection[str],
) -> Removed:
    """Return what becomes of the ``removed`` objects, by their records and what is live.

    ``keep`` are those that must not go now, and why; ``wanted`` the UIDs of what the set has, and ``owners``
    of what owns a PersistentVolumeClaim, and would take it along.
    """
    pruned: list[Key] = []
    left: dict[Key, str] = {}
    forgotten: dict[Key, str] = {}
    gone: list[Key] = []
    for key, record in removed.items():
        if key in keep:
            left[key] = keep[key]
            continue
        found = live.get(key)
        if found is None:
            gone.append(key)
            continue
        reason = foreign(found, record, set_name)
        if not reason and found["metadata"]["uid"] in wanted:
            reason = "the set has it in another API group now"
        if reason == _KUBECTLS and prune == "off":
            left[key] = 'what the set added to it goes only with prune="objects"; the rest is kubectl\'s'
            continue
        if reason:
            forgotten[key] = reason
            continue
        data = _data(key, record, owns=found["metadata"]["uid"] in owners)
        if data and prune != "everything":
            left[key] = f'it goes only with prune="everything", and with it {data}'
        elif prune == "off":
            left[key] = 'it goes only with prune="objects"'
        else:
            pruned.append(key)
    return Removed(tuple(in_order(pruned)), left, forgotten, tuple(gone))


def _data(key: Key, record: Record, *, owns: bool) -> str:
    """Return what would be lost with an object, which may own a claim; nothing if that is nobody's data."""
    if record.owned == ONCE:
        return "the credential in it"
    return "the volumes it owns" if owns else _DATA.get(key.type, "")


def foreign(live: Mapping[str, Any], record: Record, set_name: str) -> str:
    """Return why an object is not, or no longer, the set's to delete; nothing if it is."""
    if record.uid and live["metadata"]["uid"] != record.uid:
        return "somebody deleted it and made it anew"
    other = other_set(live, set_name)
    if other:
        return f"it is of the set {other} now"
    if is_kubectls(live, set_name):
        return _KUBECTLS
    return "" if is_owner(live, field_manager(set_name)) else "somebody else has taken it over"


def is_kubectls(live: Mapping[str, Any], set_name: str) -> bool:
    """Tell whether kubectl applied an object before, and the set has left that to it."""
    manager = field_manager(set_name)
    return awaits_takeover(live, manager) and needs_adoption(live, manager)


def in_order(keys: Sequence[Key]) -> list[Key]:
    """Return the keys in the order in which they are deleted, given in that in which they were released."""
    return [key for rank in range(RANKS) for key in reversed(keys) if rank_of(key) == rank]


def rank_of(key: Key) -> int:
    """Return the rank of a key, from 0; a rank is deleted once that before it is gone."""
    if (key.group, key.kind) == _NAMESPACE:
        return RANKS - 1
    if (key.group, key.kind) == _DEFINITION:
        return 1
    if key.group in _REGISTRATIONS:
        return 2
    return 0 if readiness.is_custom(key.group) else 3


def told(plan: Plan, set_name: str) -> Iterator[str]:
    """Yield lines about what the set no longer has and what stays nevertheless."""
    for verb, reasons in (("leave", plan.left), ("forget", plan.forgotten)):
        by_reason = defaultdict(list)
        for key, reason in reasons.items():
            by_reason[reason].append(key)
        for reason, keys in by_reason.items():
            yield f"{verb} what {set_name} no longer has, {listed(keys)}: {reason}"


def listed(keys: Sequence[Key]) -> str:
    """Return the names of objects, as many as can be read."""
    more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
    return ", ".join(map(str, keys[:NAMED])) + more
