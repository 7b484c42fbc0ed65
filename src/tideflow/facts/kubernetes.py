"""What is true of the objects of a platform's cluster."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from pyinfra.api.facts import FactBase
from typing_extensions import override

from tideflow.connectors.platform import Question
from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tideflow.connectors.platform import PlatformConnector

_NOT_FOUND = 404
_WITHHELD = ("data", "stringData")


class Object(FactBase["dict[str, Any] | None"]):
    """One live object, or None; of a Secret, everything but its data.

    ``group`` is empty for the core group. The version is the one the server prefers.
    """

    @override
    def command(self, group: str, kind: str, namespace: str | None, object_name: str) -> Question:  # type: ignore[override]
        """Ask the API server."""
        return Question(
            functools.partial(_object, group=group, kind=kind, namespace=namespace, name=object_name)
        )

    @override
    def process(self, output: Iterable[str]) -> dict[str, Any]:
        """Read the JSON."""
        found: dict[str, Any] = json.loads("".join(output))
        return found


def _object(
    platform: PlatformConnector, *, group: str, kind: str, namespace: str | None, name: str
) -> dict[str, Any] | None:
    cluster = platform.kubernetes()
    resource = cluster.resources().of_kind(group, kind) if cluster else None
    if cluster is None or resource is None:
        return None
    try:
        found: dict[str, Any] = cluster.get(resource.path(namespace, name))
    except KubernetesError as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    if kind == "Secret":
        for field in _WITHHELD:
            found.pop(field, None)
    return found
