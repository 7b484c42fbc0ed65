"""The proof that an object needs no write, in two digests.

Everything a set applies carries the digest of what was desired, as an annotation of the same write. When
anybody else changes a field of it, the API server takes that field out of the ``fieldsV1`` of our manager
(KEP-555). So if the object is the same, our ``fieldsV1`` are the same, and the annotation is the digest of
what is desired now, every field still has the value that was applied.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

APPLIED = "tideflow.dev/applied"
"""The annotation with the digest of what was desired."""


def field_manager(set_name: str) -> str:
    """Return the name under which a set's fields are owned."""
    return f"tideflow-{set_name}"


def digest(value: Any) -> str:
    """Return a short digest of JSON that does not depend on the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def annotated(body: Mapping[str, Any], desired: str) -> dict[str, Any]:
    """Return the object to apply: what is desired, and its digest."""
    metadata = body["metadata"]
    annotations = {**(metadata.get("annotations") or {}), APPLIED: desired}
    return {**body, "metadata": {**metadata, "annotations": annotations}}


def with_some_left(desired: str) -> str:
    """Return what stands for the digest of what was desired if some of it was left to other owners.

    So what is left on purpose is no proof for a run that would take it.
    """
    return digest([desired, "some fields left to others"])


def entries(live: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return who owns which fields, an entry for each manager and operation."""
    return list(live["metadata"].get("managedFields") or ())


def has_applied(entry: Mapping[str, Any], manager: str) -> bool:
    """Tell whether an entry is of what the manager has applied to the object itself."""
    return (
        entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource")
    )


def with_entries(live: Mapping[str, Any], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the JSON patch that makes other managers the owners of fields, and changes no field.

    It is refused with a conflict if the object has changed since it was read.
    """
    return [
        {"op": "replace", "path": "/metadata/managedFields", "value": new},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
    ]


def owned(live: Mapping[str, Any], manager: str) -> str | None:
    """Return the digest of the fields that the manager has applied and still owns, None if there are none."""
    for entry in entries(live):
        if has_applied(entry, manager):
            return digest(entry.get("fieldsV1"))
    return None


def applied(live: Mapping[str, Any]) -> str | None:
    """Return the digest of what was desired when the object was applied last."""
    found: str | None = (live["metadata"].get("annotations") or {}).get(APPLIED)
    return found


def is_owner(live: Mapping[str, Any], manager: str) -> bool:
    """Tell whether the manager still owns any field, applied or otherwise written."""
    return any(entry.get("manager") == manager and not entry.get("subresource") for entry in entries(live))


def other_set(live: Mapping[str, Any], set_name: str) -> str | None:
    """Return the name of another set that has applied the object; None if there is none.

    Operations that only add a field to an object of a set do so without the annotation.
    """
    prefix = field_manager("")
    for entry in entries(live):
        manager = entry.get("manager") or ""
        annotations = ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations") or {}
        if (
            manager.startswith(prefix)
            and manager != field_manager(set_name)
            and entry.get("operation") == "Apply"
            and f"f:{APPLIED}" in annotations
        ):
            return str(manager.removeprefix(prefix))
    return None
