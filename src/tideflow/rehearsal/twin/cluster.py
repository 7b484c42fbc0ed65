"""What the twin knows of a cluster, its pools and their nodes. Tokens are known as digests only."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


def _id() -> str:
    return str(uuid.uuid4())


@dataclass
class Node:
    """A node of a pool; times are seconds since the epoch, ``updated_at`` that of its ``state``."""

    name: str
    id: str = field(default_factory=_id)
    created_at: float = field(default_factory=time.time)
    updated_at: float = field(default_factory=time.time)
    state: str = "provisioning"

    @property
    def droplet_id(self) -> int:
        """The number of its droplet."""
        return int(self.id[:8], 16)

    @property
    def leaves(self) -> bool:
        """Whether it is on its way out, and no longer counts."""
        return self.state in {"draining", "deleting"}

    def become(self, state: str) -> None:
        """Have another state from now on."""
        self.state, self.updated_at = state, time.time()


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

    def most(self, **changes: Any) -> int:
        """Return how many nodes it may get without anybody asking, as it is or with changes."""
        fields: dict[str, Any] = vars(self) | changes
        return max(int(fields["count"]), int(fields["max_nodes"]) if fields["auto_scale"] else 0)

    def change(self, changes: Mapping[str, Any]) -> None:
        """Change fields, and have as many nodes as there are to be."""
        for name, value in changes.items():
            setattr(self, name, value)
        self._fill()

    def delete(self, node: Node, *, drain: bool, replace: bool) -> None:
        """Let a node go that does not leave yet, and have another one in its place or one less."""
        _let_go(self, node, drain=drain)
        if not replace:
            self.count -= 1
        self._fill()

    def _fill(self) -> None:
        """Make the nodes that are missing, or let the newest go."""
        staying = [node for node in self.nodes if not node.leaves]
        for _ in range(self.count - len(staying)):
            # As DigitalOcean names them: the pool, and five letters and digits.
            self.nodes.append(Node(f"{self.name}-{secrets.token_hex(3)[:5]}"))
        for node in staying[self.count :]:
            _let_go(self, node, drain=True)


def _let_go(pool: Pool, node: Node, *, drain: bool) -> None:
    if node.state == "provisioning":
        pool.nodes.remove(node)
    else:
        node.become("draining" if drain else "deleting")


@dataclass
class Cluster:
    """A cluster; ``tokens`` are when each token expires, by the token's digest.

    ``changed_at`` is when it got its ``state``. While it is upgraded, ``next_version`` is what to.
    ``deleted`` are ids of what it had made and somebody deleted, ``doomed`` of what goes together with it.
    """

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
    changed_at: float = field(default_factory=time.time)
    next_version: str = ""
    message: str = ""
    endpoint: str = ""
    pools: list[Pool] = field(default_factory=list)
    tokens: dict[str, float] = field(default_factory=dict)
    addons: dict[str, float] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    doomed: list[str] = field(default_factory=list)

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> Self:
        """Read what ``asdict`` made of one."""
        pools = [
            Pool(**{**pool, "nodes": [Node(**node) for node in pool["nodes"]]}) for pool in saved["pools"]
        ]
        return cls(**{**saved, "pools": pools})

    def change(self, changes: Mapping[str, Any]) -> None:
        """Change fields."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.updated_at = time.time()

    def become(self, state: str) -> None:
        """Have another state from now on."""
        self.state, self.changed_at = state, time.time()

    @property
    def serves(self) -> bool:
        """Whether its API server is there for its users."""
        return self.state in {"running", "degraded", "upgrading"}

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


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
