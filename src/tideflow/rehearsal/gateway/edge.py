"""The load balancer and what it leads to: nginx and its Ingresses, or Istio's gateway itself."""

from __future__ import annotations

import base64
import dataclasses
import functools
from typing import TYPE_CHECKING

from cryptography import x509

from tideflow.rehearsal.certificates import Authority, server_context
from tideflow.rehearsal.gateway import mesh
from tideflow.rehearsal.gateway.firewall import OUTSIDE
from tideflow.rehearsal.gateway.ingressgateway import CONFIG
from tideflow.rehearsal.gateway.messages import NoAnswerError, NoConnectionError, moved, plain
from tideflow.rehearsal.gateway.nginx import Ingresses, covers
from tideflow.rehearsal.gateway.places import NGINX

if TYPE_CHECKING:
    import ssl

    from tideflow.rehearsal.gateway.ingressgateway import IngressGateway
    from tideflow.rehearsal.gateway.messages import Answer, Request
    from tideflow.rehearsal.gateway.nginx import Location
    from tideflow.rehearsal.gateway.places import Backend, Place, Places
    from tideflow.rehearsal.gateway.workloads import Workloads
    from tideflow.rehearsal.standins.world import World

INGRESS = ("networking.k8s.io", "Ingress")
CLASS = ("networking.k8s.io", "IngressClass")
SECRET = ("", "Secret")

_PORTS = {"http": 80, "https": 443}
_BALANCER_PATIENCE = 15.0  # seconds for which the load balancer tries to connect
_STATUS = {"nothing ready": 503, "refused": 502, "timed out": 504}


class Edge:
    """Where requests come in."""

    def __init__(self, world: World, places: Places, workloads: Workloads, gateway: IngressGateway) -> None:
        self._world = world
        self._places = places
        self._workloads = workloads
        self._gateway = gateway

    async def answer(self, request: Request) -> Answer:
        """Answer what has come in; raises `NoAnswerError`."""
        place = self._place(request.scheme)
        try:
            backend = await self._workloads.reached(place, source=OUTSIDE, patience=_BALANCER_PATIENCE)
        except NoConnectionError as error:
            raise NoAnswerError(error.reason) from error
        if not backend.pod.is_gateway:
            return await self._nginx(request, backend)
        servers = self._gateway.servers(backend, place)
        if not servers or servers[0].has_tls != (request.scheme == "https"):
            raise NoAnswerError("nothing listens there")
        return await self._gateway.answer(request, backend, servers)

    def context(self, name: str) -> ssl.SSLContext | None:
        """Return what presents the certificate for a server name; None if nothing would."""
        try:
            place = self._place("https")
        except NoAnswerError:
            return None
        if not place.backends:
            return None
        backend = place.backends[0]
        if not backend.pod.is_gateway:
            secret = self._ingresses().secret(name.lower())
            return (self._certificate(*secret, host=name.lower()) if secret else None) or _fake()
        servers = [found for found in self._gateway.servers(backend, place) if found.has_tls]
        server = mesh.server_of(servers, servers[0].port, name.lower()) if servers else None
        credential = server.tls.get("credentialName") if server else None
        return self._certificate(backend.pod.namespace, credential) if credential else None

    def _place(self, scheme: str) -> Place:
        service = self._places.balanced()
        metadata = service["metadata"] if service else {"namespace": "", "name": ""}
        place = self._places.find(metadata["namespace"], metadata["name"], _PORTS[scheme])
        if place is None:
            raise NoAnswerError("the load balancer has no such port")
        return place

    def _ingresses(self) -> Ingresses:
        config = (self._world.get(*CONFIG, *NGINX) or {}).get("data") or {}
        return Ingresses(self._world.all(*INGRESS), self._world.all(*CLASS), config)

    def _certificate(self, namespace: str, name: str, *, host: str = "") -> ssl.SSLContext | None:
        """Return what presents the certificate in a Secret; None if it is none, or not the host's."""
        data = (self._world.get(*SECRET, namespace, name) or {}).get("data") or {}
        return _served(data.get("tls.crt", ""), data.get("tls.key", ""), host)

    async def _nginx(self, request: Request, nginx: Backend) -> Answer:
        ingresses = self._ingresses()
        location = ingresses.location(request.host, request.path)
        if location is None:
            return plain(404)
        has_certificate = ingresses.secret(request.host) is not None
        if request.scheme == "http" and (
            location.is_on("force-ssl-redirect") or (has_certificate and location.is_on("ssl-redirect"))
        ):
            return moved(308, f"https://{request.authority}{request.target}")
        limit = location.size("proxy-body-size")
        if limit and len(request.body) > limit:
            return plain(413)
        try:
            answer = await self._pass(request, location, nginx)
        except NoConnectionError as error:
            return plain(_STATUS[error.reason])
        if sum(len(name) + len(value) + 4 for name, value in answer.headers.items()) > location.size(
            "proxy-buffer-size"
        ):
            return plain(502)  # "upstream sent too big header", says its log
        return answer

    async def _pass(self, request: Request, location: Location, nginx: Backend) -> Answer:
        place = self._places.find(location.namespace, location.service or "", location.port)
        if place is None:
            raise NoConnectionError("nothing ready")
        headers = request.headers.copy()
        headers["X-Forwarded-Proto"] = headers["X-Scheme"] = request.scheme
        headers["X-Forwarded-Host"] = request.authority
        headers["X-Forwarded-Port"] = str(_PORTS[request.scheme])
        headers["X-Forwarded-For"] = headers["X-Real-IP"] = "127.0.0.1"
        onward = dataclasses.replace(request, headers=headers, scheme="http")
        patience = location.seconds("proxy-connect-timeout") * location.seconds("proxy-next-upstream-tries")
        backend = await self._workloads.reached(place, source=nginx.pod, patience=patience)
        if not backend.pod.is_gateway:
            return await self._workloads.answer(onward, place, source=nginx.pod, patience=patience)
        servers = self._gateway.servers(backend, place)
        if not servers or servers[0].has_tls:
            raise NoConnectionError("refused")
        return await self._gateway.answer(onward, backend, servers)


@functools.lru_cache(maxsize=16)
def _served(certificate: str, key: str, host: str) -> ssl.SSLContext | None:
    try:
        pem = base64.b64decode(certificate)
        context = server_context(pem.decode(), base64.b64decode(key).decode())
        if not host or any(covers(name.lower(), host) for name in _names(pem)):
            return context
    except (ValueError, OSError):  # ssl.SSLError is one of these
        pass
    return None


def _names(pem: bytes) -> list[str]:
    """Return the DNS names that a certificate is good for."""
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return found.value.get_values_for_type(x509.DNSName)


@functools.cache
def _fake() -> ssl.SSLContext:
    """Return what presents the certificate that nginx has for hosts without one, and nobody trusts."""
    authority = Authority.new("Kubernetes Ingress Controller Fake Certificate", dns_names=["ingress.local"])
    return server_context(authority.certificate, authority.private_key)
