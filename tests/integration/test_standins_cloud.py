"""The cloud's stand-ins on a real control plane: volumes, load balancers, and what there is none of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.integration.engine_runs import apply
from tests.integration.happening import available, exists, moment, now
from tests.integration.planes import eventually
from tests.unit.engine.objects import deployment, namespace, service

from tideflow.rehearsal.standins.balancers import address

if TYPE_CHECKING:
    from tests.integration.planes import Plane

    from tideflow.clients.kubernetes import Kubernetes

CLAIMS = "/api/v1/namespaces/volumes/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"
INGRESSES = "/apis/networking.k8s.io/v1/namespaces/web/ingresses"
KUBECTL = Path(sys.executable).parent / "kubectl"
OTHERS_DRIVER = "disks.example.org"


def claim(name: str, storage_class: str) -> dict[str, Any]:
    """Return a claim of 5 GiB."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "volumes"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "5Gi"}},
            "storageClassName": storage_class,
        },
    }


def phase(cluster: Kubernetes, path: str) -> str:
    """Return the phase of a claim or a volume."""
    return str(cluster.get(path)["status"].get("phase"))


def delete_claim(cluster: Kubernetes, name: str) -> str:
    """Delete a bound claim, and return the path of the volume it had."""
    volume = f"{VOLUMES}/{cluster.get(f'{CLAIMS}/{name}')['spec']['volumeName']}"
    cluster.delete(f"{CLAIMS}/{name}")
    return volume


def test_a_claim_is_bound_to_a_volume_as_it_asked_for(client: Kubernetes) -> None:
    """Size, class, driver and file system are those of the claim and its class."""
    classes = {"data": "do-block-storage", "x": "do-block-storage-xfs"}
    apply(client, [namespace("volumes"), *(claim(*found) for found in classes.items())])
    found = client.get(f"{CLAIMS}/data")
    assert found["status"]["phase"] == "Bound"
    volume = client.get(f"{VOLUMES}/{found['spec']['volumeName']}")
    assert volume["status"]["phase"] == "Bound"
    assert volume["spec"]["claimRef"]["uid"] == found["metadata"]["uid"]
    assert volume["spec"]["capacity"] == {"storage": "5Gi"}
    assert volume["spec"]["storageClassName"] == "do-block-storage"
    assert volume["spec"]["csi"]["driver"] == "dobs.csi.digitalocean.com"
    assert volume["spec"]["csi"]["fsType"] == "ext4"
    other = client.get(f"{CLAIMS}/x")["spec"]["volumeName"]
    assert client.get(f"{VOLUMES}/{other}")["spec"]["csi"]["fsType"] == "xfs"


def test_a_volume_goes_with_its_claim_unless_its_class_keeps_it(client: Kubernetes) -> None:
    """Deleted where the class says so; retained, and released, where it does not."""
    names = ("kept", "gone")
    classes = ("do-block-storage-retain", "do-block-storage")
    apply(client, [namespace("volumes"), *map(claim, names, classes)])
    kept, gone = (delete_claim(client, name) for name in names)
    eventually(lambda: exists(client, gone), lambda there: not there)
    eventually(lambda: phase(client, kept), lambda found: found == "Released")
    assert exists(client, kept)


def test_the_volumes_of_other_drivers_are_left_alone(client: Kubernetes) -> None:
    """Neither are their claims served, nor their released volumes deleted: their own driver does that."""
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "others"},
        "provisioner": OTHERS_DRIVER,
    }
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": "others",
            "annotations": {"pv.kubernetes.io/provisioned-by": OTHERS_DRIVER},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "5Gi"},
            "csi": {"driver": OTHERS_DRIVER, "volumeHandle": "1"},
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": "others",
        },
    }
    # The volume first: Kubernetes looks again for one that comes after its claim only every 15 seconds.
    apply(client, [namespace("volumes"), storage_class, volume])
    apply(client, [claim("served", "others")])
    assert delete_claim(client, "served") == f"{VOLUMES}/others"
    eventually(lambda: phase(client, f"{VOLUMES}/others"), lambda found: found == "Released")
    client.post(CLAIMS, claim("waiting", "others"))
    # Once a later claim of ours has got its volume, and lost it, theirs have been looked at.
    apply(client, [namespace("volumes"), claim("later", "do-block-storage")])
    later = delete_claim(client, "later")
    eventually(lambda: exists(client, later), lambda there: not there)
    assert phase(client, f"{CLAIMS}/waiting") == "Pending"
    assert phase(client, f"{VOLUMES}/others") == "Released"


def balancer(name: str, space: str, app: str) -> dict[str, Any]:
    """Return a Service of type LoadBalancer."""
    body = service(name, space, app)
    body["metadata"]["labels"] = {"app.kubernetes.io/name": app}
    body["spec"]["type"] = "LoadBalancer"
    return body


def test_a_load_balancer_gets_an_address_and_says_so(client: Kubernetes) -> None:
    """One of those kept for documentation, with the events that users see; other Services get none."""
    apply(client, [namespace("web"), balancer("public", "web", "public"), service("private", "web")])
    services = "/api/v1/namespaces/web/services"
    public = client.get(f"{services}/public")
    assert public["status"]["loadBalancer"]["ingress"] == [{"ip": address(public), "ipMode": "VIP"}]

    def said() -> list[str]:
        events = client.get(
            "/api/v1/namespaces/web/events", query={"fieldSelector": "involvedObject.name=public"}
        )["items"]
        return sorted((event["reason"] for event in events), reverse=True)

    assert eventually(said, lambda found: len(found) > 1) == ["EnsuringLoadBalancer", "EnsuredLoadBalancer"]
    assert client.get(f"{services}/private")["status"] == {"loadBalancer": {}}


def told(live: dict[str, Any]) -> object:
    """Return the addresses that are in an object's status."""
    return live["status"]["loadBalancer"].get("ingress")


def test_an_ingress_is_told_its_address_once_nginx_runs(client: Kubernetes) -> None:
    """The address of nginx's load balancer, for Ingresses of nginx's class only."""
    since = now(client)
    classes = [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": name},
            "spec": {"controller": controller},
        }
        for name, controller in (("nginx", "k8s.io/ingress-nginx"), ("others", "example.org/ingress"))
    ]
    ingresses = [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": name, "namespace": "web"},
            "spec": {
                "ingressClassName": name,
                "defaultBackend": {"service": {"name": "site", "port": {"number": 80}}},
            },
        }
        for name in ("nginx", "others")
    ]
    apply(
        client,
        [
            namespace("web"),
            *classes,
            *ingresses,
            balancer("ingress-nginx-controller", "web", "ingress-nginx"),
        ],
        wait=False,
    )
    balancers = "/api/v1/namespaces/web/services"
    moment(client, f"{balancers}/ingress-nginx-controller", told)
    apply(client, [deployment("ingress-nginx", "web")], set_name="nginx")

    runs = moment(client, "/apis/apps/v1/namespaces/web/deployments/ingress-nginx", available, since=since)
    assert moment(client, f"{INGRESSES}/nginx", told, since=since) > runs
    (reached,) = client.get(f"{balancers}/ingress-nginx-controller")["status"]["loadBalancer"]["ingress"]
    assert told(client.get(f"{INGRESSES}/nginx")) == [{"ip": reached["ip"]}]
    assert not told(client.get(f"{INGRESSES}/others"))


def test_there_are_no_logs_and_no_shells_and_kubectl_says_why(attended: Plane, client: Kubernetes) -> None:
    """In the line that people see, and not only somewhere on the way to them."""
    apply(client, [namespace("web"), deployment("site", "web")])
    for command in (("logs", "deployment/site"), ("exec", "deployment/site", "--", "true")):
        done = subprocess.run(
            [KUBECTL, "--kubeconfig", attended.control_plane.admin_kubeconfig, "-n", "web", *command],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "a rehearsal has no kubelets: there are no logs and no shells" in done.stderr
