"""Which 1-clicks have been ordered and are on their way.

DigitalOcean does not tell, and to order one twice is in vain at best. So an order is noted in the cluster
before it is made, where the next run finds it, even if this one is killed or never gets an answer.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from tideflow.engine.records import NAMESPACE, make_namespace
from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tideflow.clients.kubernetes import Kubernetes

_NAME = "addons"
_PATH = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{_NAME}"
_MANAGER = "tideflow-addons"
_NOT_FOUND = 404


def ages(cluster: Kubernetes) -> dict[str, float]:
    """Return how many seconds ago each 1-click that is on its way was ordered."""
    now = dt.datetime.now(dt.UTC)
    return {slug: (now - when).total_seconds() for slug, when in _read(cluster).items()}


def note(cluster: Kubernetes, slugs: Iterable[str]) -> None:
    """Remember that 1-clicks are being ordered now."""
    make_namespace(cluster)
    _write(cluster, _read(cluster) | dict.fromkeys(slugs, dt.datetime.now(dt.UTC)))


def drop(cluster: Kubernetes, slugs: Iterable[str]) -> None:
    """Forget orders that have ended, well or not; nothing is written if there are none."""
    known = _read(cluster)
    left = {slug: when for slug, when in known.items() if slug not in set(slugs)}
    if left != known:
        _write(cluster, left)


def _read(cluster: Kubernetes) -> dict[str, dt.datetime]:
    try:
        data: Mapping[str, Any] = cluster.get(_PATH).get("data") or {}
    except KubernetesError as error:
        if error.status == _NOT_FOUND:
            return {}
        raise
    found = {}
    for slug, when in data.items():
        try:
            found[slug] = dt.datetime.fromisoformat(when)
        except ValueError:  # somebody else's words
            continue
    return found


def _write(cluster: Kubernetes, orders: Mapping[str, dt.datetime]) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _NAME, "namespace": NAMESPACE},
        "data": {slug: when.isoformat() for slug, when in orders.items()},
    }
    cluster.apply(_PATH, body, field_manager=_MANAGER)
