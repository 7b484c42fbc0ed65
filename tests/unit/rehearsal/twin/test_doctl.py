"""What doctl sends for its commands, in its order and its words, is understood.

Names stand for ids with it, so it lists things first, 200 at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.unit.rehearsal.twin.calling import CLUSTERS, have_running
from tests.unit.rehearsal.twin.test_resources import SERVICES, VOLUMES, service, volume

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.rehearsal.twin.passing import World

CREATE: dict[str, Any] = {
    "name": "ml",
    "region": "nyc3",
    "version": "1.34.1-do.2",
    "ha": False,
    "node_pools": [{"name": "ml-default-pool", "size": "s-4vcpu-8gb", "count": 3}],
    "maintenance_policy": {"start_time": "00:00", "duration": "", "day": "any"},
    "auto_upgrade": False,
    "surge_upgrade": True,
}


@pytest.fixture
def cluster(world: World, tmp_path: Path) -> Any:
    """Return a cluster that doctl has made and waited for."""
    made = world.api.post(CLUSTERS, json=CREATE).json["kubernetes_cluster"]
    have_running(world.state.clusters[made["id"]], tmp_path)
    world.later(300)
    return world.cluster(made["id"])


def found(world: World, path: str, kind: str, name: str) -> Any:
    """Return the one thing of a list that has a name."""
    answer = world.api.get(f"{path}?page=1&per_page=200").json
    assert answer["links"] == {}
    (thing,) = (thing for thing in answer[kind] if thing["name"] == name)
    return thing


def test_cluster_kubeconfig_save(world: World, cluster: Any) -> None:
    """With an expiry, a token of its own that holds as long; without, doctl asks for credentials later."""
    path = f"{CLUSTERS}/{found(world, CLUSTERS, 'kubernetes_clusters', 'ml')['id']}"
    config = yaml.safe_load(world.api.get(f"{path}/kubeconfig?expiry_seconds=600").text)
    context = next(one for one in config["contexts"] if one["name"] == config["current-context"])["context"]
    assert context["cluster"] in {one["name"] for one in config["clusters"]}
    (user,) = (one["user"] for one in config["users"] if one["name"] == context["user"])
    tokens = world.state.clusters[cluster["id"]]
    assert tokens.accepts(user["token"])
    credentials = world.api.get(f"{path}/credentials").json
    world.later(600)
    assert not tokens.accepts(user["token"])
    assert tokens.accepts(credentials["token"])


def test_cluster_update(world: World, cluster: Any) -> None:
    """Only what was asked for is sent, and nothing else changes."""
    path = f"{CLUSTERS}/{cluster['id']}"
    changed = world.api.put(path, json={"auto_upgrade": True, "surge_upgrade": True}).json
    expected = cluster | {"auto_upgrade": True, "updated_at": ""}
    assert changed["kubernetes_cluster"] | {"updated_at": ""} == expected


def test_node_pool_list_and_update(world: World, cluster: Any) -> None:
    """By the pool's name, with a count, a label, bounds or taints alone."""
    pools = f"{CLUSTERS}/{cluster['id']}/node_pools"
    (pool,) = world.api.get(f"{pools}?page=1&per_page=200").json["node_pools"]
    path = f"{pools}/{pool['id']}"
    changes: list[dict[str, Any]] = [
        {"count": 5},
        {"labels": {"gpu": "no"}},
        {"auto_scale": True, "min_nodes": 1, "max_nodes": 6},
        {"taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}]},
    ]
    for change in changes:
        changed = world.api.put(path, json=change).json["node_pool"]
        pool = pool | change | {"nodes": changed["nodes"]}
        assert changed == pool
    assert len(changed["nodes"]) == 5
    capitals = {"taints": [{"Key": "c", "Value": "", "Effect": "NoExecute"}]}
    changed = world.api.put(path, json=capitals).json["node_pool"]
    assert changed["taints"] == [{"key": "c", "value": "", "effect": "NoExecute"}]


def test_node_pool_delete_and_replace_node(world: World, cluster: Any) -> None:
    """By the node's name."""
    path = f"{CLUSTERS}/{cluster['id']}/node_pools/{cluster['node_pools'][0]['id']}"
    first, second, _ = world.api.get(path).json["node_pool"]["nodes"]
    assert world.api.delete(f"{path}/nodes/{first['id']}").status_code == 202
    assert world.api.delete(f"{path}/nodes/{second['id']}?replace=1&skip_drain=1").status_code == 202
    world.later(120)
    assert len(world.api.get(path).json["node_pool"]["nodes"]) == 2


def test_1_click_list_and_install(world: World, cluster: Any) -> None:
    """All slugs in one request."""
    offers = world.api.get("/v2/1-clicks?type=kubernetes").json["1_clicks"]
    order = {"addon_slugs": [offer["slug"] for offer in offers], "cluster_uuid": cluster["id"]}
    assert world.api.post("/v2/1-clicks/kubernetes", json=order).json["message"]
    assert list(world.state.clusters[cluster["id"]].addons) == order["addon_slugs"]


def test_cluster_delete_with_associated_resources(world: World, cluster: Any) -> None:
    """Selectively by names, for which the lists are read; the kubeconfig is read before, to be cleaned up."""
    world.objects.lists = {SERVICES: [service(name="web")], VOLUMES: [volume("a"), volume("b")]}
    path = f"{CLUSTERS}/{cluster['id']}"
    listed = world.api.get(f"{path}/destroy_with_associated_resources").json
    assert [len(things) for things in listed.values()] == [1, 2, 0]
    assert world.api.get(f"{path}/kubeconfig").status_code == 200
    named = {
        "volumes": [found(world, "/v2/volumes", "volumes", listed["volumes"][0]["name"])["id"]],
        "volume_snapshots": [],
        "load_balancers": [found(world, "/v2/load_balancers", "load_balancers", "web")["id"]],
    }
    together = f"{path}/destroy_with_associated_resources/selective"
    assert world.api.delete(together, json=named).status_code == 204
    world.later(60)
    (left,) = world.api.get("/v2/volumes?page=1&per_page=200").json["volumes"]
    assert left["id"] == listed["volumes"][1]["id"]
    assert world.api.get("/v2/load_balancers").json["load_balancers"] == []
