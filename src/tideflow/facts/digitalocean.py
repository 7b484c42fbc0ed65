"""What is true of a platform's cluster at DigitalOcean."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypedDict

from pyinfra.api.facts import FactBase
from typing_extensions import override

from tideflow.connectors.platform import Question

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tideflow.connectors.platform import PlatformConnector


class ClusterInfo(TypedDict):
    """A cluster in short; ``state`` is DigitalOcean's word, such as ``running``, ``sizes`` are its pools'."""

    id: str
    name: str
    region: str
    version: str
    state: str
    nodes: int
    sizes: list[str]


class Cluster(FactBase["ClusterInfo | None"]):
    """The cluster of the platform, or None while there is none (or DigitalOcean does not run it)."""

    @override
    def command(self) -> Question:  # type: ignore[override]
        """Ask the API."""
        return Question(_cluster)

    @override
    def process(self, output: Iterable[str]) -> ClusterInfo:
        """Read the JSON."""
        info: ClusterInfo = json.loads("".join(output))
        return info


def _cluster(platform: PlatformConnector) -> ClusterInfo | None:
    cluster = platform.cluster()
    if cluster is None:
        return None
    return ClusterInfo(
        id=cluster.id,
        name=cluster.name,
        region=cluster.region,
        version=cluster.version,
        state=cluster.state,
        nodes=sum(pool.count for pool in cluster.node_pools),
        sizes=[pool.size for pool in cluster.node_pools],
    )
