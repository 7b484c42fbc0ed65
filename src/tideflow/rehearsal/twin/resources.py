"""What clusters make outside of themselves and is billed: droplets, load balancers, volumes, snapshots.

Times are seconds since the epoch, sizes are GiB.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Droplet:
    """What a node runs on; with its ``tags``, of which one says of which cluster."""

    id: int
    name: str
    size: str
    region: str
    vpc_uuid: str
    created_at: float
    tags: list[str]
    status: str = "active"


@dataclass
class Balancer:
    """A load balancer, made for a Service; ``settings`` are fields of DigitalOcean's that annotations set.

    It has no ``ip`` at first. ``ports`` are those of the Service, each with the port of the nodes behind it.
    One that was deleted and takes its time is there until ``leaves_at``.
    """

    id: str
    name: str
    cluster_id: str
    region: str
    vpc_uuid: str
    created_at: float
    ip: str = ""
    ports: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    droplet_ids: list[int] = field(default_factory=list)
    leaves_at: float = 0.0


@dataclass
class Volume:
    """A volume, made for a claim; a ``retained`` one outlives the volume in the cluster."""

    id: str
    name: str
    cluster_id: str
    region: str
    created_at: float
    size: int
    file_system: str = "ext4"
    retained: bool = False
    droplet_ids: list[int] = field(default_factory=list)


@dataclass
class Snapshot:
    """A snapshot of a volume of a cluster, which may both be gone."""

    name: str
    volume_id: str
    cluster_id: str
    region: str
    size: int
    tags: list[str] = field(default_factory=list)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: float = field(default_factory=time.time)
