"""The twin's answers: paths, statuses and bodies as the OpenAPI description has them."""

from __future__ import annotations

import base64
import datetime as dt
import secrets
import time
import uuid
from typing import TYPE_CHECKING, Any

import yaml
from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import BadRequest, HTTPException

from tideflow.rehearsal.components import PLATFORM_GROUP
from tideflow.rehearsal.twin import catalogue, describing, reading
from tideflow.rehearsal.twin.reading import InvalidError
from tideflow.rehearsal.twin.state import Cluster, Pool

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tideflow.rehearsal.twin.lifecycle import Lifecycle
    from tideflow.rehearsal.twin.state import State

ACCOUNT = "rehearsal@tideflow.dev"
"""Whose account it is: an e-mail address, and the user in the audit log of clusters."""

_LIMIT = 5000  # requests an hour; told in the headers as if each were the first, and not enforced
_WEEK = 7 * 24 * 3600  # seconds that a token holds unless asked otherwise
_REVIEW = "/rehearsal/clusters/"


def application(state: State, lifecycle: Lifecycle, token: str) -> Flask:
    """Return the API for whoever holds the token."""
    app = Flask("tideflow.rehearsal.twin")
    app.json.sort_keys = False  # type: ignore[attr-defined] # of the provider that Flask has by default
    _guard(app, token)
    _offers(app, state)
    _clusters(app, state)
    _pools(app, state)
    _access(app, state, lifecycle)
    return app


def _guard(app: Flask, token: str) -> None:
    @app.before_request
    def authenticate() -> tuple[Response, int] | None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        # API servers ask about tokens without having one of this API.
        if request.path.startswith(_REVIEW) or secrets.compare_digest(given.encode(), token.encode()):
            return None
        return _error(401, "unauthorized", "Unable to authenticate you")

    @app.after_request
    def limits(response: Response) -> Response:
        response.headers["ratelimit-limit"] = str(_LIMIT)
        response.headers["ratelimit-remaining"] = str(_LIMIT - 1)
        response.headers["ratelimit-reset"] = str(int(time.time()) + 3600)
        return response

    @app.errorhandler(InvalidError)
    def invalid(error: InvalidError) -> tuple[Response, int]:
        return _error(422, "unprocessable_entity", str(error))

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[Response, int]:
        status = error.code or 500
        identity = {400: "bad_request", 404: "not_found", 405: "method_not_allowed"}.get(
            status, "server_error"
        )
        if status == 404:  # noqa: PLR2004 - not found
            return _error(404, identity, "The resource you requested could not be found.")
        return _error(status, identity, error.description or error.name)


def _error(status: int, identity: str, message: str) -> tuple[Response, int]:
    return jsonify(id=identity, message=message, request_id=str(uuid.uuid4())), status


def _offers(app: Flask, state: State) -> None:
    @app.get("/v2/account")
    def account() -> Response:
        return jsonify(account=describing.account(ACCOUNT))

    @app.get("/v2/kubernetes/options")
    def options() -> Response:
        return jsonify(options=describing.options())

    @app.get("/v2/1-clicks")
    def one_clicks() -> Response:
        wanted = reading.read(reading.Offers, request.args.to_dict()).type
        slugs = () if wanted == "droplet" else catalogue.ONE_CLICKS
        return jsonify({"1_clicks": [{"slug": slug, "type": "kubernetes"} for slug in slugs]})

    @app.post("/v2/1-clicks/kubernetes")
    def installed() -> Response:
        asked = reading.read(reading.OneClicks, _json())
        with state.lock:
            cluster = _found(state, asked.cluster_uuid)
            for slug in asked.addon_slugs:
                cluster.addons[slug] = time.time()
            state.save()
        return jsonify(message="Successfully kicked off addon job.")


def _json() -> Any:
    """Return the body, whatever its type is said to be."""
    try:
        return request.get_json(force=True)
    except RecursionError:
        raise BadRequest("the body is nested too deep") from None


def _found(state: State, cluster_id: str) -> Cluster:
    cluster = state.clusters.get(cluster_id)
    if cluster is None or cluster.state == "deleting":
        raise NotFoundError
    return cluster


def _free(name: str, taken: Iterable[Cluster | Pool]) -> None:
    if any(name == other.name for other in taken):
        raise InvalidError("name is already in use")


class NotFoundError(HTTPException):
    """There is no such thing."""

    code = 404


def _clusters(app: Flask, state: State) -> None:
    @app.get("/v2/kubernetes/clusters")
    def listed() -> Response:
        asked = reading.read(reading.Page, request.args.to_dict())
        with state.lock:
            found = [describing.cluster(cluster) for cluster in state if cluster.state != "deleting"]
        return jsonify(
            describing.page(
                found, "kubernetes_clusters", request.base_url, number=asked.page, size=asked.per_page
            )
        )

    @app.post("/v2/kubernetes/clusters")
    def created() -> tuple[Response, int]:
        body = reading.read(reading.Cluster, _json()).model_dump()
        pools = [Pool(**pool) for pool in body.pop("node_pools")]
        with state.lock:
            _free(body["name"], state)
            cluster = Cluster(pools=pools, **body)
            state.clusters[cluster.id] = cluster
            state.save()
            return jsonify(kubernetes_cluster=describing.cluster(cluster)), 201

    @app.get("/v2/kubernetes/clusters/<cluster_id>")
    def one(cluster_id: str) -> Response:
        with state.lock:
            return jsonify(kubernetes_cluster=describing.cluster(_found(state, cluster_id)))

    @app.put("/v2/kubernetes/clusters/<cluster_id>")
    def updated(cluster_id: str) -> tuple[Response, int]:
        changes = reading.read(reading.ClusterChange, _json()).given()
        with state.lock:
            cluster = _found(state, cluster_id)
            _free(changes["name"], (other for other in state if other is not cluster))
            if cluster.ha and not changes.get("ha", True):
                raise InvalidError("ha cannot be disabled")
            cluster.change(changes)
            state.save()
            return jsonify(kubernetes_cluster=describing.cluster(cluster)), 202

    @app.delete("/v2/kubernetes/clusters/<cluster_id>")
    def deleted(cluster_id: str) -> tuple[str, int]:
        with state.lock:
            _found(state, cluster_id).state = "deleting"
            state.save()
        return "", 204


def _pools(app: Flask, state: State) -> None:
    path = "/v2/kubernetes/clusters/<cluster_id>/node_pools"

    def pool_of(cluster: Cluster, pool_id: str) -> Pool:
        found = next((pool for pool in cluster.pools if pool.id == pool_id), None)
        if found is None:
            raise NotFoundError
        return found

    @app.get(path)
    def listed_pools(cluster_id: str) -> Response:
        with state.lock:
            return jsonify(node_pools=describing.cluster(_found(state, cluster_id))["node_pools"])

    @app.post(path)
    def created_pool(cluster_id: str) -> tuple[Response, int]:
        pool = Pool(**reading.read(reading.Pool, _json()).model_dump())
        with state.lock:
            cluster = _found(state, cluster_id)
            _free(pool.name, cluster.pools)
            cluster.pools.append(pool)
            state.save()
            return jsonify(node_pool=describing.pool(pool, cluster.id)), 201

    @app.get(f"{path}/<pool_id>")
    def one_pool(cluster_id: str, pool_id: str) -> Response:
        with state.lock:
            return jsonify(node_pool=describing.pool(pool_of(_found(state, cluster_id), pool_id), cluster_id))

    @app.put(f"{path}/<pool_id>")
    def updated_pool(cluster_id: str, pool_id: str) -> tuple[Response, int]:
        changes = reading.read(reading.PoolChange, _json()).given()
        with state.lock:
            cluster = _found(state, cluster_id)
            pool = pool_of(cluster, pool_id)
            _free(changes["name"], (other for other in cluster.pools if other is not pool))
            pool.change(changes)
            state.save()
            return jsonify(node_pool=describing.pool(pool, cluster_id)), 202

    @app.delete(f"{path}/<pool_id>")
    def deleted_pool(cluster_id: str, pool_id: str) -> tuple[str, int]:
        with state.lock:
            cluster = _found(state, cluster_id)
            cluster.pools.remove(pool_of(cluster, pool_id))
            state.save()
        return "", 204


def _access(app: Flask, state: State, lifecycle: Lifecycle) -> None:
    def mint(cluster_id: str) -> tuple[Cluster, str, float]:
        seconds = reading.read(reading.Access, request.args.to_dict()).expiry_seconds or _WEEK
        with state.lock:
            cluster = _found(state, cluster_id)
            if not cluster.endpoint:
                raise NotFoundError
            token, expires = cluster.mint(seconds)
            state.save()
        return cluster, token, expires

    def authority(cluster: Cluster) -> str:
        return base64.b64encode(lifecycle.control_plane(cluster.id).certificate_authority.encode()).decode()

    @app.get("/v2/kubernetes/clusters/<cluster_id>/credentials")
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

    @app.get("/v2/kubernetes/clusters/<cluster_id>/kubeconfig")
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

    @app.post(f"{_REVIEW}<cluster_id>/tokenreview")
    def review(cluster_id: str) -> Response:
        asked = reading.read(reading.TokenReview, _json())
        cluster = state.clusters.get(cluster_id)
        status: dict[str, Any] = {"authenticated": False}
        if cluster is not None and cluster.accepts(asked.spec.token):
            groups = ["system:masters", PLATFORM_GROUP]
            status = {"authenticated": True, "user": {"username": ACCOUNT, "groups": groups}}
        return jsonify(apiVersion="authentication.k8s.io/v1", kind="TokenReview", status=status)
