"""What the twin knows, kept in a file so that it survives a restart.

Tokens are kept as digests only.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
import uuid
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from tideflow.errors import RehearsalError
from tideflow.files import write_private

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path


def _id() -> str:
    return str(uuid.uuid4())


@dataclass
class Node:
    """A node of a pool; times are seconds since the epoch."""

    name: str
    id: str = field(default_factory=_id)
    created_at: float = field(default_factory=time.time)
    state: str = "provisioning"


@dataclass
class Pool:
    """A node pool; the bounds matter while ``auto_scale`` is set."""

    name: str
    size: str
    count: int
    id: str = field(default_factory=_id)
    tags: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    taints: list[dict[str, str]] = field(default_factory=list)
    auto_scale: bool = False
    min_nodes: int = 0
    max_nodes: int = 0
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Have the nodes that a new pool begins with."""
        self._fill()

    @property
    def most(self) -> int:
        """How many nodes it may get without anybody asking."""
        return max(self.count, self.max_nodes if self.auto_scale else 0)

    def change(self, changes: Mapping[str, Any]) -> None:
        """Change fields, and have as many nodes as there are to be."""
        for name, value in changes.items():
            setattr(self, name, value)
        self._fill()

    def _fill(self) -> None:
        """Make the nodes that are missing, or let the newest go."""
        while len(self.nodes) < self.count:
            # As DigitalOcean names them: the pool, and five letters and digits.
            name = f"{self.name}-{secrets.token_hex(3)[:5]}"
            self.nodes.append(Node(name))
        del self.nodes[self.count :]


@dataclass
class Cluster:
    """A cluster; ``tokens`` are when each token expires, by the token's digest."""

    name: str
    region: str
    version: str
    id: str = field(default_factory=_id)
    created_at: float = field(default_factory=time.time)
    updated_at: float = field(default_factory=time.time)
    tags: list[str] = field(default_factory=list)
    ha: bool = False
    auto_upgrade: bool = False
    surge_upgrade: bool = False
    maintenance_policy: dict[str, str] | None = None
    vpc_uuid: str = ""
    state: str = "provisioning"
    message: str = ""
    endpoint: str = ""
    pools: list[Pool] = field(default_factory=list)
    tokens: dict[str, float] = field(default_factory=dict)
    addons: dict[str, float] = field(default_factory=dict)

    def change(self, changes: Mapping[str, Any]) -> None:
        """Change fields."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.updated_at = time.time()

    def mint(self, seconds: int) -> tuple[str, float]:
        """Return a new token for the cluster, and when it expires."""
        now = time.time()
        self.tokens = {found: expires for found, expires in self.tokens.items() if expires > now}
        token = f"dop_k8s_{secrets.token_hex(32)}"
        self.tokens[_digest(token)] = now + seconds
        return token, now + seconds

    def accepts(self, token: str) -> bool:
        """Tell whether a token is one of the cluster's, and has not expired."""
        return self.tokens.get(_digest(token), 0.0) > time.time()


class State:
    """All clusters. Change them with the ``lock`` held, and ``save`` before it is given back."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.RLock()
        self.clusters: dict[str, Cluster] = {}
        try:
            for found in json.loads(file.read_text(encoding="utf-8"))["clusters"]:
                cluster = _cluster(found)
                self.clusters[cluster.id] = cluster
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RehearsalError(
                f"what the twin knew cannot be read from {file} ({type(error).__name__})",
                hint=f"remove {file.parent} to begin anew, without the clusters in it",
            ) from error

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """The lock under which clusters are read and changed."""
        return self._lock

    def save(self) -> None:
        """Write all of it."""
        clusters = [asdict(cluster) for cluster in self.clusters.values()]
        write_private(self._file, json.dumps({"clusters": clusters}))

    def __iter__(self) -> Iterator[Cluster]:
        """Iterate over the clusters, as they are now."""
        with self._lock:
            return iter(list(self.clusters.values()))


def _cluster(found: dict[str, Any]) -> Cluster:
    pools = [Pool(**{**pool, "nodes": [Node(**node) for node in pool["nodes"]]}) for pool in found["pools"]]
    return Cluster(**{**found, "pools": pools})


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
