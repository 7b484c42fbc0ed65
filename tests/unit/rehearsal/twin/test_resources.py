"""What clusters make is known to DigitalOcean, billed, and outlives them unless it is deleted with them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.rehearsal.twin.calling import CLUSTERS

from tideflow.rehearsal.standins import balancers
from tideflow.rehearsal.twin.gathering import _gib
from tideflow.rehearsal.twin.state import State

if TYPE_CHECKING:
    from tests.unit.rehearsal.twin.passing import World

SERVICES, VOLUMES, PODS = "/api/v1/services", "/api/v1/persistentvolumes", "/api/v1/pods"
CREATED = "2026-11-01T12:00:00Z"


def service(*, ip: str = "203.0.113.7", ranges: list[str] | None = None, **annotations: str) -> Any:
    """Return a Service of type LoadBalancer."""
    prefix = "service.beta.kubernetes.io/do-loadbalancer-"
    told = {prefix + name.replace("_", "-"): value for name, value in annotations.items()}
    uid = str(uuid.uuid4())
    spec: dict[str, Any] = {
        "type": "LoadBalancer",
        "ports": [{"port": 443, "protocol": "TCP", "nodePort": 30443}],
    }
    return {
        "metadata": {"uid": uid, "creationTimestamp": CREATED, "annotations": told},
        "spec": spec | ({"loadBalancerSourceRanges": ranges} if ranges else {}),
        "status": {"loadBalancer": {"ingress": [{"ip": ip}] if ip else []}},
    }


def volume(claim: str, *, policy: str = "Delete", driver: str = "dobs.csi.digitalocean.com") -> Any:
    """Return a volume in a cluster."""
    uid = str(uuid.uuid4())
    return {
        "metadata": {"name": f"pvc-{uid}", "creationTimestamp": CREATED},
        "spec": {
            "capacity": {"storage": "5Gi"},
            "claimRef": {"namespace": "default", "name": claim},
            "csi": {"driver": driver, "fsType": "xfs", "volumeHandle": uid},
            "persistentVolumeReclaimPolicy": policy,
        },
    }


def pod(claim: str, node: str, *, phase: str = "Running") -> Any:
    """Return a pod that uses a claim."""
    volumes = [{"name": "a", "emptyDir": {}}, {"name": "b", "persistentVolumeClaim": {"claimName": claim}}]
    return {
        "metadata": {"namespace": "default"},
        "spec": {"nodeName": node, "volumes": volumes},
        "status": {"phase": phase},
    }


def listed(world: World, kind: str) -> list[Any]:
    """Return all load balancers or volumes."""
    found: list[Any] = world.api.get(f"/v2/{kind}").json[kind]
    return found


def together(cluster: Any, how: str = "") -> str:
    """Return the path that deletes a cluster together with what it made."""
    return f"{CLUSTERS}/{cluster['id']}/destroy_with_associated_resources{how}"


def test_each_service_has_a_load_balancer(world: World) -> None:
    """Named as DigitalOcean's controller names it, with the Service's address once it has one."""
    cluster = world.running()
    made, waiting = service(), service(ip="")
    world.objects.lists[SERVICES] = [made, waiting]
    first, second = listed(world, "load_balancers")
    assert (first["ip"], first["status"]) == ("203.0.113.7", "active")
    assert (second["ip"], second["status"]) == ("", "new")
    assert first["id"] == balancers.identity(made)
    assert first["name"] == "a" + made["metadata"]["uid"].replace("-", "")[:31]
    assert first["region"]["slug"] == cluster["region"]
    assert first["created_at"] == CREATED
    droplets = [node["droplet_id"] for node in cluster["node_pools"][0]["nodes"]]
    assert list(map(str, first["droplet_ids"])) == droplets
    rule = first["forwarding_rules"][0]
    assert (rule["entry_port"], rule["target_port"]) == (443, 30443)
    world.objects.lists[SERVICES] = [waiting]
    assert [found["id"] for found in listed(world, "load_balancers")] == [second["id"]]
    assert world.api.get(f"/v2/load_balancers/{first['id']}").status_code == 404


def test_annotations_set_a_load_balancer(world: World) -> None:
    """Name, size, sources, proxy protocol and time-out; what makes no sense is left as it was.

    One that does not ask for a regional one has none of these but its sources.
    """
    world.running()
    world.objects.lists[SERVICES] = [
        service(
            name="ml",
            type="REGIONAL",
            size_unit="3",
            enable_proxy_protocol="true",
            http_idle_timeout_seconds="600",
            allow_rules="cidr:10.0.0.0/8, ip:203.0.113.9",
            deny_rules="ip:203.0.113.1",
        ),
        service(ranges=["192.0.2.0/24"], type="REGIONAL", size_unit="huge"),
        service(ranges=["192.0.2.0/24"], size_unit="3", enable_proxy_protocol="true"),
    ]
    first, second, third = listed(world, "load_balancers")
    assert (first["name"], first["size_unit"], first["http_idle_timeout_seconds"]) == ("ml", 3, 600)
    assert first["enable_proxy_protocol"] is True
    assert first["firewall"] == {"allow": ["cidr:10.0.0.0/8", "ip:203.0.113.9"], "deny": ["ip:203.0.113.1"]}
    assert (second["size_unit"], second["enable_proxy_protocol"]) == (1, False)
    assert second["firewall"] == third["firewall"] == {"allow": ["cidr:192.0.2.0/24"], "deny": []}
    assert (first["type"], third["type"]) == ("REGIONAL", "REGIONAL_NETWORK")
    assert (third["size_unit"], third["enable_proxy_protocol"]) == (1, False)


def test_each_volume_of_the_driver_is_one(world: World) -> None:
    """With the cluster's tag, attached to the droplet whose pod uses it, and not to be deleted then."""
    cluster = world.running()
    node = cluster["node_pools"][0]["nodes"][1]
    used, ended, other = volume("used"), volume("ended"), volume("other", driver="nfs")
    world.objects.lists[VOLUMES] = [used, ended, other]
    world.objects.lists[PODS] = [pod("used", node["name"]), pod("ended", node["name"], phase="Succeeded")]
    first, second = listed(world, "volumes")
    assert first["name"] == used["metadata"]["name"]
    assert (first["size_gigabytes"], first["filesystem_type"]) == (5, "xfs")
    assert first["tags"] == [f"k8s:{cluster['id']}"]
    assert list(map(str, first["droplet_ids"])) == [node["droplet_id"]]
    assert second["droplet_ids"] == []
    refused = world.api.delete(f"/v2/volumes/{first['id']}")
    assert (refused.status_code, refused.json["id"]) == (409, "conflict")
    assert world.api.delete(f"/v2/volumes/{second['id']}").status_code == 204
    assert [found["id"] for found in listed(world, "volumes")] == [first["id"]]


def test_a_retained_volume_outlives_its_claim(world: World) -> None:
    """The volume in the cluster may go, DigitalOcean's stays, attached to nothing."""
    cluster = world.running()
    node = cluster["node_pools"][0]["nodes"][0]["name"]
    kept, gone = volume("kept", policy="Retain"), volume("gone")
    world.objects.lists[VOLUMES] = [kept, gone]
    world.objects.lists[PODS] = [pod("kept", node)]
    assert len(listed(world, "volumes")) == 2
    world.objects.lists.clear()
    assert [(found["name"], found["droplet_ids"]) for found in listed(world, "volumes")] == [
        (kept["metadata"]["name"], [])
    ]


def test_what_was_deleted_does_not_come_back(world: World) -> None:
    """Although the cluster still has a Service for it."""
    world.running()
    world.objects.lists[SERVICES] = [service()]
    (found,) = listed(world, "load_balancers")
    assert world.api.delete(f"/v2/load_balancers/{found['id']}").status_code == 204
    assert listed(world, "load_balancers") == []


def test_what_was_known_stays_while_a_cluster_is_away(world: World) -> None:
    """And is found again by a twin that is started again."""
    world.running()
    world.objects.lists = {SERVICES: [service()], VOLUMES: [volume("a")]}
    (found,) = listed(world, "load_balancers")
    assert len(listed(world, "volumes")) == 1
    world.objects.away = True
    assert listed(world, "load_balancers") == [found]
    saved = State(world.state._file)
    assert (saved.balancers, saved.volumes) == (world.state.balancers, world.state.volumes)


def test_a_deleted_cluster_leaves_what_it_made(world: World) -> None:
    """Its volumes are attached until it is gone, and can be deleted then."""
    cluster = world.running()
    node = cluster["node_pools"][0]["nodes"][0]["name"]
    world.objects.lists = {SERVICES: [service()], VOLUMES: [volume("a")], PODS: [pod("a", node)]}
    assert world.api.delete(f"{CLUSTERS}/{cluster['id']}").status_code == 204
    world.objects.away = True
    (balancer,), (disk,) = listed(world, "load_balancers"), listed(world, "volumes")
    assert world.api.delete(f"/v2/volumes/{disk['id']}").status_code == 409
    world.later(60)
    assert listed(world, "load_balancers") == [balancer | {"droplet_ids": []}]
    for path in (f"volumes/{disk['id']}", f"load_balancers/{balancer['id']}"):
        assert world.api.delete(f"/v2/{path}").status_code == 204
        assert world.api.delete(f"/v2/{path}").status_code == 404
    assert listed(world, "load_balancers") == listed(world, "volumes") == []


@pytest.mark.parametrize("dangerous", [True, False])
def test_a_cluster_is_deleted_with_what_it_made(world: World, *, dangerous: bool) -> None:
    """All of it, or what is named; it goes when the cluster has gone."""
    cluster, other = world.running(), world.running(name="other")
    world.objects.lists = {SERVICES: [service(), service()], VOLUMES: [volume("a"), volume("b")]}
    ids = [found["id"] for found in listed(world, "volumes")]
    snapshot = world.api.post(f"/v2/volumes/{ids[0]}/snapshots", json={"name": "before"}).json["snapshot"]
    assert world.api.get("/v2/snapshots?resource_type=volume").json["snapshots"] == [snapshot]
    assert world.api.get("/v2/snapshots?resource_type=droplet").json["snapshots"] == []
    made = world.api.get(together(cluster)).json
    assert {kind: len(things) for kind, things in made.items()} == {
        "load_balancers": 2,
        "volumes": 2,
        "volume_snapshots": 1,
    }
    named = {
        "load_balancers": [made["load_balancers"][0]["id"]],
        "volumes": [ids[1]],
        "volume_snapshots": [snapshot["id"]],
    }
    answer = (
        world.api.delete(together(cluster, "/dangerous"))
        if dangerous
        else world.api.delete(together(cluster, "/selective"), json=named)
    )
    assert (answer.status_code, answer.data) == (204, b"")
    assert world.api.get(together(cluster)).status_code == 404
    world.objects.away = True
    assert len(listed(world, "load_balancers")) == 2
    world.later(60)
    left = [*listed(world, "load_balancers"), *listed(world, "volumes")]
    assert len(left) == (0 if dangerous else 2)
    assert not {found["id"] for found in left} & {thing for things in named.values() for thing in things}
    assert world.api.get(f"/v2/volumes/snapshots/{snapshot['id']}").status_code == 404
    assert world.api.get("/v2/snapshots").json["meta"]["total"] == 0
    assert world.cluster(other["id"])["status"]["state"] == "running"


def test_only_what_a_cluster_made_goes_with_it(world: World) -> None:
    """What is named and is not its own is refused, and nothing is deleted."""
    cluster = world.running()
    world.objects.lists[SERVICES] = [service()]
    (found,) = listed(world, "load_balancers")
    for wrong in ({"volumes": [found["id"]]}, {"load_balancers": [str(uuid.uuid4())]}):
        answer = world.api.delete(together(cluster, "/selective"), json=wrong)
        assert (answer.status_code, answer.json["message"].split()[0]) == (422, next(iter(wrong)))
    assert world.cluster(cluster["id"])["status"]["state"] == "running"
    assert world.api.delete(together(cluster, "/selective"), json={}).status_code == 204


@pytest.mark.parametrize(
    ("quantity", "size"),
    [("5Gi", 5), ("512Mi", 1), ("1025Mi", 2), ("10G", 10), ("1Ti", 1024), ("2147483648", 2)],
)
def test_volumes_have_whole_sizes(quantity: str, size: int) -> None:
    """In GiB, rounded up."""
    assert _gib(quantity) == size


def test_a_deleted_load_balancer_may_take_its_time(world: World) -> None:
    """It is listed until the delay is over, however often it is deleted, and whether its cluster is gone."""
    cluster = world.running()
    world.objects.lists[SERVICES] = [service(), service()]
    first, second = (found["id"] for found in listed(world, "load_balancers"))
    world.switch(balancer_delay=100)
    for _ in range(2):
        assert world.api.delete(f"/v2/load_balancers/{first}").status_code == 204
        world.later(40)
    assert len(listed(world, "load_balancers")) == 2
    world.later(30)
    assert [found["id"] for found in listed(world, "load_balancers")] == [second]
    assert world.api.delete(together(cluster, "/dangerous")).status_code == 204
    world.later(60)
    assert [found["id"] for found in listed(world, "load_balancers")] == [second]
    world.later(100)
    assert listed(world, "load_balancers") == []


def test_what_is_named_may_be_left_behind(world: World) -> None:
    """A cluster's deletion says nothing of it, and it goes on being billed."""
    cluster = world.running()
    world.objects.lists = {SERVICES: [service()], VOLUMES: [volume("data")]}
    world.switch(left_behind=["load_balancers"])
    assert world.api.delete(together(cluster, "/dangerous")).status_code == 204
    world.later(60)
    assert len(listed(world, "load_balancers")) == 1
    assert listed(world, "volumes") == []


def test_droplets_may_outlive_their_cluster(world: World) -> None:
    """With its tag, after a restart too, until they are deleted one by one; a cluster keeps those it has."""
    cluster = world.running()
    node = cluster["node_pools"][0]["nodes"][0]
    assert world.api.delete(f"/v2/droplets/{node['droplet_id']}").status_code == 409
    world.switch(left_behind=["droplets"])
    before = listed(world, "droplets")
    assert world.api.delete(together(cluster, "/dangerous")).status_code == 204
    world.later(60)
    world.switch()
    assert world.api.get(f"/v2/droplets?tag_name=k8s:{cluster['id']}").json["droplets"] == before
    assert State(world.state._file).droplets == world.state.droplets
    for found in before:
        assert world.api.delete(f"/v2/droplets/{found['id']}").status_code == 204
        assert world.api.delete(f"/v2/droplets/{found['id']}").status_code == 404
    assert listed(world, "droplets") == []


def test_snapshots_are_listed_although_their_volumes_are_gone(world: World) -> None:
    """As snapshots of volumes, since there are none of droplets."""
    world.running()
    world.objects.lists[VOLUMES] = [volume("data")]
    (made,) = listed(world, "volumes")
    taken = world.api.post(f"/v2/volumes/{made['id']}/snapshots", json={"name": "one"}).json["snapshot"]
    assert world.api.delete(f"/v2/volumes/{made['id']}").status_code == 204
    assert world.api.get("/v2/snapshots?resource_type=volume").json["snapshots"] == [taken]
    assert world.api.get("/v2/snapshots?resource_type=droplet").json["snapshots"] == []


def test_tags_are_there_by_themselves(world: World) -> None:
    """Made twice they are one; they survive a restart, and go when they are deleted."""
    for _ in range(2):
        made = world.api.post("/v2/tags", json={"name": "a:b-c"})
        assert (made.status_code, made.json["tag"]["name"]) == (201, "a:b-c")
    assert world.api.post("/v2/tags", json={"name": "a b"}).status_code == 422
    assert [tag["name"] for tag in listed(world, "tags")] == ["a:b-c"]
    assert world.api.get("/v2/tags/a:b-c").json["tag"]["resources"]["count"] == 0
    assert State(world.state._file).tags == ["a:b-c"]
    assert world.api.delete("/v2/tags/a:b-c").status_code == 204
    assert world.api.delete("/v2/tags/a:b-c").status_code == 404
    assert world.api.get("/v2/tags/a:b-c").status_code == 404
