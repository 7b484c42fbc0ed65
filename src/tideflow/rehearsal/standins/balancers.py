"""Load balancers: addresses for Services, as the cloud controller gives them, and for nginx's Ingresses."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import math
import time
import uuid
from typing import TYPE_CHECKING, Any

from tideflow.errors import KubernetesError
from tideflow.rehearsal.standins.world import Pass

if TYPE_CHECKING:
    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.rehearsal.standins.world import World

_SERVICE = ("", "Service")
_CONFIG = ("", "ConfigMap")
_INGRESS = ("networking.k8s.io", "Ingress")
_CLASS = ("networking.k8s.io", "IngressClass")
_SLICE = ("discovery.k8s.io", "EndpointSlice")

_MANAGER = "digitalocean-cloud-controller-manager"
_ID = "kubernetes.digitalocean.com/load-balancer-id"  # the annotation by which it knows its load balancer
_HOSTNAME = "service.beta.kubernetes.io/do-loadbalancer-hostname"
_TYPE = "service.beta.kubernetes.io/do-loadbalancer-type"
_SYSTEM = "/api/v1/namespaces/kube-system"
_REFUSAL = "rehearsal-load-balancers"  # a ConfigMap that says why there are none
_REFUSED_EVERY = 10.0  # seconds
_NOT_FOUND = 404
_DELAY = 2.0  # seconds; the real one takes minutes
_NGINX = "k8s.io/ingress-nginx"


def refuse(cluster: Kubernetes, why: str) -> None:
    """Have the Services of a cluster get no addresses from now on, and be told why; or get them again."""
    if why:
        kept = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": _REFUSAL}, "data": {"why": why}}
        cluster.apply(f"{_SYSTEM}/configmaps/{_REFUSAL}", kept, field_manager=_MANAGER)
        return
    try:
        cluster.delete(f"{_SYSTEM}/configmaps/{_REFUSAL}")
    except KubernetesError as error:
        if error.status != _NOT_FOUND:
            raise


def _addresses(world: World, *, refused: dict[str, float]) -> float | None:
    """Give each Service of type LoadBalancer its address, a moment after it was made.

    When each was ``refused`` last, by its UID, is kept from one time to the next.
    """
    again: float | None = None
    refusal = world.get(*_CONFIG, "kube-system", _REFUSAL)
    for service in world.all(*_SERVICE):
        state = (service.get("status") or {}).get("loadBalancer") or {}
        told = state.get("ingress") or []
        if service["spec"].get("type") != "LoadBalancer":
            if told:
                _say(world, service, [])
            continue
        if told:
            entry = _entry(service)
            if told[0].get("hostname") != entry.get("hostname"):
                _say(world, service, [entry])
            continue
        made = dt.datetime.fromisoformat(service["metadata"]["creationTimestamp"])
        left = _DELAY - (dt.datetime.now(dt.UTC) - made).total_seconds()
        if left > 0:
            again = min(left, again or left)
            continue
        why = refusal["data"]["why"] if refusal is not None else _misfit(service)
        if why:
            due = refused.get(service["metadata"]["uid"], -math.inf) + _REFUSED_EVERY - time.monotonic()
            if due <= 0:
                refused[service["metadata"]["uid"]] = time.monotonic()
                _refuse(world, service, why)
                due = _REFUSED_EVERY
            again = min(due, again or due)
            continue
        _tell(world, service, "EnsuringLoadBalancer", "Ensuring load balancer")
        world.cluster.patch(
            world.path(service, *_SERVICE),
            {"metadata": {"annotations": {_ID: identity(service)}}},
            query={"fieldManager": _MANAGER},
        )
        _say(world, service, [_entry(service)])
        _tell(world, service, "EnsuredLoadBalancer", "Ensured load balancer")
    return again


def _say(world: World, service: dict[str, Any], entries: list[dict[str, str]]) -> None:
    """Have the Service say where its load balancer is."""
    world.cluster.patch(
        world.path(service, *_SERVICE) + "/status",
        {"status": {"loadBalancer": {"ingress": entries}}},
        query={"fieldManager": _MANAGER},
    )


def _entry(service: dict[str, Any]) -> dict[str, str]:
    """Return where it is: at an address, or at the hostname that an annotation has in its place."""
    hostname = (service["metadata"].get("annotations") or {}).get(_HOSTNAME)
    return {"hostname": hostname} if hostname else {"ip": address(service), "ipMode": "VIP"}


def _refuse(world: World, service: dict[str, Any], why: str) -> None:
    _tell(world, service, "EnsuringLoadBalancer", "Ensuring load balancer")
    message = f"Error syncing load balancer: failed to ensure load balancer: {why}"
    _tell(world, service, "SyncLoadBalancerFailed", message, kind="Warning")


def is_network(service: dict[str, Any]) -> bool:
    """Tell whether a Service gets a network load balancer: since Kubernetes 1.33, if it says nothing."""
    return (service["metadata"].get("annotations") or {}).get(_TYPE) != "REGIONAL"


def _misfit(service: dict[str, Any]) -> str:
    """Return why a Service cannot have its load balancer: a network one leaves ports as they are."""
    for port in service["spec"]["ports"] if is_network(service) else ():
        target = port.get("targetPort", port["port"])
        if isinstance(target, int) and target != port["port"]:
            return f"network load balancers need port and targetPort to match: {port['port']} is not {target}"
    return ""


def address(service: dict[str, Any]) -> str:
    """Return the same address for a Service each time, out of what RFC 5737 keeps for documentation."""
    digest = hashlib.sha256(service["metadata"]["uid"].encode()).digest()
    return f"203.0.113.{digest[0] % 254 + 1}"


def identity(service: dict[str, Any]) -> str:
    """Return the id of a Service's load balancer, the same each time."""
    return str(uuid.uuid5(uuid.UUID(service["metadata"]["uid"]), "load balancer"))


def _tell(world: World, service: dict[str, Any], reason: str, message: str, *, kind: str = "Normal") -> None:
    metadata = service["metadata"]
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    event = {
        "metadata": {"generateName": f"{metadata['name']}.", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Service",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "reason": reason,
        "message": message,
        "type": kind,
        "source": {"component": "service-controller"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    world.cluster.post(f"/api/v1/namespaces/{metadata['namespace']}/events", event)


def _ingresses(world: World) -> None:
    """Say in each Ingress of nginx where nginx is reached, while its controller runs."""
    classes = {
        found["metadata"]["name"] for found in world.all(*_CLASS) if found["spec"].get("controller") == _NGINX
    }
    reached = [
        entry
        for service in world.all(*_SERVICE)
        if (service["metadata"].get("labels") or {}).get("app.kubernetes.io/name") == "ingress-nginx"
        and any(world.endpoints(service["metadata"]["namespace"], service["metadata"]["name"]))
        for entry in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    ]
    wanted = [{name: entry[name] for name in ("ip", "hostname") if name in entry} for entry in reached]
    for ingress in world.all(*_INGRESS):
        state = ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress")
        if wanted and ingress["spec"].get("ingressClassName") in classes and state != wanted:
            world.cluster.patch(
                world.path(ingress, *_INGRESS) + "/status",
                {"status": {"loadBalancer": {"ingress": wanted}}},
                query={"fieldManager": "nginx-ingress-controller"},
            )


BALANCERS = Pass("load balancers", (_SERVICE, _CONFIG), functools.partial(_addresses, refused={}))
INGRESSES = Pass("ingresses", (_SERVICE, _INGRESS, _CLASS, _SLICE), _ingresses)
