"""How clusters are reached: kubeconfigs and credentials, and what API servers ask about their tokens."""

from __future__ import annotations

import base64
import datetime as dt
from typing import TYPE_CHECKING, Any

import yaml
from flask import Response, jsonify, request

from tideflow.rehearsal.components import PLATFORM_GROUP
from tideflow.rehearsal.twin import queries, reading
from tideflow.rehearsal.twin.answering import NotFoundError, body, cluster_of
from tideflow.rehearsal.twin.paths import clusters

if TYPE_CHECKING:
    from flask import Flask

    from tideflow.rehearsal.twin.cluster import Cluster
    from tideflow.rehearsal.twin.lifecycle import Lifecycle
    from tideflow.rehearsal.twin.state import State

REVIEW = "/rehearsal/clusters/"
"""Where API servers ask; no path of DigitalOcean's."""

_WEEK = 7 * 24 * 3600  # seconds that a token holds unless asked otherwise


def add(app: Flask, state: State, lifecycle: Lifecycle, user: str) -> None:
    """Answer for all clusters; whoever shows one of their tokens is this user to them."""

    def mint(cluster_id: str) -> tuple[Cluster, str, float]:
        seconds = reading.read(queries.Access, request.args.to_dict()).expiry_seconds or _WEEK
        with state.lock:
            cluster = cluster_of(state, cluster_id)
            if not cluster.serves:
                raise NotFoundError
            token, expires = cluster.mint(seconds)
            state.save()
        return cluster, token, expires

    def authority(cluster: Cluster) -> str:
        return base64.b64encode(lifecycle.control_plane(cluster.id).certificate_authority.encode()).decode()

    @app.get(f"{clusters.ONE}/credentials")
    def credentials(cluster_id: str) -> Response:
        cluster, token, expires = mint(cluster_id)
        return jsonify(
            server=cluster.endpoint,
            certificate_authority_data=authority(cluster),
            client_certificate_data=None,
            client_key_data=None,
            token=token,
            expires_at=dt.datetime.fromtimestamp(expires, dt.UTC).isoformat().replace("+00:00", "Z"),
        )

    @app.get(f"{clusters.ONE}/kubeconfig")
    def kubeconfig(cluster_id: str) -> Response:
        cluster, token, _ = mint(cluster_id)
        name = f"do-{cluster.region}-{cluster.name}"
        server = {"server": cluster.endpoint, "certificate-authority-data": authority(cluster)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": server}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": f"{name}-admin"}}],
            "current-context": name,
            "preferences": {},
            "users": [{"name": f"{name}-admin", "user": {"token": token}}],
        }
        return Response(yaml.safe_dump(config, sort_keys=False), content_type="application/yaml")

    @app.post(f"{REVIEW}<cluster_id>/tokenreview")
    def review(cluster_id: str) -> Response:
        asked = reading.read(reading.TokenReview, body())
        cluster = state.clusters.get(cluster_id)
        status: dict[str, Any] = {"authenticated": False}
        if cluster is not None and cluster.accepts(asked.spec.token):
            groups = ["system:masters", PLATFORM_GROUP]
            status = {"authenticated": True, "user": {"username": user, "groups": groups}}
        return jsonify(apiVersion="authentication.k8s.io/v1", kind="TokenReview", status=status)
