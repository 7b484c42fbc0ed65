"""Helm's records: each revision of a release is a Secret that says how it went."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import json
from typing import TYPE_CHECKING, Any

from tideflow.clients.kubernetes import METADATA_LIST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.rehearsal.charts import Chart

MANAGER = "Helm"
"""Under which name Helm writes."""


def revision(cluster: Kubernetes, release: str) -> tuple[int, str]:
    """Return number and status of a release's newest revision, 0 and no status if there is none."""
    query = {"labelSelector": f"owner=helm,name={release}"}
    found = (
        cluster.get(f"/api/v1/namespaces/{release}/secrets", query=query, accept=METADATA_LIST)["items"] or ()
    )
    labels = [secret["metadata"]["labels"] for secret in found]
    return max(((int(each["version"]), each["status"]) for each in labels), default=(0, ""))


def record(
    cluster: Kubernetes,
    release: str,
    number: int,
    status: str,
    *,
    chart: Chart,
    objects: Iterable[Mapping[str, Any]],
) -> None:
    """Write how it stands with a revision."""
    now = dt.datetime.now(dt.UTC).isoformat()
    content = {
        "name": release,
        "namespace": release,
        "version": number,
        "info": {"status": status, "first_deployed": now, "last_deployed": now},
        "chart": {
            "metadata": {
                "name": release,
                "version": chart.version,
                "appVersion": chart.application,
                "apiVersion": "v2",
            }
        },
        "config": {},
        "manifest": "".join(f"---\n{json.dumps(found)}\n" for found in objects),
    }
    # Its encoding: JSON, gzip, base64; and base64 once more, as a Secret.
    payload = base64.b64encode(gzip.compress(json.dumps(content).encode()))
    labels = {"name": release, "owner": "helm", "status": status, "version": str(number)}
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": _name(release, number), "labels": labels},
        "type": "helm.sh/release.v1",
        "data": {"release": base64.b64encode(payload).decode()},
    }
    cluster.apply(_path(release, number), body, field_manager=MANAGER)


def forget(cluster: Kubernetes, release: str, number: int) -> None:
    """Delete a revision's record."""
    cluster.delete(_path(release, number))


def _name(release: str, number: int) -> str:
    return f"sh.helm.release.v1.{release}.v{number}"


def _path(release: str, number: int) -> str:
    return f"/api/v1/namespaces/{release}/secrets/{_name(release, number)}"
