"""All objects of a cluster, and in which fields one look at them differs from another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.deploying import Checkout

    Live = dict[str, dict[str, Any]]

_FLEETING = {
    "Endpoints",
    "EndpointSlice",
    "Event",
    "Lease",
    "NodeMetrics",
    "Pod",
    "PodMetrics",
    "ReplicaSet",
}
"""Kinds that come and go with others, or by time."""
_BOOKKEEPING = ("managedFields", "resourceVersion")


def live(checkout: Checkout) -> Live:
    """Return every object of every type that the API server lists, but for what comes and goes by itself."""
    types = checkout.kubectl("api-resources", "--verbs=list", "-o", "name").split()
    wanted = [each for each in types if each.partition(".")[0] not in {"componentstatuses", "events"}]
    found = checkout.get(",".join(wanted), "--all-namespaces")["items"]
    return {_name(each): each for each in found if each["kind"] not in _FLEETING}


def versions(objects: Live, *kinds: str) -> dict[str, str]:
    """Return the versions of all objects of some kinds."""
    return {
        name: each["metadata"]["resourceVersion"] for name, each in objects.items() if each["kind"] in kinds
    }


def changed(before: Live, after: Live) -> dict[str, list[str]]:
    """Return which objects differ, in which fields; status and bookkeeping apart."""
    found = {
        name: list(_fields(_essence(before.get(name)), _essence(after.get(name))))
        for name in before.keys() | after.keys()
    }
    return {name: fields for name, fields in sorted(found.items()) if fields}


def _name(found: dict[str, Any]) -> str:
    metadata = found["metadata"]
    return f"{found['kind']} {metadata.get('namespace', '')}/{metadata['name']} ({found['apiVersion']})"


def _essence(found: dict[str, Any] | None) -> dict[str, Any]:
    kept = {key: value for key, value in (found or {}).items() if key != "status"}
    metadata = kept.get("metadata") or {}
    return kept | {"metadata": {key: value for key, value in metadata.items() if key not in _BOOKKEEPING}}


def _fields(before: Any, after: Any, path: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from _fields(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    elif before != after:
        yield path
