"""Which claim each volume was made for: people know it by that, and DigitalOcean by a number."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from tideflow.errors import TideflowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tideflow.connectors.platform import PlatformConnector
    from tideflow.operations.holdings import Holding

_PATIENCE = 5.0  # seconds; a cluster that is torn down may be broken


def claims(target: PlatformConnector) -> dict[str, str]:
    """Return claims as ``namespace/name``, by the ids of volumes; none if the cluster does not answer."""
    try:
        cluster = target.kubernetes()
        if cluster is None:
            return {}
        found = json.loads(cluster.text("/api/v1/persistentvolumes", timeout=_PATIENCE))["items"]
    except (TideflowError, ValueError):
        return {}
    specs = [volume["spec"] for volume in found]
    return {
        spec["csi"]["volumeHandle"]: f"{spec['claimRef']['namespace']}/{spec['claimRef']['name']}"
        for spec in specs
        if spec.get("csi") and spec.get("claimRef")
    }


def named(held: Iterable[Holding], by: Mapping[str, str]) -> tuple[Holding, ...]:
    """Return the same, with the claim in the details of each volume that has one."""
    return tuple(
        dataclasses.replace(each, details=f"claim {by[each.id]}, {each.details}") if each.id in by else each
        for each in held
    )
