"""Istio's ingress gateway: who may pass, by asking oauth2-proxy and by the token, and then where to."""

from __future__ import annotations

import dataclasses
import functools
import posixpath
from typing import TYPE_CHECKING, Any

import yaml
from multidict import CIMultiDict

from tideflow.rehearsal.gateway import mesh
from tideflow.rehearsal.gateway.authentication import Refusal, authenticated
from tideflow.rehearsal.gateway.authorization import Facts, about, allows, matches, providers
from tideflow.rehearsal.gateway.messages import Answer, NoConnectionError, moved, text
from tideflow.rehearsal.gateway.workloads import POLICIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tideflow.rehearsal.gateway.mesh import Route, Server
    from tideflow.rehearsal.gateway.messages import Request
    from tideflow.rehearsal.gateway.places import Backend, Place, Places
    from tideflow.rehearsal.gateway.programs import Programs
    from tideflow.rehearsal.gateway.workloads import Workloads
    from tideflow.rehearsal.standins.world import World

GATEWAYS = ("networking.istio.io", "Gateway")
VIRTUAL_SERVICES = ("networking.istio.io", "VirtualService")
AUTHENTICATIONS = ("security.istio.io", "RequestAuthentication")
CONFIG = ("", "ConfigMap")

CONNECTING = 10.0  # seconds that Envoy waits for a connection, unless it is told otherwise
_RESET = "upstream connect error or disconnect/reset before headers. reset reason:"
_SAID = {
    "nothing ready": "no healthy upstream",
    "refused": f"{_RESET} connection failure, transport failure reason: delayed connect error: "
    "Connection refused",
    "timed out": f"{_RESET} connection timeout",
}


class IngressGateway:
    """The pods of the gateway."""

    def __init__(self, world: World, places: Places, workloads: Workloads, programs: Programs) -> None:
        self._world = world
        self._places = places
        self._workloads = workloads
        self._programs = programs

    def servers(self, backend: Backend, place: Place) -> list[Server]:
        """Return what listens at the port of a gateway's pod; nothing if the pod is no gateway."""
        found = mesh.servers(self._world.all(*GATEWAYS), backend.pod.labels)
        return [server for server in found if server.port in {place.port, backend.port}]

    async def answer(self, request: Request, backend: Backend, servers: list[Server]) -> Answer:
        """Answer what has come to a pod of the gateway, at a port where these servers are."""
        server = mesh.server_of(servers, servers[0].port, request.host)
        if server is None:
            return Answer(404)
        request = dataclasses.replace(request, target=_normalized(request.target))
        policies = about(self._world.all(*POLICIES), backend.pod)
        for name in providers(policies, Facts(request, backend.port)):
            checked = await self._ask(name, request, backend)
            if isinstance(checked, Answer):
                return checked
            request = dataclasses.replace(request, headers=checked)
        rules = about(self._world.all(*AUTHENTICATIONS), backend.pod)
        try:
            claims, headers = authenticated(rules, request.headers, self._programs.issuer)
        except Refusal as refusal:
            return refusal.answer
        request = dataclasses.replace(request, headers=headers)
        if not allows(policies, Facts(request, backend.port, claims=claims)):
            return text(403, "RBAC: access denied")
        if request.scheme == "http" and mesh.redirects(servers, server.port, request.host):
            return moved(301, f"https://{request.authority}{request.target}")
        found = mesh.routes(self._world.all(*VIRTUAL_SERVICES), servers, request.host)
        route = mesh.route_of(found, request)
        return Answer(404) if route is None else await self._follow(route, request, backend)

    async def _follow(self, route: Route, request: Request, backend: Backend) -> Answer:
        action = route.action
        if "redirect" in action:
            return _redirect(action["redirect"], request)
        if "directResponse" in action:
            said = (action["directResponse"].get("body") or {}).get("string", "")
            return text(action["directResponse"]["status"], said)
        choices = action.get("route") or ()
        if not choices:
            return Answer(404)
        chosen = max(choices, key=lambda choice: choice.get("weight", 0))
        destination = chosen["destination"]
        port = (destination.get("port") or {}).get("number")
        place = self._places.named(destination["host"], route.namespace, port)
        if place is None:
            return Answer(503)  # Envoy has no such cluster, and nothing to say
        headers = request.headers
        for part in (action, chosen):
            headers = mesh.changed(headers, (part.get("headers") or {}).get("request"))
        authority = (action.get("rewrite") or {}).get("authority")
        if authority:
            headers["Host"] = authority
        onward = dataclasses.replace(request, headers=headers, target=mesh.rewritten(route, request))
        try:
            answer = await self._workloads.answer(onward, place, source=backend.pod, patience=CONNECTING)
        except NoConnectionError as error:
            return text(503, _SAID[error.reason])
        told = answer.headers
        for part in (chosen, action):
            told = mesh.changed(told, (part.get("headers") or {}).get("response"))
        return dataclasses.replace(answer, headers=told)

    async def _ask(self, name: str, request: Request, backend: Backend) -> CIMultiDict[str] | Answer:
        """Ask a provider about a request; returns the headers it goes on with, or what is answered."""
        provider = self._provider(name)
        if provider is None:
            return text(403, "RBAC: access denied")
        included = [
            "host",
            *(provider.get("includeRequestHeadersInCheck") or provider.get("includeHeadersInCheck") or ()),
        ]
        asked = dataclasses.replace(
            request,
            headers=_only(request.headers, included),
            body=b"",
            target=provider.get("pathPrefix", "") + request.target,
        )
        failed = Answer(int(provider.get("statusOnError") or 403))
        place = self._places.named(provider["service"].rpartition("/")[2], "", int(provider["port"]))
        if place is None:
            return failed
        try:
            answer = await self._workloads.answer(asked, place, source=backend.pod, patience=CONNECTING)
        except NoConnectionError:
            return request.headers if provider.get("failOpen") else failed
        if answer.status != 200:  # noqa: PLR2004 - HTTP's
            told = provider.get("headersToDownstreamOnDeny")
            kept = [*told, "location", "www-authenticate"] if told else ["*"]
            return dataclasses.replace(answer, headers=_only(answer.headers, kept))
        result = request.headers.copy()
        for header in _only(answer.headers, provider.get("headersToUpstreamOnAllow") or ()):
            result[header] = answer.headers[header]
        return result

    def _provider(self, name: str) -> Mapping[str, Any] | None:
        """Return how a provider is asked, from the mesh's settings."""
        config = self._world.get(*CONFIG, "istio-system", "istio") or {}
        for found in _providers((config.get("data") or {}).get("mesh", "")):
            if found.get("name") == name:
                return found.get("envoyExtAuthzHttp")
        return None


@functools.lru_cache(maxsize=4)
def _providers(settings: str) -> list[dict[str, Any]]:
    try:
        return list((yaml.safe_load(settings) or {}).get("extensionProviders") or ())
    except (yaml.YAMLError, AttributeError, TypeError):
        return []


def _only(headers: CIMultiDict[str], names: Iterable[str]) -> CIMultiDict[str]:
    """Return those headers whose names are like one of these."""
    wanted = [name.lower() for name in names]
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if any(matches(each, name.lower()) for each in wanted)
    )


def _redirect(wanted: Mapping[str, Any], request: Request) -> Answer:
    authority = wanted.get("authority", request.authority)
    scheme = wanted.get("scheme", request.scheme)
    return moved(
        wanted.get("redirectCode", 301), f"{scheme}://{authority}{wanted.get('uri', request.target)}"
    )


def _normalized(target: str) -> str:
    """Return path and query with ``.`` and ``..`` resolved, as Envoy has them before it decides by them."""
    path, mark, query = target.partition("?")
    if "/." not in path and "\\" not in path:
        return target
    resolved = posixpath.normpath(path.replace("\\", "/"))
    if path.endswith(("/", "/.", "/..")) and not resolved.endswith("/"):
        resolved += "/"
    return f"/{resolved.lstrip('/')}{mark}{query}"
