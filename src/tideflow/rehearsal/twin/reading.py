"""Reading request bodies: what the description requires, and what DigitalOcean would refuse."""

from __future__ import annotations

import re
import uuid
from typing import Any

from tideflow.rehearsal.twin import catalogue
from tideflow.rehearsal.twin.state import Pool

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MOST_NODES = 512


class InvalidError(Exception):
    """A body says what cannot be; the text names the field."""


def cluster(body: Any) -> dict[str, Any]:
    """Return the fields of a new cluster."""
    body = _object(body)
    region, version = _text(body, "region"), catalogue.version(_text(body, "version"))
    if region not in catalogue.REGIONS:
        raise InvalidError("region is not one of those that clusters can be in")
    if version is None:
        raise InvalidError("version is not one of those that are offered")
    pools = body.get("node_pools")
    if not isinstance(pools, list) or not pools:
        raise InvalidError("node_pools must have at least one node pool")
    return {
        "name": _name(body),
        "region": region,
        "version": version,
        "tags": _texts(body, "tags"),
        "ha": _flag(body, "ha", default=False),
        "auto_upgrade": _flag(body, "auto_upgrade", default=False),
        "surge_upgrade": _flag(body, "surge_upgrade", default=True),
        "pools": [pool(found) for found in pools],
    }


def update(body: Any) -> dict[str, Any]:
    """Return what is to be changed of a cluster."""
    body = _object(body)
    changes: dict[str, Any] = {"name": _name(body)}
    for flag in ("ha", "auto_upgrade", "surge_upgrade"):
        if flag in body:
            changes[flag] = _flag(body, flag, default=False)
    if "tags" in body:
        changes["tags"] = _texts(body, "tags")
    return changes


def pool(body: Any) -> Pool:
    """Return a new node pool, without its nodes."""
    body = _object(body)
    size = _text(body, "size")
    if size not in catalogue.SIZES:
        raise InvalidError("size is not one of those that nodes can have")
    return Pool(
        id=str(uuid.uuid4()),
        name=_name(body),
        size=size,
        count=_count(body),
        tags=_texts(body, "tags"),
        labels=_object(body.get("labels") or {}),
        taints=list(body.get("taints") or ()),
    )


def pool_update(body: Any) -> dict[str, Any]:
    """Return what is to be changed of a node pool; name and count are required."""
    body = _object(body)
    changes: dict[str, Any] = {"name": _name(body), "count": _count(body)}
    if "tags" in body:
        changes["tags"] = _texts(body, "tags")
    if "labels" in body:
        changes["labels"] = _object(body["labels"] or {})
    return changes


def one_clicks(body: Any) -> tuple[list[str], str]:
    """Return which 1-clicks are to be installed, and in which cluster."""
    body = _object(body)
    slugs = _texts(body, "addon_slugs")
    if not slugs:
        raise InvalidError("addon_slugs must name at least one 1-click application")
    unknown = [slug for slug in slugs if slug not in catalogue.ONE_CLICKS]
    if unknown:
        raise InvalidError(f"addon_slugs has {unknown[0]}, which is not a 1-click application")
    return slugs, _text(body, "cluster_uuid")


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise InvalidError("the body must be a JSON object")
    return body


def _text(body: dict[str, Any], field: str) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not value:
        raise InvalidError(f"{field} is required, and must be a text")
    return value


def _name(body: dict[str, Any]) -> str:
    name = _text(body, "name")
    if not _NAME.fullmatch(name):
        raise InvalidError("name must have lower-case letters, digits and hyphens only")
    return name


def _texts(body: dict[str, Any], field: str) -> list[str]:
    value = body.get(field) or []
    if not isinstance(value, list) or not all(isinstance(found, str) for found in value):
        raise InvalidError(f"{field} must be a list of texts")
    return value


def _flag(body: dict[str, Any], field: str, *, default: bool) -> bool:
    value = body.get(field, default)
    if not isinstance(value, bool):
        raise InvalidError(f"{field} must be true or false")
    return value


def _count(body: dict[str, Any]) -> int:
    count = body.get("count")
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= _MOST_NODES:
        raise InvalidError(f"count must be a number from 1 to {_MOST_NODES}")
    return count
