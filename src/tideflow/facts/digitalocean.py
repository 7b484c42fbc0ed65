"""What is true of a platform's cluster at DigitalOcean."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from pyinfra.api.facts import FactBase
from typing_extensions import override

from tideflow.connectors.platform import Question

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


def _cluster(platform: PlatformConnector) -> dict[str, Any] | None:
    cluster = platform.cluster()
    return None if cluster is None else dataclasses.asdict(cluster)
