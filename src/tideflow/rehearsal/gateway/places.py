"""Services: which pods, at which of their ports, are behind a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tideflow.rehearsal.gateway.firewall import OUTSIDE, Party, passes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tideflow.rehearsal.gateway.firewall import Object
    from tideflow.rehearsal.standins.world import World

POD = ("", "Pod")
SERVICE = ("", "Service")
NAMESPACE = ("", "Namespace")
POLICY = ("networking.k8s.io", "NetworkPolicy")
SLICE = ("discovery.k8s.io", "EndpointSlice")

NGINX = ("ingress-nginx", "ingress-nginx-controller")
GATEWAY = ("istio-system", "istio-ingressgateway")
"""The Services that may have the load balancer."""

LISTENS = "rehearsal.tideflow.dev/listens-at"
"""The annotation of that Service which says where it really is: an address of loopback, a port."""

_DOMAIN = ".svc.cluster.local"


@dataclass(frozen=True)
class Backend:
    """A ready pod behind a Service, and the port of it that the Service's leads to."""

    pod: Party
    port: int


@dataclass(frozen=True)
class Place:
    """A port of a Service, and what is ready behind it."""

    namespace: str
    name: str
    port: int
    backends: tuple[Backend, ...]


class Places:
    """The Services of a cluster."""

    def __init__(self, world: World) -> None:
        self._world = world

    def balanced(self) -> Object | None:
        """Return the Service that has the load balancer; None while none has an address.

        If there are two, DNS leads to the gateway's: nginx's is what is left of an edge that was changed.
        """
        for key in (GATEWAY, NGINX):
            service = self._world.get(*SERVICE, *key)
            state = ((service or {}).get("status") or {}).get("loadBalancer") or {}
            if service is not None and service["spec"].get("type") == "LoadBalancer" and state.get("ingress"):
                return service
        return None

    def find(self, namespace: str, name: str, port: int | str) -> Place | None:
        """Return a port of a Service, by number or name; None if there is no such Service or port."""
        service = self._world.get(*SERVICE, namespace, name)
        for found in _ports(service):
            if port in {found["port"], found.get("name")}:
                backends = tuple(self._backends(namespace, name, found.get("name", "")))
                return Place(namespace, name, found["port"], backends)
        return None

    def named(self, host: str, namespace: str, port: int | None) -> Place | None:
        """Return what a name of the cluster's DNS means to who is in ``namespace``.

        Without a port it is the only one that the Service has.
        """
        name, _, rest = host.removesuffix(".").removesuffix(_DOMAIN).removesuffix(".svc").partition(".")
        if "." in rest:
            return None
        within = rest or namespace
        if port is None:
            service = self._world.get(*SERVICE, within, name)
            ports = _ports(service)
            if len(ports) != 1:
                return None
            port = ports[0]["port"]
        return self.find(within, name, port)

    def reaches(self, source: Party, backend: Backend) -> bool:
        """Tell whether the NetworkPolicies let somebody through to a pod."""
        return self.admits(source, backend.pod, backend.port)

    def admits(self, source: Party, target: Party, port: int) -> bool:
        """Tell whether they let somebody through to a port of a pod."""
        namespaces = {
            found["metadata"]["name"]: found["metadata"].get("labels") or {}
            for found in self._world.all(*NAMESPACE)
        }
        return passes(self._world.all(*POLICY), namespaces, source=source, target=target, port=port)

    def admits_outside(self, address: str, port: int) -> bool:
        """Tell whether who is no pod, such as the API server, reaches a port of the pod at an address."""
        for pod in self._world.all(*POD):
            if (pod.get("status") or {}).get("podIP") == address and not pod["spec"].get("hostNetwork"):
                return self.admits(OUTSIDE, Party.of(pod), port)
        return True

    def _backends(self, namespace: str, service: str, port_name: str) -> Any:
        for found in self._world.all(*SLICE):
            metadata = found["metadata"]
            labels: Mapping[str, str] = metadata.get("labels") or {}
            if metadata["namespace"] != namespace or labels.get("kubernetes.io/service-name") != service:
                continue
            numbers = [
                each["port"] for each in found.get("ports") or () if (each.get("name") or "") == port_name
            ]
            for endpoint in found.get("endpoints") or ():
                if not numbers or (endpoint.get("conditions") or {}).get("ready") is False:
                    continue
                pod = self._world.get(*POD, namespace, (endpoint.get("targetRef") or {}).get("name", ""))
                if pod is not None:
                    yield Backend(Party.of(pod), numbers[0])


def _ports(service: Object | None) -> list[dict[str, Any]]:
    return service["spec"].get("ports") or [] if service else []
