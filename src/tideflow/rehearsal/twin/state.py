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
from tideflow.rehearsal.files import write_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


@dataclass
class Node:
    """A node of a pool; times are seconds since the epoch."""

    id: str
    name: str
    created_at: float
    state: str = "provisioning"


@dataclass
class Pool:
    """A node pool."""

    id: str
    name: str
    size: str
    count: int
    tags: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    taints: list[dict[str, str]] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)

    def fill(self) -> None:
        """Have as many nodes as there are to be; the newest go first."""
        while len(self.nodes) < self.count:
            # As DigitalOcean names them: the pool, and five letters and digits.
            name = f"{self.name}-{secrets.token_hex(3)[:5]}"
            self.nodes.append(Node(str(uuid.uuid4()), name, time.time()))
        del self.nodes[self.count :]


@dataclass
class Cluster:
    """A cluster; ``tokens`` are when each token expires, by the token's digest."""

    id: str
    name: str
    region: str
    version: str
    created_at: float
    tags: list[str] = field(default_factory=list)
    ha: bool = False
    auto_upgrade: bool = False
    surge_upgrade: bool = True
    vpc_uuid: str = ""
    state: str = "provisioning"
    message: str = ""
    endpoint: str = ""
    pools: list[Pool] = field(default_factory=list)
    tokens: dict[str, float] = field(default_factory=dict)
    addons: dict[str, float] = field(default_factory=dict)

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
                hint="run `make clean` to begin anew; it removes the rehearsal's clusters",
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
