"""The proof that an object needs no write, in two digests.

Everything a set applies carries the digest of what was desired, as an annotation of the same write. When
anybody else changes a field of it, the API server takes that field out of the ``fieldsV1`` of our manager
(KEP-555). So if the object is the same, our ``fieldsV1`` are the same, and the annotation is the digest of
what is desired now, every field still has the value that was applied.

What is not taken from others, as ``conflicts`` says, the annotation tells after the digest, so that it is no
proof for a run that would take it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tideflow.engine.writing import Conflicts

APPLIED = "tideflow.dev/applied"
"""The annotation with the digest of what was desired."""

_NOT_TAKEN_OVER = "-not-taken-over"  # what kubectl applied before us is still kubectl's
_SOME_LEFT = "-some-left"  # fields that others have set to another value are theirs


def field_manager(set_name: str) -> str:
    """Return the name under which a set's fields are owned."""
    return f"tideflow-{set_name}"


def digest(value: Any) -> str:
    """Return a short digest of JSON that does not depend on the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def annotated(body: Mapping[str, Any], desired: str) -> dict[str, Any]:
    """Return the object to apply: what is desired, and its digest."""
    metadata = body["metadata"]
    annotations = {**(metadata.get("annotations") or {}), APPLIED: desired}
    return {**body, "metadata": {**metadata, "annotations": annotations}}


def not_taken_over(desired: str) -> str:
    """Return what stands for the digest of what was desired while kubectl still owns what it applied."""
    return desired + _NOT_TAKEN_OVER


def with_some_left(desired: str) -> str:
    """Return what stands for the digest of what was desired if some of it was left to other owners."""
    return desired.removesuffix(_SOME_LEFT) + _SOME_LEFT


def is_applied(live: Mapping[str, Any], desired: str, conflicts: Conflicts) -> bool:
    """Tell whether what was applied last is what is desired, with nothing left that would be taken now."""
    found = applied(live) or ""
    if conflicts == "yield":
        found = found.removesuffix(_SOME_LEFT)
    if conflicts != "own":
        found = found.removesuffix(_NOT_TAKEN_OVER)
    return found == desired


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
    """Return the digest of the fields that the manager has applied and still owns, None if there are none.

    Where some were left to others, it is the digest of everybody's: what they give up is to be noticed.
    """
    for entry in entries(live):
        if has_applied(entry, manager):
            left = (applied(live) or "").endswith(_SOME_LEFT)
            return _everybodys(live) if left else digest(entry.get("fieldsV1"))
    return None


def _everybodys(live: Mapping[str, Any]) -> str:
    """Return the digest of who owns what; their order is that of the last writes, and does not matter."""
    return digest(
        sorted(
            [entry.get("manager") or "", entry.get("operation") or "", digest(entry.get("fieldsV1"))]
            for entry in entries(live)
            if not entry.get("subresource")
        )
    )


def awaits_takeover(live: Mapping[str, Any], manager: str) -> bool:
    """Tell whether the manager has applied the object without taking over what was kubectl's."""
    found = (applied(live) or "").removesuffix(_SOME_LEFT)
    return found.endswith(_NOT_TAKEN_OVER) and any(
        has_applied(entry, manager) and _annotates(entry) for entry in entries(live)
    )


def _annotates(entry: Mapping[str, Any]) -> bool:
    """Tell whether an entry's manager has set the digest of what was desired."""
    annotations = ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations") or {}
    return f"f:{APPLIED}" in annotations


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
        if (
            manager.startswith(prefix)
            and manager != field_manager(set_name)
            and entry.get("operation") == "Apply"
            and _annotates(entry)
        ):
            return str(manager.removeprefix(prefix))
    return None
