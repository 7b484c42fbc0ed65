"""Taking over what kubectl applied before, so that its fields become ours and what we leave out goes.

Without it, server-side apply only adds an owner: a field that kubectl set and our manifest does not have
would stay for ever, owned by a kubectl that nobody runs any more. So before the first write of such an object
its ``managedFields`` are rewritten: what kubectl owned by applying is owned by us. It is what client-go's
``csaupgrade`` does for kubectl itself.

A run that takes nothing from others leaves it to a later one that does, and notes that on the object: what
kubectl applies to an object that is ours by then is another manager's, and stays.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tideflow.engine.ownership import awaits_takeover, entries, has_applied, owned, with_entries

if TYPE_CHECKING:
    from collections.abc import Mapping

_APPLIED_BY_KUBECTL = frozenset(
    {
        ("kubectl-client-side-apply", "Update"),
        ("kubectl", "Apply"),  # kubectl apply --server-side
        ("before-first-apply", "Update"),  # what was there when it was applied server-side for the first time
    }
)


def needs_adoption(live: Mapping[str, Any], manager: str) -> bool:
    """Tell whether kubectl has applied the object, and the manager never has, or not to take it over."""
    return any(map(_is_kubectls, entries(live))) and (
        owned(live, manager) is None or awaits_takeover(live, manager)
    )


def adoption(live: Mapping[str, Any], manager: str) -> list[dict[str, Any]]:
    """Return the JSON patch that makes the manager the owner of what kubectl has applied."""
    taken = [entry for entry in entries(live) if _is_kubectls(entry) or has_applied(entry, manager)]
    fields: dict[str, Any] = {}
    for entry in taken:
        fields = union(fields, entry.get("fieldsV1") or {})
    ours = {
        "apiVersion": taken[-1]["apiVersion"],
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        "manager": manager,
        "operation": "Apply",
        "time": taken[-1].get("time"),
    }
    kept = [entry for entry in entries(live) if entry not in taken]
    return with_entries(live, [*kept, ours])


def without_abandoned(live: Mapping[str, Any], applied: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object without what kubectl applied and nobody owns any more.

    ``applied`` is the live object after applying over it, as if its fields had been ours before: that is when
    the server removes them. Needed for dry runs, in which nobody can be made an owner first.
    """
    taken: dict[str, Any] = {}
    for entry in filter(_is_kubectls, entries(live)):
        taken = union(taken, entry.get("fieldsV1") or {})
    kept: dict[str, Any] = {}
    for entry in entries(applied):
        if not _is_kubectls(entry):
            kept = union(kept, entry.get("fieldsV1") or {})
    found: dict[str, Any] = _without(applied, taken, kept)
    return found


def _without(value: Any, taken: Mapping[str, Any], kept: Mapping[str, Any]) -> Any:
    """Return a copy of the value without what is taken and not kept."""
    if not isinstance(value, dict | list):
        return value
    left: Any = value.copy()
    gone = []
    for step, inner in taken.items():
        place = _place(value, step)
        if place is None:
            continue
        if step not in kept and (not inner or "." in inner):
            gone.append(place)
        else:
            left[place] = _without(value[place], inner, kept.get(step, {}))
    for place in sorted(gone, reverse=True):
        del left[place]
    return left


def _place(value: dict[str, Any] | list[Any], step: str) -> Any:
    """Return the key or index that a path element of ``fieldsV1`` means here, None if there is nothing."""
    form, _, name = step.partition(":")
    if isinstance(value, dict):
        return name if form == "f" and name in value else None
    if form not in {"k", "v"}:
        return None
    wanted = json.loads(name)
    for index, item in enumerate(value):
        if item == wanted if form == "v" else isinstance(item, dict) and wanted.items() <= item.items():
            return index
    return None


def union(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that are in one of two ``fieldsV1``, or in both.

    Each is a tree: keys are path elements such as ``f:spec`` or ``k:{"name":"main"}``, leaves are empty.
    """
    return {key: union(one.get(key) or {}, other.get(key) or {}) for key in one.keys() | other.keys()}


def _is_kubectls(entry: Mapping[str, Any]) -> bool:
    who = (entry.get("manager"), entry.get("operation"))
    return who in _APPLIED_BY_KUBECTL and not entry.get("subresource")
