"""What clusters of a twin make and how their nodes leave, as DigitalOcean's own client (pydo) knows it.

Each call is held against DigitalOcean's description, the requests as well as the answers.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from dnslib import DNSRecord
from tests import description
from tests.integration.planes import eventually
from tests.integration.twins import BODY, reached, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.twins import Twin

    from tideflow.clients.kubernetes import Kubernetes

pytestmark = [description.needed, pytest.mark.usefixtures("binaries")]

SPACE = "/api/v1/namespaces/default"


@pytest.fixture
def cluster(official: Any) -> Any:
    """Return a cluster with two nodes, of a version that is not the newest."""
    body = BODY | {"name": "making", "version": "1.33"}
    return running(official, official.kubernetes.create_cluster(body)["kubernetes_cluster"]["id"])


@pytest.fixture
def inside(twin: Twin, cluster: Any, tmp_path: Path) -> Iterator[Kubernetes]:
    """Yield a client of the cluster."""
    with closing(reached(twin, cluster["id"], tmp_path)) as client:
        yield client


def make(inside: Kubernetes) -> None:
    """Have a Service of type LoadBalancer, and two pods of which one has a volume."""
    labels = {"app": "web"}
    ports = [{"port": 80}]
    inside.post(
        f"{SPACE}/services", {"metadata": {"name": "web"}, "spec": {"type": "LoadBalancer", "ports": ports}}
    )
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}
    inside.post(f"{SPACE}/persistentvolumeclaims", {"metadata": {"name": "data"}, "spec": asked})
    container = {"name": "web", "image": "web"}
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "volumes": volumes}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    inside.post("/apis/apps/v1/namespaces/default/deployments", {"metadata": {"name": "web"}, "spec": spec})


def test_what_a_cluster_makes_and_leaves(
    official: Any, cluster: Any, inside: Kubernetes, calls: set[str]
) -> None:
    """A load balancer and a volume; its node is drained and replaced; all of it can be deleted by name."""
    make(inside)
    api, cluster_id, pool = official.kubernetes, cluster["id"], cluster["node_pools"][0]
    (balancer,) = eventually(
        lambda: official.load_balancers.list()["load_balancers"], lambda found: found and found[0]["ip"]
    )
    service = inside.get(f"{SPACE}/services/web")
    assert service["status"]["loadBalancer"]["ingress"][0]["ip"] == balancer["ip"]
    annotations = service["metadata"]["annotations"]
    assert annotations["kubernetes.digitalocean.com/load-balancer-id"] == balancer["id"]
    assert official.load_balancers.get(balancer["id"])["load_balancer"] == balancer

    (volume,) = eventually(
        lambda: official.volumes.list()["volumes"], lambda found: found and found[0]["droplet_ids"]
    )
    assert official.volumes.get(volume["id"])["volume"] == volume
    (node,) = (node for node in pool["nodes"] if int(node["droplet_id"]) == volume["droplet_ids"][0])
    api.delete_node(cluster_id, pool["id"], node["id"], replace=1)
    states = {found["id"]: found for found in api.get_node_pool(cluster_id, pool["id"])["node_pool"]["nodes"]}
    assert states[node["id"]]["status"]["state"] in {"draining", "deleting"}
    eventually(
        lambda: official.volumes.get(volume["id"])["volume"]["droplet_ids"],
        lambda found: found not in ([], volume["droplet_ids"]),
    )
    replaced = running(official, cluster_id)["node_pools"][0]["nodes"]
    assert len(replaced) == 2
    assert node["id"] not in {found["id"] for found in replaced}
    names = {found["metadata"]["name"] for found in inside.get("/api/v1/nodes")["items"]}
    assert names == {found["name"] for found in replaced}

    snapshot = official.volume_snapshots.create(volume["id"], {"name": "before"})["snapshot"]
    assert official.volume_snapshots.list(volume["id"])["snapshots"] == [snapshot]
    assert official.snapshots.list(resource_type="volume")["snapshots"] == [snapshot]
    assert official.volume_snapshots.get_by_id(snapshot["id"])["snapshot"] == snapshot
    (version,) = api.get_available_upgrades(cluster_id)["available_upgrade_versions"]
    api.upgrade_cluster(cluster_id, {"version": version["slug"]})
    assert api.get_cluster(cluster_id)["kubernetes_cluster"]["status"]["state"] == "upgrading"
    assert running(official, cluster_id)["version"] == version["slug"]

    assert api.list_associated_resources(cluster_id) == {
        "load_balancers": [{"id": balancer["id"], "name": balancer["name"]}],
        "volumes": [{"id": volume["id"], "name": volume["name"]}],
        "volume_snapshots": [{"id": snapshot["id"], "name": "before"}],
    }
    api.destroy_associated_resources_selective(cluster_id, {"load_balancers": [balancer["id"]]})
    eventually(lambda: official.load_balancers.list()["load_balancers"] == [])
    assert official.volumes.list(name=volume["name"], region="nyc3")["volumes"][0]["droplet_ids"] == []
    official.volume_snapshots.delete_by_id(snapshot["id"])
    official.volumes.delete(volume["id"])
    assert official.volumes.list()["meta"]["total"] == 0
    assert calls >= {
        "kubernetes_delete_node",
        "kubernetes_destroy_associatedResourcesSelective",
        "kubernetes_get_availableUpgrades",
        "kubernetes_list_associatedResources",
        "kubernetes_upgrade_cluster",
        "loadBalancers_get",
        "loadBalancers_list",
        "volumeSnapshots_create",
        "volumeSnapshots_delete_byId",
        "volumeSnapshots_get_byId",
        "volumeSnapshots_list",
        "volumes_delete",
        "volumes_get",
        "volumes_list",
    }


def test_a_cluster_goes_with_all_it_made(official: Any, cluster: Any, inside: Kubernetes) -> None:
    """Nothing is left that would be billed."""
    make(inside)
    eventually(
        lambda: official.kubernetes.list_associated_resources(cluster["id"]),
        lambda found: found["load_balancers"] and found["volumes"],
    )
    official.kubernetes.destroy_associated_resources_dangerous(cluster["id"])
    assert official.kubernetes.list_clusters()["kubernetes_clusters"] == []
    eventually(lambda: official.droplets.list(tag_name=f"k8s:{cluster['id']}")["meta"]["total"] == 0)
    eventually(lambda: official.load_balancers.list()["meta"]["total"] == 0)
    assert official.volumes.list()["meta"]["total"] == 0


def test_domains_with_pydo(official: Any, twin: Twin, calls: set[str]) -> None:
    """Made, found by whole name, corrected, served over DNS, deleted."""
    api = official.domains
    assert api.create({"name": "example.com"})["domain"]["ttl"] == 1800
    asked = {"type": "A", "name": "ml", "data": "203.0.113.7", "ttl": 60}
    record = api.create_record("example.com", asked)["domain_record"]
    found = api.list_records("example.com", name="ml.example.com", type="A")["domain_records"]
    assert found == [api.get_record("example.com", record["id"])["domain_record"]] == [record]
    api.patch_record("example.com", record["id"], {"type": "A", "data": "203.0.113.8"})
    api.update_record("example.com", record["id"], {"type": "A", "data": "203.0.113.9"})
    assert "ml.example.com. 60 IN A 203.0.113.9\n" in api.get("example.com")["domain"]["zone_file"]
    question = DNSRecord.question("ml.example.com", "A")
    reply = DNSRecord.parse(question.send("127.0.0.1", twin.port, timeout=30))
    assert [str(answer.rdata) for answer in reply.rr] == ["203.0.113.9"]
    api.delete_record("example.com", record["id"])
    api.delete("example.com")
    assert api.list()["domains"] == []
    assert len({name for name in calls if name.startswith("domains_")}) == 10
