"""The twin answers as DigitalOcean's API does; that its clusters are real is shown elsewhere."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.unit.rehearsal.twin.calling import CLUSTERS, create, have_running

if TYPE_CHECKING:
    from pathlib import Path

    from tideflow.rehearsal.twin.state import State


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer wrong", "Bearer canary", "Basic canary-token "])
def test_a_wrong_token_is_refused(api: Any, header: str) -> None:
    """With the description's body for it, which does not repeat the token."""
    answer = api.get("/v2/account", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json["id"] == "unauthorized"
    assert {"message", "request_id"} <= answer.json.keys()
    assert "canary" not in answer.text


def test_limits_are_in_the_headers(api: Any) -> None:
    """As in each answer of the real one."""
    headers = api.get("/v2/account").headers
    assert {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"} <= {
        name.lower() for name, _ in headers
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/nothing"),
        ("GET", f"{CLUSTERS}/unknown"),
        ("PUT", f"{CLUSTERS}/unknown"),
        ("DELETE", f"{CLUSTERS}/unknown"),
        ("GET", f"{CLUSTERS}/unknown/credentials"),
        ("GET", f"{CLUSTERS}/unknown/node_pools/other"),
    ],
)
def test_what_is_unknown_is_not_found(api: Any, method: str, path: str) -> None:
    """404 with the description's id."""
    answer = api.open(path, method=method, json={"name": "ml"})
    assert (answer.status_code, answer.json["id"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"name": "No Good"}, "name"),
        ({"name": None}, "name"),
        ({"region": "moon1"}, "region"),
        ({"version": "1.19"}, "version"),
        ({"node_pools": []}, "node_pools"),
        ({"node_pools": [{"name": "p", "size": "s-huge", "count": 1}]}, "size"),
        ({"node_pools": [{"name": "p", "size": "s-4vcpu-8gb", "count": 0}]}, "count"),
        ({"node_pools": [{"name": "p", "size": "s-4vcpu-8gb", "count": True}]}, "count"),
        ({"tags": "one"}, "tags"),
        ({"ha": "yes"}, "ha"),
    ],
)
def test_an_invalid_body_is_refused_by_field(api: Any, changed: dict[str, Any], named: str) -> None:
    """422, naming the field; nothing is made."""
    answer = create(api, **changed)
    assert (answer.status_code, answer.json["id"]) == (422, "unprocessable_entity")
    assert named in answer.json["message"]
    assert api.get(CLUSTERS).json["kubernetes_clusters"] == []


def test_what_is_no_json_is_a_bad_request(api: Any) -> None:
    """400, and no traceback."""
    assert api.post(CLUSTERS, data="{", content_type="application/json").status_code == 400
    assert create(api).status_code == 201
    refused = api.post(CLUSTERS, data="[]", content_type="application/json")
    assert (refused.status_code, refused.json["message"]) == (422, "the body must be an object")


def test_a_cluster_is_provisioning_at_first(api: Any) -> None:
    """It has its nodes and its newest patch at once, and no endpoint and no credentials before it runs."""
    found = create(api).json["kubernetes_cluster"]
    assert found["status"]["state"] == "provisioning"
    assert found["version"].startswith("1.34.")
    assert "endpoint" not in found
    assert [node["status"]["state"] for node in found["node_pools"][0]["nodes"]] == ["provisioning"] * 3
    assert api.get(f"{CLUSTERS}/{found['id']}/kubeconfig").status_code == 404
    assert create(api).status_code == 422  # the name is taken


def test_lists_have_pages(api: Any) -> None:
    """With links to the other pages, and the number of all."""
    for number in range(3):
        create(api, name=f"ml-{number}")
    first = api.get(f"{CLUSTERS}?per_page=2").json
    assert len(first["kubernetes_clusters"]) == 2
    assert first["meta"] == {"total": 3}
    second = api.get(first["links"]["pages"]["next"]).json
    assert [found["name"] for found in second["kubernetes_clusters"]] == ["ml-2"]
    assert "next" not in second["links"]["pages"]
    assert api.get(f"{CLUSTERS}?page=x").status_code == 422


def test_a_pool_is_scaled(api: Any) -> None:
    """More nodes are made, or the newest go."""
    cluster = create(api).json["kubernetes_cluster"]
    pool = cluster["node_pools"][0]
    path = f"{CLUSTERS}/{cluster['id']}/node_pools/{pool['id']}"
    assert len(api.put(path, json={"name": "pool", "count": 5}).json["node_pool"]["nodes"]) == 5
    kept = api.put(path, json={"name": "pool", "count": 2}).json["node_pool"]["nodes"]
    assert kept == pool["nodes"][:2]


def test_tokens_of_a_cluster_are_new_each_time_and_expire(
    api: Any, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server asks about each; the state has digests only."""
    cluster_id = create(api).json["kubernetes_cluster"]["id"]
    have_running(state.clusters[cluster_id], tmp_path)
    path = f"{CLUSTERS}/{cluster_id}"
    first = api.get(f"{path}/credentials?expiry_seconds=60").json
    config = yaml.safe_load(api.get(f"{path}/kubeconfig").text)
    second = config["users"][0]["user"]["token"]
    assert first["token"] != second
    assert base64.b64decode(first["certificate_authority_data"]) == b"the authority"

    def accepted(token: str, of: str = cluster_id) -> bool:
        review = {"spec": {"token": token}}
        answer = api.post(f"/rehearsal/clusters/{of}/tokenreview", json=review, headers={"Authorization": ""})
        return bool(answer.json["status"]["authenticated"])

    assert accepted(first["token"])
    assert accepted(second)
    assert not accepted("another")
    assert not accepted(first["token"], "another")
    kept = (tmp_path / "state.json").read_text()
    assert first["token"] not in kept
    later = 61 + time.time()
    monkeypatch.setattr("tideflow.rehearsal.twin.cluster.time.time", lambda: later)
    assert not accepted(first["token"])
    assert accepted(second)


def test_one_clicks(api: Any) -> None:
    """They are listed, and kicked off by slug; an unknown one is refused."""
    cluster_id = create(api).json["kubernetes_cluster"]["id"]
    slugs = [offer["slug"] for offer in api.get("/v2/1-clicks?type=kubernetes").json["1_clicks"]]
    assert "ingress-nginx" in slugs
    path = "/v2/1-clicks/kubernetes"
    answer = api.post(path, json={"addon_slugs": ["ingress-nginx"], "cluster_uuid": cluster_id})
    assert (answer.status_code, answer.json["message"]) == (200, "Successfully kicked off addon job.")
    assert api.post(path, json={"addon_slugs": ["no"], "cluster_uuid": cluster_id}).status_code == 422
    assert api.post(path, json={"addon_slugs": ["ingress-nginx"], "cluster_uuid": "no"}).status_code == 404


def test_a_deleted_cluster_is_gone_at_once(api: Any) -> None:
    """Its control plane is taken down behind the scenes."""
    cluster_id = create(api).json["kubernetes_cluster"]["id"]
    assert api.delete(f"{CLUSTERS}/{cluster_id}").status_code == 204
    assert api.get(f"{CLUSTERS}/{cluster_id}").status_code == 404
    assert api.get(CLUSTERS).json["meta"]["total"] == 0


def test_a_tag_stays_as_it_was_spelt_first(api: Any) -> None:
    """Whoever gave it first, and to whatever."""
    api.post("/v2/tags", json={"name": "team-a"})
    found = create(api, tags=["Team-A", "Prod"]).json["kubernetes_cluster"]
    assert found["tags"][2:] == ["team-a", "Prod"]
    one = f"{CLUSTERS}/{found['id']}"
    changed = api.put(one, json={"name": "ml", "tags": ["PROD", "New", "TEAM-A"]}).json
    assert changed["kubernetes_cluster"]["tags"][2:] == ["Prod", "New", "team-a"]
