"""What is true of a platform's cluster at DigitalOcean."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from pyinfra.api.facts import FactBase
from typing_extensions import override

from tideflow.connectors.platform import Question
from tideflow.errors import DigitalOceanError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tideflow.connectors.platform import PlatformConnector


class Cluster(FactBase["dict[str, Any] | None"]):
    """The cluster of the platform, or None while there is none (or DigitalOcean does not run it).

    It has the fields of ``tideflow.clients.provided.Cluster``.
    """

    @override
    def command(self) -> Question:  # type: ignore[override]
        """Ask the API."""
        return Question(_cluster)

    @override
    def process(self, output: Iterable[str]) -> dict[str, Any]:
        """Read the JSON."""
        found: dict[str, Any] = json.loads("".join(output))
        return found


class Upgrades(FactBase["list[str] | None"]):
    """DigitalOcean's versions that the cluster can be upgraded to, such as ``1.34.1-do.2``.

    None while there is no cluster, or where the token may not know.
    """

    @override
    def command(self) -> Question:  # type: ignore[override]
        """Ask the API."""
        return Question(_upgrades)

    @override
    def process(self, output: Iterable[str]) -> list[str]:
        """Read the JSON."""
        found: list[str] = json.loads("".join(output))
        return found


def _cluster(platform: PlatformConnector) -> dict[str, Any] | None:
    cluster = platform.cluster()
    return None if cluster is None else dataclasses.asdict(cluster)


def _upgrades(platform: PlatformConnector) -> list[str] | None:
    api, cluster = platform.digitalocean, platform.cluster()
    if api is None or cluster is None:
        return None
    try:
        return api.upgrades(cluster.id)
    except DigitalOceanError as error:
        if error.status in {403, 404}:
            return None
        raise
