"""What DigitalOcean provides, as its API's answers describe it."""

from __future__ import annotations

import base64
import datetime as dt
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

_AUTOMATIC = re.compile(r"k8s(:.*)?")  # tags that DigitalOcean gives to each cluster


@dataclass(frozen=True)
class Account:
    """Whose token it is. ``droplet_limit`` is how many droplets, nodes among them, the account may have.

    It is 0 if the token may not know.
    """

    email: str
    droplet_limit: int
    status: str

    @classmethod
    def from_response(cls, found: Mapping[str, Any]) -> Self:
        """Read an account."""
        return cls(found["email"], int(found.get("droplet_limit", 0)), found.get("status", ""))


@dataclass(frozen=True)
class Offer:
    """A region, size or version that a cluster may have."""

    slug: str
    name: str


@dataclass(frozen=True)
class Options:
    """What clusters may be made of; versions come newest first."""

    regions: tuple[Offer, ...]
    sizes: tuple[Offer, ...]
    versions: tuple[Offer, ...]

    @classmethod
    def from_response(cls, found: Mapping[str, Any]) -> Self:
        """Read what is offered."""
        return cls(
            tuple(Offer(offer["slug"], offer.get("name", "")) for offer in found["regions"]),
            tuple(Offer(offer["slug"], offer.get("name", "")) for offer in found["sizes"]),
            tuple(Offer(offer["slug"], offer.get("kubernetes_version", "")) for offer in found["versions"]),
        )


@dataclass(frozen=True)
class Size:
    """A droplet's size: its CPUs, MiB of memory, and the regions that have it."""

    slug: str
    cpus: int
    memory_mib: int
    regions: tuple[str, ...]

    @classmethod
    def from_response(cls, found: Mapping[str, Any]) -> Self:
        """Read a size."""
        regions = tuple(found["regions"]) if found.get("available", True) else ()
        return cls(found["slug"], int(found["vcpus"]), int(found["memory"]), regions)


@dataclass(frozen=True)
class Node:
    """A node of a pool; ``state`` is ``running``, ``provisioning``, ``draining`` or ``deleting``."""

    id: str
    name: str
    state: str

    @classmethod
    def from_response(cls, found: Mapping[str, Any]) -> Self:
        """Read a node of a pool."""
        state = (found.get("status") or {}).get("state", "")
        return cls(found.get("id", ""), found.get("name", ""), state)


@dataclass(frozen=True)
class NodePool:
    """Nodes of one size; ``count`` is how many there are to be, the bounds are those of autoscaling."""

    id: str
    name: str
    size: str
    count: int
    nodes: tuple[Node, ...] = ()
    auto_scale: bool = False
    min_nodes: int = 0
    max_nodes: int = 0

    @classmethod
    def from_response(cls, found: Mapping[str, Any]) -> Self:
        """Read a node pool."""
        nodes = tuple(map(Node.from_response, found.get("nodes") or ()))
        return cls(
            id=found["id"],
            name=found["name"],
            size=found["size"],
            count=int(found["count"]),
            nodes=nodes,
            auto_scale=bool(found.get("auto_scale")),
            min_nodes=int(found.get("min_nodes") or 0),
            max_nodes=int(found.get("max_nodes") or 0),
        )


@dataclass(frozen=True)
class Cluster:
    """A cluster; ``state`` is DigitalOcean's word for it, ``message`` what it says beyond that.

    ``endpoint`` is the URL of its API server, empty while there is none. ``tags`` are without those that
    DigitalOcean adds itself. ``maintenance_window`` is a day and a time, such as ``sunday 02:00``, in UTC.
    """

    id: str
    name: str
    region: str
    version: str
    state: str
    message: str
    endpoint: str
    node_pools: tuple[NodePool, ...]
    vpc: str = ""
    tags: tuple[str, ...] = ()
    ha: bool = False
    auto_upgrade: bool = False
    surge_upgrade: bool = False
    maintenance_window: str = ""

    @classmethod
    def from_response(cls, found: Mapping[str, Any]) -> Self:
        """Read a cluster."""
        status = found.get("status") or {}
        window = found.get("maintenance_policy") or {}
        return cls(
            id=found["id"],
            name=found["name"],
            region=found["region"],
            version=found["version"],
            state=status.get("state", ""),
            message=status.get("message", ""),
            endpoint=found.get("endpoint") or "",
            node_pools=tuple(map(NodePool.from_response, found.get("node_pools") or ())),
            vpc=found.get("vpc_uuid") or "",
            tags=tuple(tag for tag in found.get("tags") or () if not _AUTOMATIC.fullmatch(tag)),
            ha=bool(found.get("ha")),
            auto_upgrade=bool(found.get("auto_upgrade")),
            surge_upgrade=bool(found.get("surge_upgrade")),
            maintenance_window=f"{window.get('day', '')} {window.get('start_time', '')}".strip(),
        )

    @property
    def serves(self) -> bool:
        """Whether its API server is there for its users, if not at every moment."""
        return self.state in {"running", "degraded", "upgrading"}

    def has(self, tag: str) -> bool:
        """Tell whether it has a tag, which DigitalOcean writes as the account's first of that name was."""
        return tag.casefold() in map(str.casefold, self.tags)


@dataclass(frozen=True)
class Credentials:
    """How a cluster is reached until ``expires_at``; the certificate of its authority is PEM."""

    server: str
    certificate_authority: str
    token: str = field(repr=False)
    expires_at: dt.datetime

    @classmethod
    def from_response(cls, found: Mapping[str, Any]) -> Self:
        """Read the answer to ``…/credentials``."""
        return cls(
            server=found["server"],
            certificate_authority=base64.b64decode(found["certificate_authority_data"]).decode(),
            token=found["token"],
            expires_at=dt.datetime.fromisoformat(found["expires_at"]),
        )
