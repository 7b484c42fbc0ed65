"""What DigitalOcean bills beside clusters, by whichever of them it was made; and tags, which outlive it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

from tideflow.clients.requesting import Requesting, nothing
from tideflow.errors import DigitalOceanError

if TYPE_CHECKING:
    from collections.abc import Mapping

_AGAIN = (0.5, 2.0, 5.0)  # seconds between tries of what cannot be done twice


@dataclass(frozen=True)
class Droplet:
    """A virtual machine; ``tags`` say of which cluster it is a node."""

    id: str
    name: str
    size: str
    tags: tuple[str, ...]

    @classmethod
    def from_response(cls, found: Mapping[str, Any]) -> Self:
        """Read a droplet."""
        return cls(str(found["id"]), found["name"], found.get("size_slug", ""), _tags(found))


@dataclass(frozen=True)
class LoadBalancer:
    """A load balancer, of ``units`` nodes; it has no tag that says for which cluster it was made.

    ``droplets`` are the ids of those behind it, for as long as there are any; an ``idle`` one has none, nor
    anything else that it could lead to. ``ip`` is empty at first.
    A ``network`` load balancer passes packets on as they are; the others are settings that it has not.
    """

    id: str
    name: str
    ip: str
    units: int
    droplets: tuple[str, ...]
    proxy_protocol: bool = False
    idle_seconds: int = 60
    allowed: tuple[str, ...] = ()
    network: bool = False
    idle: bool = False

    @classmethod
    def from_response(cls, found: Mapping[str, Any]) -> Self:
        """Read a load balancer."""
        return cls(
            id=found["id"],
            name=found.get("name", ""),
            ip=found.get("ip") or "",
            units=int(found.get("size_unit") or 1),
            droplets=tuple(map(str, found.get("droplet_ids") or ())),
            proxy_protocol=bool(found.get("enable_proxy_protocol")),
            idle_seconds=int(found.get("http_idle_timeout_seconds") or 60),
            allowed=tuple((found.get("firewall") or {}).get("allow") or ()),
            network=found.get("type") == "REGIONAL_NETWORK",
            idle=not any(map(found.get, ("droplet_ids", "tag", "target_load_balancer_ids"))),
        )


@dataclass(frozen=True)
class Volume:
    """A volume; ``tags`` say for which cluster it was made."""

    id: str
    name: str
    gib: int
    tags: tuple[str, ...]

    @classmethod
    def from_response(cls, found: Mapping[str, Any]) -> Self:
        """Read a volume."""
        return cls(found["id"], found["name"], int(found["size_gigabytes"]), _tags(found))


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of the ``volume`` of that id, which may be gone."""

    id: str
    name: str
    gib: float
    volume: str
    tags: tuple[str, ...]

    @classmethod
    def from_response(cls, found: Mapping[str, Any]) -> Self:
        """Read a snapshot."""
        return cls(
            id=str(found["id"]),
            name=found["name"],
            gib=float(found["size_gigabytes"]),
            volume=str(found.get("resource_id") or ""),
            tags=_tags(found),
        )


@dataclass(frozen=True)
class Associated:
    """What a cluster has made that can be deleted together with it, by ids."""

    load_balancers: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()

    @classmethod
    def from_response(cls, found: Mapping[str, Any]) -> Self:
        """Read what is associated with a cluster."""
        kinds = ("load_balancers", "volumes", "volume_snapshots")
        return cls(*(tuple(thing["id"] for thing in found.get(kind) or ()) for kind in kinds))


class Billed(Requesting):
    """The part of the API that lists and deletes what is billed; see ``DigitalOcean`` for its errors."""

    def droplets_of(self, tag: str) -> list[Droplet]:
        """Return the droplets that have a tag."""
        return self._listed(f"droplets?tag_name={tag}", "droplets", Droplet.from_response, "droplet:read")

    def load_balancers(self) -> list[LoadBalancer]:
        """Return all load balancers of the account."""
        read = LoadBalancer.from_response
        return self._listed("load_balancers", "load_balancers", read, "load_balancer:read")

    def load_balancer(self, balancer_id: str) -> LoadBalancer:
        """Return one load balancer."""
        return self._call(
            "GET",
            f"load_balancers/{balancer_id}",
            lambda found: LoadBalancer.from_response(found["load_balancer"]),
            ["load_balancer:read"],
        )

    def volumes(self) -> list[Volume]:
        """Return all volumes of the account."""
        return self._listed("volumes", "volumes", Volume.from_response, "block_storage:read")

    def volume_snapshots(self) -> list[Snapshot]:
        """Return all snapshots of volumes, those that are gone included."""
        read, scope = Snapshot.from_response, "block_storage_snapshot:read"
        return self._listed("snapshots?resource_type=volume", "snapshots", read, scope)

    def delete_droplet(self, droplet_id: str) -> None:
        """Delete a droplet, with what is on its disk."""
        self._delete(f"droplets/{droplet_id}", "droplet:delete")

    def delete_load_balancer(self, balancer_id: str) -> None:
        """Delete a load balancer; a cluster that still has a Service for it may make another."""
        self._delete(f"load_balancers/{balancer_id}", "load_balancer:delete")

    def delete_volume(self, volume_id: str) -> None:
        """Delete a volume with its data; one that is attached to a droplet is refused."""
        self._delete(f"volumes/{volume_id}", "block_storage:delete")

    def delete_volume_snapshot(self, snapshot_id: str) -> None:
        """Delete a snapshot of a volume."""
        self._delete(f"volumes/snapshots/{snapshot_id}", "block_storage_snapshot:delete")

    def associated(self, cluster_id: str) -> Associated:
        """Return what a cluster has made."""
        path = f"kubernetes/clusters/{cluster_id}/destroy_with_associated_resources"
        return self._call("GET", path, Associated.from_response, ["kubernetes:read"])

    def delete_cluster_with(self, cluster_id: str, doomed: Associated) -> None:
        """Have a cluster deleted, and together with it what is named; what is not stays, and is billed."""
        path = f"kubernetes/clusters/{cluster_id}/destroy_with_associated_resources/selective"
        body = {
            "load_balancers": list(doomed.load_balancers),
            "volumes": list(doomed.volumes),
            "volume_snapshots": list(doomed.snapshots),
        }
        self._call("DELETE", path, nothing, ["kubernetes:delete"], body)

    def tags(self) -> list[str]:
        """Return all tags of the account, those that nothing has included."""
        return self._listed("tags", "tags", lambda found: str(found["name"]), "tag:read")

    def create_tag(self, name: str) -> None:
        """Have a tag that nothing has; one that is there is left, so that this can be done twice."""
        for pause in (*_AGAIN, None):
            try:
                self._call("POST", "tags", nothing, ["tag:create"], {"name": name})
            except DigitalOceanError as error:
                if error.status == HTTPStatus.UNPROCESSABLE_ENTITY and name in self.tags():
                    return
                if not error.unsure or pause is None:
                    raise
                time.sleep(pause)
            else:
                return

    def delete_tag(self, name: str) -> None:
        """Delete a tag, wherever it is."""
        self._delete(f"tags/{name}", "tag:delete")


def _tags(found: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(found.get("tags") or ())
