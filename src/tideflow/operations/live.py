"""Reading single live objects, for operations that decide by them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyinfra import host

from tideflow.facts.credentials import live_secret
from tideflow.facts.kubernetes import Object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tideflow.connectors.platform import PlatformConnector
    from tideflow.engine.manifests import Key


def shown(key: Key) -> dict[str, Any] | None:
    """Return a live object as a fact, without a Secret's data, or None."""
    found: dict[str, Any] | None = host.get_fact(
        Object, group=key.group, kind=key.kind, namespace=key.namespace, object_name=key.name
    )
    return found


def secret(target: PlatformConnector, key: Key) -> dict[str, Any] | None:
    """Return a live Secret with its data, which no fact carries, or None."""
    return live_secret(target, key.namespace or "", key.name)


def annotations_of(found: Mapping[str, Any] | None) -> Mapping[str, str]:
    """Return the annotations of an object, or of a pod template; none of what is not there."""
    return (found or {}).get("metadata", {}).get("annotations") or {}
