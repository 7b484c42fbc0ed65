"""What goes wrong goes wrong because somebody switched it on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from tests.unit.rehearsal.twin.calling import BODY, CLUSTERS, TOKEN, create, listening, served

if TYPE_CHECKING:
    from pathlib import Path

    from tideflow.rehearsal.twin.state import State

FAULTS = "/rehearsal/faults"


def switch(api: Any, *rules: dict[str, Any], **faults: Any) -> None:
    """Have these faults."""
    api.may_fail = True
    answer = api.put(FAULTS, json={"rules": rules} | faults)
    assert answer.status_code == 200, answer.text


def names(api: Any) -> list[str]:
    """Return the names of all clusters."""
    return [found["name"] for found in api.get(CLUSTERS).json["kubernetes_clusters"]]


def test_nothing_goes_wrong_by_itself(api: Any) -> None:
    """The limits are DigitalOcean's, and what was switched on is shown and can be switched off."""
    first = api.get(FAULTS).json
    assert first["rules"] == []
    assert (first["requests_per_hour"], first["requests_per_minute"]) == (5000, 250)
    switch(api, {"path": "/v2/account", "status": 500, "times": None}, missing_nodes=1)
    shown = api.get(FAULTS).json
    assert shown["missing_nodes"] == 1
    assert api.put(FAULTS, json=shown).json == shown
    assert api.get("/v2/account").status_code == 500
    assert api.delete(FAULTS).status_code == 204
    assert api.get("/v2/account").status_code == 200
    assert api.get(FAULTS).json == first


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_faults_are_for_whoever_has_the_token(api: Any, method: str) -> None:
    """As everything else is."""
    answer = api.open(FAULTS, method=method, headers={"Authorization": "Bearer other"}, json={})
    assert (answer.status_code, answer.json["id"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("faults", "named"),
    [
        ([], "the body must be an object"),
        ({"rule": []}, "rule is not known"),
        ({"rules": [{}]}, "rules.0.path is required"),
        ({"rules": [{"path": "/v2/account", "times": 0}]}, "rules.0.times"),
        ({"rules": [{"path": "/v2/account", "status": 200}]}, "rules.0.status"),
        ({"rules": [{"path": "/v2/account", "state": 500}]}, "rules.0.state is not known"),
        ({"droplet_limit": -1}, "droplet_limit"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"withdrawn": ["nginx"]}, "withdrawn.0 is not a 1-click"),
    ],
)
def test_what_cannot_go_wrong_is_refused(api: Any, faults: Any, named: str) -> None:
    """By field; a misspelt one is no fault that never happens. What was switched on stays."""
    switch(api, missing_nodes=2)
    answer = api.put(FAULTS, json=faults)
    assert answer.status_code == 422
    assert answer.json["message"].startswith(named)
    assert api.get(FAULTS).json["missing_nodes"] == 2


def test_a_rule_is_followed_as_often_as_it_says(api: Any) -> None:
    """By the requests it is about, in the order of the rules; with the status, words and headers it gives."""
    switch(
        api,
        {"method": "post", "path": "/v2/kubernetes/*", "status": 503, "message": "busy", "retry_after": 7},
        {"path": CLUSTERS, "status": 429, "times": 2},
        {"path": f"{CLUSTERS}/*", "status": 500, "times": None},
    )
    refused = create(api)
    assert (refused.status_code, refused.json["message"]) == (503, "busy")
    assert refused.headers["retry-after"] == "7"
    assert refused.headers["ratelimit-limit"] == "5000"
    assert [create(api).status_code, api.get(CLUSTERS).status_code] == [429, 429]
    assert names(api) == []
    made = create(api).json["kubernetes_cluster"]
    assert [api.get(f"{CLUSTERS}/{made['id']}").status_code for _ in range(3)] == [500] * 3
    assert [rule["times"] for rule in api.get(FAULTS).json["rules"]] == [None]


def test_a_failure_may_come_after_the_deed(api: Any) -> None:
    """The cluster is made although the answer says otherwise; another one of the name is refused."""
    switch(api, {"method": "POST", "path": CLUSTERS, "status": 502, "carried_out": True})
    assert create(api).status_code == 502
    assert names(api) == ["ml"]
    assert create(api).status_code == 422


@pytest.mark.parametrize("carried_out", [True, False])
def test_an_answer_may_be_lost(state: State, tmp_path: Path, api: Any, *, carried_out: bool) -> None:
    """The connection is cut, and nobody can tell whether the request was carried out; the next one works."""
    app = served(state, tmp_path)
    with listening(app) as address, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        rule = {"method": "DELETE", "path": f"{CLUSTERS}/*", "cut": True, "carried_out": carried_out}
        assert session.put(address + FAULTS, json={"rules": [rule]}, timeout=60).status_code == 200
        made = create(api).json["kubernetes_cluster"]
        with pytest.raises(requests.ConnectionError):
            session.delete(f"{address}{CLUSTERS}/{made['id']}", timeout=60)
        found = session.get(address + CLUSTERS, timeout=60).json()
        assert found["meta"]["total"] == (0 if carried_out else 1)


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_deed_may_be_before_or_after_a_delay(
    state: State, tmp_path: Path, api: Any, *, carried_out: bool
) -> None:
    """So that who gives up waiting may find it done, or see it done later."""
    with listening(served(state, tmp_path)) as address, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        rule = {"method": "POST", "path": CLUSTERS, "delay": 2, "carried_out": carried_out}
        session.put(address + FAULTS, json={"rules": [rule]}, timeout=60)
        with pytest.raises(requests.ReadTimeout):
            session.post(address + CLUSTERS, json=BODY, timeout=0.5)
        assert names(api) == (["ml"] if carried_out else [])
        deadline = time.monotonic() + 60
        while names(api) != ["ml"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_an_answer_may_be_late(api: Any) -> None:
    """It is the same answer."""
    switch(api, {"path": "/v2/account", "delay": 0.3})
    start = time.monotonic()
    assert api.get("/v2/account").json["account"]["status"] == "active"
    assert time.monotonic() - start >= 0.3


def test_the_account_may_have_so_many_droplets(api: Any) -> None:
    """A pool that scales by itself counts as large as it may get; what exists may stay and shrink."""
    switch(api, droplet_limit=4)
    assert api.get("/v2/account").json["account"]["droplet_limit"] == 4
    made = create(api).json["kubernetes_cluster"]
    pools = f"{CLUSTERS}/{made['id']}/node_pools"
    pool = f"{pools}/{made['node_pools'][0]['id']}"
    bounds = {"auto_scale": True, "min_nodes": 1, "max_nodes": 5}
    refused = [
        create(api, name="other"),
        api.post(pools, json={"name": "second", "size": "s-2vcpu-4gb", "count": 2}),
        api.put(pool, json={"name": "pool", "count": 5}),
        api.put(pool, json={"name": "pool", "count": 3} | bounds),
    ]
    for answer in refused:
        assert answer.status_code == 422
        assert "the droplet limit of 4 leaves 1" in answer.json["message"]
    assert names(api) == ["ml"]
    assert api.get(pools).json["node_pools"] == made["node_pools"]
    assert api.put(pool, json={"name": "pool", "count": 4}).status_code == 202
    switch(api, droplet_limit=1)
    assert api.put(pool, json={"name": "pool", "count": 2}).status_code == 202


def test_a_region_may_be_full(api: Any) -> None:
    """As a refusal in words of one's own."""
    message = "nyc3 has no capacity for s-4vcpu-8gb"
    switch(api, {"method": "POST", "path": CLUSTERS, "status": 422, "message": message})
    assert create(api).json["message"] == message


def test_a_1_click_may_be_withdrawn(api: Any) -> None:
    """It is no longer listed, and cannot be installed."""
    switch(api, withdrawn=["ingress-nginx"])
    cluster_id = create(api).json["kubernetes_cluster"]["id"]
    assert [offer["slug"] for offer in api.get("/v2/1-clicks").json["1_clicks"]] == ["metrics-server"]
    order = {"addon_slugs": ["ingress-nginx"], "cluster_uuid": cluster_id}
    assert api.post("/v2/1-clicks/kubernetes", json=order).status_code == 422


def test_a_list_may_be_behind(api: Any) -> None:
    """By its id a new cluster is there at once."""
    switch(api, list_delay=0.5)
    made = create(api).json["kubernetes_cluster"]
    assert names(api) == []
    assert api.get(f"{CLUSTERS}/{made['id']}").status_code == 200
    time.sleep(0.6)
    assert names(api) == ["ml"]
