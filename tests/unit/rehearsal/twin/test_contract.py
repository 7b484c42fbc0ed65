"""The twin answers as DigitalOcean describes its API; the client that these tests use checks each call."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from tests import description
from tests.unit.rehearsal.twin.calling import CLUSTERS, create, have_running, served

from tideflow.rehearsal.twin.resources import Balancer, Volume

if TYPE_CHECKING:
    from pathlib import Path

    from tideflow.rehearsal.twin.state import State


@pytest.fixture
def operations(state: State, tmp_path: Path) -> dict[tuple[str, str], str]:
    """Return the description's name of each operation that the twin has, by method and path."""
    described = {(method, _unnamed(path)): name for (method, path), name in description.operations().items()}
    return {
        (method, rule.rule): described.get((method, _unnamed(rule.rule)), "not described")
        for rule in served(state, tmp_path).url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        if rule.rule.startswith("/v2/") and not description.is_elsewhere(rule.rule)
    }


def _unnamed(path: str) -> str:
    return re.sub(r"<\w+>|{\w+}", "{}", path)


@description.needed
def test_each_operation_of_the_twin_is_one_of_the_api(operations: dict[tuple[str, str], str]) -> None:
    """It has made up none."""
    assert len(operations) == 43
    assert "not described" not in operations.values()


@description.needed
def test_each_operation_succeeds_as_described(
    api: Any, state: State, tmp_path: Path, operations: dict[tuple[str, str], str]
) -> None:
    """Over the life of a cluster; an operation that this does not use fails the test."""
    assert api.get("/v2/account").status_code == 200
    assert api.get("/v2/kubernetes/options").status_code == 200
    assert [len(api.get(f"/v2/1-clicks{query}").json["1_clicks"]) for query in ("", "?type=droplet")] == [
        2,
        0,
    ]
    cluster = create(api, tags=["one"]).json["kubernetes_cluster"]
    path = f"{CLUSTERS}/{cluster['id']}"
    assert api.get(CLUSTERS).status_code == 200
    assert api.put(path, json={"name": "renamed", "auto_upgrade": True}).status_code == 202
    have_running(state.clusters[cluster["id"]], tmp_path)
    state.clusters[cluster["id"]].message = "something failed"
    assert api.get(path).json["kubernetes_cluster"]["endpoint"]
    assert api.get(f"{path}/kubeconfig").content_type == "application/yaml"
    assert api.get(f"{path}/credentials?expiry_seconds=300").json["token"]
    order = {"addon_slugs": ["ingress-nginx"], "cluster_uuid": cluster["id"]}
    assert api.post("/v2/1-clicks/kubernetes", json=order).status_code == 200
    pools = f"{path}/node_pools"
    taint = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    pool = {"name": "second", "size": "s-2vcpu-4gb", "count": 1, "taints": [taint], "labels": {"a/b": "c"}}
    made = api.post(pools, json=pool).json["node_pool"]
    assert made.items() >= pool.items()
    assert len(api.get(pools).json["node_pools"]) == 2
    change = {
        "name": "second",
        "count": 2,
        "auto_scale": True,
        "min_nodes": 1,
        "max_nodes": 3,
        "labels": None,
    }
    changed = api.put(f"{pools}/{made['id']}", json=change).json["node_pool"]
    assert changed.items() >= (change | {"labels": {}, "taints": [taint]}).items()
    assert api.get(f"{pools}/{made['id']}").json["node_pool"] == changed
    node = f"{pools}/{made['id']}/nodes/{changed['nodes'][0]['id']}"
    assert api.delete(f"{node}?skip_drain=1&replace=0").status_code == 202
    assert api.post(f"{pools}/{made['id']}/recycle", json={"nodes": []}).status_code == 202
    assert api.delete(f"{pools}/{made['id']}").status_code == 204
    older = create(api, name="older", version="1.33").json["kubernetes_cluster"]
    for known, count in ((path, 0), (f"{CLUSTERS}/{older['id']}", 1)):
        found = api.get(f"{known}/upgrades").json["available_upgrade_versions"]
        assert len(found or ()) == count
    state.clusters[older["id"]].become("running")
    order = {"version": found[0]["slug"]}
    assert api.post(f"{CLUSTERS}/{older['id']}/upgrade", json=order).status_code == 202
    assert api.get(f"{path}/destroy_with_associated_resources").status_code == 200
    assert api.delete(path).status_code == 204
    names(api)
    goods(api, state, older["id"])
    third = create(api, name="third").json["kubernetes_cluster"]
    together = "destroy_with_associated_resources"
    named: dict[str, list[str]] = {"load_balancers": [], "volumes": [], "volume_snapshots": []}
    assert api.delete(f"{CLUSTERS}/{older['id']}/{together}/selective", json=named).status_code == 204
    assert api.delete(f"{CLUSTERS}/{third['id']}/{together}/dangerous").status_code == 204
    assert {call.operation for call in api.calls if call.status < 400} == set(operations.values())


def names(api: Any) -> None:
    """Use all that there is for domains and records."""
    made = api.post("/v2/domains", json={"name": "example.com", "ip_address": "192.0.2.1"}).json["domain"]
    assert api.get("/v2/domains?per_page=1").json["domains"] == [made]
    assert api.get("/v2/domains/example.com").json["domain"] == made
    records = "/v2/domains/example.com/records"
    asked = {"type": "A", "name": "ml", "data": "203.0.113.7", "ttl": 60}
    record = api.post(records, json=asked).json["domain_record"]
    assert record.items() >= asked.items()
    assert api.get(f"{records}?type=A&name=ml.example.com").json["domain_records"] == [record]
    assert api.get(f"{records}/{record['id']}").json["domain_record"] == record
    for method in ("PUT", "PATCH"):
        answer = api.open(
            f"{records}/{record['id']}", method=method, json={"type": "A", "data": "203.0.113.8"}
        )
        assert answer.json["domain_record"] == record | {"data": "203.0.113.8"}
    assert api.delete(f"{records}/{record['id']}").status_code == 204
    assert api.delete("/v2/domains/example.com").status_code == 204


def goods(api: Any, state: State, cluster_id: str) -> None:
    """Use all that there is for load balancers, volumes and snapshots."""
    port = {"protocol": "tcp", "port": 80, "target": 30080}
    made: dict[str, Any] = {"cluster_id": cluster_id, "region": "nyc3", "created_at": 0.0}
    balancer = Balancer(id=str(uuid.uuid4()), name="lb", vpc_uuid=str(uuid.uuid4()), ports=[port], **made)
    volume = Volume(id=str(uuid.uuid4()), name="pvc-1", size=10, **made)
    state.balancers[balancer.id], state.volumes[volume.id] = balancer, volume
    assert api.get("/v2/load_balancers?per_page=1").json["meta"]["total"] == 1
    for ip, status in (("", "new"), ("203.0.113.7", "active")):
        balancer.ip = ip
        assert api.get(f"/v2/load_balancers/{balancer.id}").json["load_balancer"]["status"] == status
    assert api.delete(f"/v2/load_balancers/{balancer.id}").status_code == 204
    path = f"/v2/volumes/{volume.id}"
    assert api.get(path).json["volume"]["size_gigabytes"] == 10
    snapshot = api.post(f"{path}/snapshots", json={"name": "before", "tags": ["one"]}).json["snapshot"]
    assert api.get(f"{path}/snapshots").json["snapshots"] == [snapshot]
    assert api.get(f"/v2/volumes/snapshots/{snapshot['id']}").json["snapshot"] == snapshot
    assert api.delete(f"/v2/volumes/snapshots/{snapshot['id']}").status_code == 204
    for query, count in (("", 1), ("?name=pvc-1", 1), ("?region=fra1", 0), ("?name=x&region=nyc3", 0)):
        assert api.get(f"/v2/volumes{query}").json["meta"]["total"] == count
    assert api.delete(path).status_code == 204


@description.needed
def test_each_operation_wants_a_token(api: Any, operations: dict[tuple[str, str], str]) -> None:
    """Before it looks at anything else."""
    for method, path in operations:
        answer = api.open(path, method=method, headers={"Authorization": "Bearer other"}, data="{")
        assert (answer.status_code, answer.json["id"]) == (401, "unauthorized")
    assert {call.operation for call in api.calls} == set(operations.values())


@description.needed
def test_unknown_clusters_and_pools_are_not_found(api: Any, operations: dict[tuple[str, str], str]) -> None:
    """By each operation on one."""
    cluster = create(api).json["kubernetes_cluster"]
    body = {"name": "ml", "size": "s-2vcpu-4gb", "count": 1, "version": "1.34.1-do.2"}
    for method, path in operations:
        unknown = re.sub("<(pool|node)_id>", str(uuid.uuid4()), path)
        for cluster_id in {cluster["id"] if unknown != path else str(uuid.uuid4()), str(uuid.uuid4())}:
            if "<cluster_id>" in path:
                answer = api.open(unknown.replace("<cluster_id>", cluster_id), method=method, json=body)
                assert (answer.status_code, answer.json["id"]) == (404, "not_found"), (method, path)


def test_pages_have_bounds(api: Any) -> None:
    """Those of the description; a page after the last one is empty."""
    for number in range(3):
        create(api, name=f"ml-{number}")
    for query in ("page=0", "page=x", "page=-1", "per_page=0", "per_page=201", "per_page=" + "9" * 5000):
        answer = api.get(f"{CLUSTERS}?{query}")
        assert (answer.status_code, answer.json["id"]) == (422, "unprocessable_entity"), query
    last = api.get(f"{CLUSTERS}?page=3&per_page=1").json
    beyond = api.get(f"{CLUSTERS}?page=9&per_page=1").json
    assert beyond["kubernetes_clusters"] == []
    assert beyond["links"]["pages"]["prev"].endswith("?page=3&per_page=1")
    assert [found["name"] for found in last["kubernetes_clusters"]] == ["ml-2"]
    assert last["links"]["pages"].keys() == {"first", "prev"}
    assert api.get(f"{CLUSTERS}?per_page=200").json["links"] == {}


@pytest.mark.parametrize(
    "path",
    [
        "/v2/1-clicks?type=app",
        *(f"{CLUSTERS}/{{}}/credentials?expiry_seconds={n}" for n in ("-1", "x", 10**12)),
    ],
)
def test_queries_have_types(api: Any, path: str) -> None:
    """A value that the description does not allow is refused."""
    answer = api.get(path.format(create(api).json["kubernetes_cluster"]["id"]))
    assert (answer.status_code, answer.json["id"]) == (422, "unprocessable_entity")


@description.needed
@pytest.mark.parametrize(
    "name", ["kubernetes_clusters_basic_request", "kubernetes_clusters_multi_pool_request"]
)
def test_examples_of_clusters_can_be_created(api: Any, name: str) -> None:
    """The description's own, of a version that is offered; the answer has what was asked for."""
    asked = description.example(name) | {"version": "1.34"}
    made = create(api, **asked).json["kubernetes_cluster"]
    for field in ("name", "region", "isolated_workers"):
        assert made[field] == asked[field]
    assert made["maintenance_policy"].items() >= asked.get("maintenance_policy", {}).items()
    assert set(made["tags"]) == {"k8s", f"k8s:{made['id']}", *asked.get("tags", ())}
    for pool, wanted in zip(made["node_pools"], asked["node_pools"], strict=True):
        automatic = {"k8s", f"k8s:{made['id']}", "k8s:worker"}
        assert set(pool.pop("tags")) == automatic | set(wanted.pop("tags", ()))
        assert pool.items() >= wanted.items()


def test_what_was_answered_can_be_sent_back(api: Any) -> None:
    """As clients do that read, change and write: nothing else changes, and no tag is there twice."""
    made = create(api, tags=["one"], ha=True).json["kubernetes_cluster"]
    path = f"{CLUSTERS}/{made['id']}"
    fields = ("name", "tags", "ha", "auto_upgrade", "surge_upgrade")
    policy = {name: made["maintenance_policy"][name] for name in ("start_time", "day")}
    body = {name: made[name] for name in fields} | {"maintenance_policy": policy}
    again = api.put(path, json=body).json["kubernetes_cluster"]
    assert again | {"updated_at": ""} == made | {"updated_at": ""}
    pool = made["node_pools"][0]
    body = {name: value for name, value in pool.items() if name not in {"id", "nodes", "size"}}
    assert api.put(f"{path}/node_pools/{pool['id']}", json=body).json["node_pool"] == pool


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"ha": False}, "ha"),
        ({"name": "other"}, "name"),
        ({"maintenance_policy": {"start_time": "24:00"}}, "maintenance_policy.start_time"),
        ({"maintenance_policy": {"day": "someday"}}, "maintenance_policy.day"),
    ],
)
def test_a_cluster_cannot_become_everything(api: Any, changed: dict[str, Any], named: str) -> None:
    """What cannot be is refused by field, and changes nothing."""
    create(api, name="other")
    made = create(api, ha=True).json["kubernetes_cluster"]
    path = f"{CLUSTERS}/{made['id']}"
    answer = api.put(path, json={"name": "ml"} | changed)
    assert (answer.status_code, answer.json["message"].split()[0]) == (422, named)
    assert api.get(path).json["kubernetes_cluster"] == made


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"name": "pool"}, "name is already in use"),
        ({"auto_scale": True}, "min_nodes and max_nodes must be bounds"),
        ({"auto_scale": True, "min_nodes": 3, "max_nodes": 2}, "min_nodes and max_nodes must be bounds"),
        ({"labels": {"not a label": "x"}}, "labels"),
        ({"labels": {"a": "not a value"}}, "labels.a should match"),
        ({"taints": [{"key": "a", "effect": "Never"}]}, "taints.0.effect should be 'NoSchedule', "),
        ({"taints": [{}]}, "taints.0.key is required"),
        ({"size": None}, "size should be a valid string"),
        ({"count": 513}, "count should be less than or equal to 512"),
    ],
)
def test_a_pool_cannot_be_everything(api: Any, changed: dict[str, Any], named: str) -> None:
    """What nodes could not have is refused by field."""
    path = f"{CLUSTERS}/{create(api).json['kubernetes_cluster']['id']}/node_pools"
    answer = api.post(path, json={"name": "second", "size": "s-2vcpu-4gb", "count": 1} | changed)
    assert answer.status_code == 422
    assert answer.json["message"].startswith(named)
    assert len(api.get(path).json["node_pools"]) == 1
