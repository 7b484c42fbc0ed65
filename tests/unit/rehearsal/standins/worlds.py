"""A world for tests of stand-ins: what would be live, without a cluster."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, cast

from tideflow.rehearsal.standins.world import World

if TYPE_CHECKING:
    from tideflow.clients.kubernetes import Kubernetes


def world(*objects: dict[str, Any]) -> World:
    """Return the world in which there are these objects; nothing can be written to it."""
    found = World(cast("Kubernetes", None))
    found._objects = defaultdict(dict)
    for body in objects:
        group, _, _ = body["apiVersion"].rpartition("/")
        found._take((group, body["kind"]), body, gone=False)
    return found
