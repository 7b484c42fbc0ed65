"""What has been seen of the cluster in this run, and whether an object's needs are met by it."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tideflow.engine import readiness, webhooks
from tideflow.engine.graph import Ready, Written
from tideflow.engine.manifests import DEFINITION
from tideflow.engine.readiness import READY, Status
from tideflow.engine.snapshot import is_whole, key_of
from tideflow.engine.watching import Listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tideflow.clients.resources import Resources
    from tideflow.engine.graph import Need
    from tideflow.engine.manifests import Key, Manifest
    from tideflow.engine.snapshot import Snapshot
    from tideflow.engine.watching import News
    from tideflow.engine.webhooks import Webhook

SETTLING = 1.0
"""Seconds until a change to a webhook is in effect: the API server reads configurations and endpoints through
watches of its own."""

SETTLES = "it takes effect in a moment"
"""What ``why_unserved`` returns in that time."""

GONE = Status(ready=False, why="was deleted by somebody meanwhile")
"""The status of an object that is no longer there."""

_UNSEEN = Status(ready=False, why="has not been seen yet")


class Observed:
    """Readiness, webhooks and endpoints, as the newest events tell them."""

    def __init__(self, manifests: Mapping[Key, Manifest], snapshot: Snapshot, resources: Resources) -> None:
        self.resources = resources
        self.written: set[Key] = set()
        self.changed_at = time.monotonic()
        self._changed: set[Key] = set(manifests)
        self._manifests = manifests
        self._definitions = [key for key in manifests if key.type == DEFINITION]
        self._status: dict[Key, Status] = {}
        self._version: dict[Key, int] = {}
        self._wanted_version: dict[Key, int] = {}
        self._slices: dict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
        self._endpoints_since: dict[tuple[str, str], float] = {}
        self._webhooks: dict[Key, dict[str, tuple[Any, ...]]] = {}
        self._webhooks_since: dict[tuple[Key, str], float] = {}
        self._listed = {found for found in snapshot.versions if is_whole(*found)}
        for key, live in snapshot.objects.items():
            # A write that changes nothing leaves the version as it is, and no watch tells of it.
            self._version[key] = _number(live)
            if is_whole(key.group, key.kind):
                self._see(key, live, since=0.0)

    def discovered(self, resources: Resources) -> None:
        """Take in what discovery has now."""
        self.resources = resources
        self._changed.update(self._definitions)

    def take_changed(self) -> set[Key]:
        """Return the objects whose status may be another than when this was asked last."""
        changed, self._changed = self._changed, set()
        return changed

    def see(self, seen: News) -> None:
        """Take in what a watch has seen, or that a type was listed anew."""
        if isinstance(seen, Listed):
            self._see_list(seen)
            return
        live = seen.live
        key = key_of(seen.resource.group, seen.resource.kind, live)
        if key.kind == "EndpointSlice":
            self._see_slice(live, gone=seen.gone)
        elif seen.gone:
            self._see_gone(key, _number(live))
        else:
            self._see(key, live, since=time.monotonic())

    def wrote(self, key: Key, version: str) -> None:
        """Note that the object was written, and that only what is seen from this version on counts."""
        self.written.add(key)
        self._changed.add(key)
        self.changed_at = time.monotonic()
        if version.isdecimal():
            self._wanted_version[key] = int(version)

    def status(self, key: Key) -> Status:
        """Return how ready an object of the set is."""
        manifest = self._manifests[key]
        if not watched(manifest):
            return READY if key in self.written else _UNSEEN
        if not self._is_seen(key):
            return Status(ready=False, why="its change has not been seen yet")
        found = self._status.get(key, _UNSEEN)
        if key.type == DEFINITION and (found.ready or key not in self._status):
            return READY if self.is_served(manifest) else Status(ready=False, why="is not served yet")
        return found

    def is_served(self, definition: Manifest) -> bool:
        """Tell whether discovery has what a definition defines, in every version it serves."""
        spec = definition.body["spec"]
        return all(
            self.resources.find(spec["group"], version["name"], spec["names"]["kind"])
            for version in spec["versions"]
            if version.get("served")
        )

    def unserved(self) -> bool:
        """Tell whether discovery, when it was read last, lacked what an established definition defines."""
        return any(
            not self.is_served(self._manifests[key])
            for key in self._definitions
            if key in self.written and self._is_established(key)
        )

    def _is_established(self, key: Key) -> bool:
        """Tell whether a definition is; one that was there before this run and has no news is taken to be."""
        return self._status[key].ready if key in self._status else self._is_seen(key)

    def _is_seen(self, key: Key) -> bool:
        """Tell whether what is known of an object is not older than what this run has written of it."""
        return self._version.get(key, -1) >= self._wanted_version.get(key, -1)

    def met(self, need: Need) -> bool:
        """Tell whether a need is met."""
        if isinstance(need, Written):
            return need.key in self.written
        if isinstance(need, Ready):
            return need.key in self.written and self.status(need.key).ready
        return not self.why_unserved(need)

    def why_unserved(self, webhook: Webhook) -> str:
        """Return why a webhook cannot be called yet, nothing if it can."""
        live = self._webhooks.get(webhook.owner)
        known = live is not None or (webhook.owner.group, webhook.owner.kind) in self._listed
        if webhook.owner not in self._manifests and known and webhook.name not in (live or ()):
            return ""  # it was somebody else's, who has taken it away
        if live is None:
            return "its configuration is not there yet"
        if webhook.name in live and not live[webhook.name][0]:
            return "it has no CA bundle yet"
        service = (webhook.service.namespace, webhook.service.name)
        if not self.has_endpoint(webhook):
            return f"its Service {webhook.service.namespace}/{webhook.service.name} has no ready endpoint"
        since = max(
            self._webhooks_since.get((webhook.owner, webhook.name), 0.0),
            self._endpoints_since.get(service, 0.0),
        )
        return "" if time.monotonic() - since >= SETTLING else SETTLES

    def has_endpoint(self, webhook: Webhook) -> bool:
        """Tell whether a webhook's Service has a ready endpoint."""
        return any(self._slices[webhook.service.namespace, webhook.service.name].values())

    def _see(self, key: Key, live: dict[str, Any], *, since: float) -> None:
        if key.type == DEFINITION or key.type in webhooks.TYPES:
            now, before = webhooks.bundles(live), self._webhooks.get(key, {})
            for name, found in now.items():
                if before.get(name) != found:
                    self._webhooks_since[key, name] = since
            self._webhooks[key] = now
        if key not in self._manifests:
            return
        self._version[key] = _number(live)
        self._changed.add(key)
        found_status = readiness.status(key.group, key.kind, live)
        if self._status.get(key) != found_status:
            self._status[key] = found_status
            self.changed_at = time.monotonic()

    def _see_gone(self, key: Key, version: int) -> None:
        self._webhooks.pop(key, None)
        if key not in self._manifests:
            return
        self._status[key] = GONE
        self._version[key] = version
        self._changed.add(key)
        self.changed_at = time.monotonic()

    def _see_list(self, listed: Listed) -> None:
        """Take in what is gone: what was there before, or was written before, and is not in the list."""
        group, kind = listed.resource.group, listed.resource.kind
        self._listed.add((group, kind))
        if kind == "EndpointSlice":
            for (namespace, _), slices in self._slices.items():
                for name in [name for name in slices if (namespace, name) not in listed.places]:
                    del slices[name]
            return
        there = {*self._status, *self._webhooks, *self.written}
        for key in there:
            if (key.group, key.kind) != (group, kind) or (key.namespace, key.name) in listed.places:
                continue
            newest = max(self._version.get(key, 0), self._wanted_version.get(key, 0))
            if newest <= listed.version and self._status.get(key) != GONE:
                self._see_gone(key, listed.version)

    def _see_slice(self, live: dict[str, Any], *, gone: bool) -> None:
        metadata = live["metadata"]
        service = (
            metadata["namespace"],
            (metadata.get("labels") or {}).get("kubernetes.io/service-name", ""),
        )
        before = any(self._slices[service].values())
        if gone:
            self._slices[service].pop(metadata["name"], None)
        else:
            self._slices[service][metadata["name"]] = any(
                # Absent means ready, by the API's own description.
                (endpoint.get("conditions") or {}).get("ready") is not False
                for endpoint in live.get("endpoints") or ()
            )
        if any(self._slices[service].values()) and not before:
            self._endpoints_since[service] = time.monotonic()


def _number(live: Mapping[str, Any]) -> int:
    version = live["metadata"].get("resourceVersion", "")
    return int(version) if version.isdecimal() else 0


def watched(manifest: Manifest) -> bool:
    """Tell whether readiness of the object has to be watched: it may be there and not be ready."""
    key = manifest.key
    if key.kind == "Service" and not key.group:
        return bool(manifest.body["spec"].get("type") == "LoadBalancer")
    return key.type == DEFINITION or (
        is_whole(key.group, key.kind) and readiness.has_readiness(key.group, key.kind)
    )
