"""What becomes of clusters and nodes over time; that they are real is shown elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.rehearsal.twin.calling import CLUSTERS, TOKEN, create

if TYPE_CHECKING:
    from tests.unit.rehearsal.twin.passing import World


def names(cluster: Any, *states: str) -> list[str]:
    """Return the names of a cluster's nodes in one of the states."""
    found = [node for pool in cluster["node_pools"] for node in pool["nodes"]]
    return [node["name"] for node in found if node["status"]["state"] in states]


def test_a_cluster_comes_to_run(world: World) -> None:
    """Nodes after two minutes, all of it after five; it is reached from then on, and not before."""
    cluster_id = create(world.api).json["kubernetes_cluster"]["id"]
    world.later(119)
    assert names(world.cluster(cluster_id), "running") == []
    world.later(1)
    assert set(names(world.cluster(cluster_id), "running")) == world.there
    assert len(world.there) == 3
    assert world.cluster(cluster_id)["status"]["state"] == "provisioning"
    assert world.api.get(f"{CLUSTERS}/{cluster_id}/credentials").status_code == 404
    world.later(180)
    found = world.cluster(cluster_id)
    assert (found["status"]["state"], found["endpoint"]) == ("running", "https://127.0.0.1:6443")


def test_a_cluster_may_end_in_error(world: World) -> None:
    """It has no nodes and no access, stays so, and can be deleted; others run."""
    world.switch(broken_clusters=["m*"])
    broken = world.running()
    world.switch()
    world.later(3600)
    broken = world.cluster(broken["id"])
    assert broken["status"] == {"state": "error", "message": "broken on request"}
    assert "endpoint" not in broken
    assert world.api.get(f"{CLUSTERS}/{broken['id']}/kubeconfig").status_code == 404
    assert world.running(name="other")["status"]["state"] == "running"
    assert world.api.delete(f"{CLUSTERS}/{broken['id']}").status_code == 204


def test_nodes_may_never_come(world: World) -> None:
    """The newest of those that are being made; they come when the fault is over."""
    world.switch(missing_nodes=1)
    cluster = world.running()
    late = cluster["node_pools"][0]["nodes"][-1]["name"]
    assert names(cluster, "provisioning") == [late]
    world.later(3600)
    assert late not in world.there
    world.switch()
    world.later(1)
    assert late in world.there
    assert names(world.cluster(cluster["id"]), "provisioning") == []


def test_fewer_nodes_are_drained_first(world: World) -> None:
    """The newest leave when their pods have left; meanwhile they are there, draining, and do not count."""
    cluster = world.running()
    first, second, third = names(cluster, "running")
    pool = f"{CLUSTERS}/{cluster['id']}/node_pools/{cluster['node_pools'][0]['id']}"
    world.pods[third] = 1
    answer = world.api.put(pool, json={"name": "pool", "count": 1}).json["node_pool"]
    assert (answer["count"], names({"node_pools": [answer]}, "draining")) == (1, [second, third])
    world.later(10)
    assert names(world.cluster(cluster["id"]), "draining") == [third]
    assert world.there == {first, third}
    world.pods.clear()
    world.later(1)
    found = world.cluster(cluster["id"])["node_pools"][0]
    assert [node["name"] for node in found["nodes"]] == [first]
    assert world.there == {first}


def test_pods_cannot_keep_a_node_for_ever(world: World) -> None:
    """After half an hour it goes with them."""
    cluster = world.running()
    leaving = names(cluster, "running")[-1]
    world.pods[leaving] = 1
    pool = f"{CLUSTERS}/{cluster['id']}/node_pools/{cluster['node_pools'][0]['id']}"
    world.api.put(pool, json={"name": "pool", "count": 2})
    world.later(1799)
    assert leaving in world.there
    world.later(1)
    assert leaving not in world.there


@pytest.mark.parametrize("skip_drain", [0, 1])
@pytest.mark.parametrize("replace", [0, 1])
def test_a_node_is_chosen(world: World, skip_drain: int, replace: int) -> None:
    """By its id; it is drained unless that is skipped, and another one comes if it is to be replaced."""
    cluster = world.running()
    chosen = cluster["node_pools"][0]["nodes"][0]
    path = f"{CLUSTERS}/{cluster['id']}/node_pools/{cluster['node_pools'][0]['id']}/nodes/{chosen['id']}"
    world.pods[chosen["name"]] = 1
    for _ in range(2):  # who asks again deletes no other
        answer = world.api.delete(f"{path}?skip_drain={skip_drain}&replace={replace}")
        assert (answer.status_code, answer.data) == (202, b"")
    pool = world.cluster(cluster["id"])["node_pools"][0]
    assert (pool["count"], len(pool["nodes"])) == (2 + replace, 3 + replace)
    world.later(1)
    assert (chosen["name"] in world.there) is (not skip_drain)
    world.pods.clear()
    world.later(120)
    kept = names(world.cluster(cluster["id"]), "running")
    assert chosen["name"] not in kept
    assert set(kept) == world.there
    assert len(kept) == 2 + replace
    assert world.api.delete(path).status_code == 404


def test_nodes_are_recycled(world: World) -> None:
    """Those that are named are drained, and replaced."""
    cluster = world.running()
    pool = cluster["node_pools"][0]
    old = [node["id"] for node in pool["nodes"][:2]]
    path = f"{CLUSTERS}/{cluster['id']}/node_pools/{pool['id']}/recycle"
    assert world.api.post(path, json={"nodes": ["unknown"]}).status_code == 404
    assert world.api.post(path, json={"nodes": old}).status_code == 202
    world.later(120)
    found = world.cluster(cluster["id"])["node_pools"][0]
    assert found["count"] == len(found["nodes"]) == 3
    assert not {node["id"] for node in found["nodes"]} & set(old)


def test_nodes_are_droplets(world: World) -> None:
    """Found by their cluster's tag, until the cluster has gone."""
    cluster, other = world.running(tags=["mine"]), create(world.api, name="other").json["kubernetes_cluster"]

    def droplets(query: str = "") -> list[Any]:
        found: list[Any] = world.api.get(f"/v2/droplets{query}").json["droplets"]
        return found

    mine = f"?tag_name=k8s:{cluster['id']}"
    assert {droplet["name"] for droplet in droplets(mine)} == world.there
    assert {(droplet["size_slug"], droplet["status"]) for droplet in droplets(mine)} == {
        ("s-4vcpu-8gb", "active")
    }
    assert {droplet["status"] for droplet in droplets(f"?tag_name=k8s:{other['id']}")} == {"new"}
    assert world.api.get("/v2/droplets?per_page=1").json["meta"]["total"] == 6
    assert droplets("?tag_name=k8s:worker") == droplets()
    assert world.api.delete(f"{CLUSTERS}/{cluster['id']}").status_code == 204
    assert len(droplets(mine)) == 3
    world.later(60)
    assert droplets(mine) == []


def test_a_pool_keeps_a_node(world: World) -> None:
    """The last one cannot be deleted, but replaced."""
    cluster = world.running(node_pools=[{"name": "pool", "size": "s-2vcpu-4gb", "count": 1}])
    pool = cluster["node_pools"][0]
    path = f"{CLUSTERS}/{cluster['id']}/node_pools/{pool['id']}/nodes/{pool['nodes'][0]['id']}"
    assert world.api.delete(path).status_code == 422
    assert world.api.delete(f"{path}?replace=1").status_code == 202
    assert world.api.delete(f"{path}?replace=2").status_code == 422


def test_a_cluster_is_upgraded(world: World) -> None:
    """To a newer patch or the next minor, over ten minutes in which it can be reached."""
    cluster = world.running(version="1.32")
    path = f"{CLUSTERS}/{cluster['id']}"
    offered = world.api.get(f"{path}/upgrades").json["available_upgrade_versions"]
    assert [version["kubernetes_version"] for version in offered] == ["1.33.6"]
    for wrong in ("1.34.1-do.2", cluster["version"], "1.33"):
        assert world.api.post(f"{path}/upgrade", json={"version": wrong}).status_code == 422
    order = {"version": offered[0]["slug"]}
    assert world.api.post(f"{path}/upgrade", json=order).status_code == 202
    assert world.api.post(f"{path}/upgrade", json=order).status_code == 422  # one after the other
    world.later(599)
    found = world.cluster(cluster["id"])
    assert (found["status"]["state"], found["version"]) == ("upgrading", cluster["version"])
    assert found["endpoint"]
    world.later(1)
    found = world.cluster(cluster["id"])
    assert (found["status"]["state"], found["version"]) == ("running", offered[0]["slug"])


def test_what_is_deleted_takes_a_while(world: World) -> None:
    """Its name can be had again at once, and it cannot be seen any more unless it is to linger."""
    cluster = world.running()
    assert world.api.delete(f"{CLUSTERS}/{cluster['id']}").status_code == 204
    world.later(59)
    assert cluster["id"] in world.state.clusters
    world.switch(lingering=True)
    assert world.cluster(cluster["id"])["status"]["state"] == "deleting"
    (found,) = world.api.get(CLUSTERS).json["kubernetes_clusters"]
    assert "endpoint" not in found
    for path in ("", "/kubeconfig", "/node_pools"):  # it can be looked at, and nothing else
        method = "DELETE" if path == "" else "GET"
        assert world.api.open(f"{CLUSTERS}/{cluster['id']}{path}", method=method).status_code == 404
    assert world.running()["status"]["state"] == "running"
    assert len(world.api.get(CLUSTERS).json["kubernetes_clusters"]) == 1
    assert cluster["id"] not in world.state.clusters
    assert TOKEN not in Path(world.state._file).read_text()


def test_a_cluster_is_degraded_while_that_is_asked_for(world: World) -> None:
    """Its API server answers all the same; one that does not run yet is not."""
    found = world.running()
    world.switch(degraded_clusters=["m*"])
    world.later(1)
    degraded = world.cluster(found["id"])
    assert degraded["status"] == {"state": "degraded", "message": "degraded on request"}
    assert degraded["endpoint"]
    world.switch()
    world.later(1)
    assert world.cluster(found["id"])["status"] == {"state": "running"}
