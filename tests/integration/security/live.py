"""All that is live in a cluster, of every type, as an administrator reads it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.deploying import Checkout


def everything(checkout: Checkout) -> list[dict[str, Any]]:
    """Return every object of every type that can be listed, with its managed fields; Events too."""
    types = checkout.kubectl("api-resources", "--verbs=list", "-o", "name").split()
    kinds = ",".join(name for name in types if "metrics.k8s.io" not in name)
    listed = checkout.kubectl("get", kinds, "--all-namespaces", "--show-managed-fields", "-o", "json")
    found: list[dict[str, Any]] = json.loads(listed)["items"]
    return found


def secrets(objects: list[dict[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """Yield what the Secrets hold, with where it is: ``namespace/name key``."""
    for found in objects:
        if found["kind"] == "Secret":
            metadata = found["metadata"]
            for key, value in (found.get("data") or {}).items():
                yield f"{metadata['namespace']}/{metadata['name']} {key}", base64.b64decode(value)


def named(found: dict[str, Any]) -> str:
    """Return what an object is called."""
    metadata = found["metadata"]
    return f"{found['kind']} {metadata.get('namespace', '')}/{metadata['name']}"
