"""Taking over what kubectl applied before, so that its fields become ours and what we leave out goes.

Without it, server-side apply only adds an owner: a field that kubectl set and our manifest does not have
would stay for ever, owned by a kubectl that nobody runs any more. So before the first write of such an object
its ``managedFields`` are rewritten: what kubectl owned by applying is owned by us. It is what client-go's
``csaupgrade`` does for kubectl itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tideflow.engine.ownership import owned

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
    """Tell whether kubectl has applied the object, and the manager never has."""
    return owned(live, manager) is None and any(map(_is_kubectls, _entries(live)))


def adoption(live: Mapping[str, Any], manager: str) -> list[dict[str, Any]]:
    """Return the JSON patch that makes the manager the owner of what kubectl has applied.

    It is refused with a conflict if the object has changed since it was read.
    """
    entries = _entries(live)
    taken = [entry for entry in entries if _is_kubectls(entry)]
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
    kept = [entry for entry in entries if not _is_kubectls(entry)]
    return [
        {"op": "replace", "path": "/metadata/managedFields", "value": [*kept, ours]},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
    ]


def union(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that are in one of two ``fieldsV1``, or in both.

    Each is a tree: keys are path elements such as ``f:spec`` or ``k:{"name":"main"}``, leaves are empty.
    """
    return {key: union(one.get(key) or {}, other.get(key) or {}) for key in one.keys() | other.keys()}


def _entries(live: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(live["metadata"].get("managedFields") or ())


def _is_kubectls(entry: Mapping[str, Any]) -> bool:
    who = (entry.get("manager"), entry.get("operation"))
    return who in _APPLIED_BY_KUBECTL and not entry.get("subresource")
