"""Gateways and VirtualServices: what a gateway of Istio's does with a request.

As far as Kubeflow's own objects go: hosts, matches of paths, methods and headers, rewrites, redirects, and
headers that are set. https://istio.io/latest/docs/reference/config/networking/virtual-service/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tideflow.rehearsal.gateway.firewall import selects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from multidict import CIMultiDict

    from tideflow.rehearsal.gateway.firewall import Object
    from tideflow.rehearsal.gateway.messages import Request

_MATCHED = {
    "uri",
    "method",
    "headers",
    "withoutHeaders",
    "authority",
    "scheme",
    "name",
    "gateways",
    "ignoreUriCase",
}


@dataclass(frozen=True)
class Server:
    """One server of a Gateway, ``gateway`` being that one's ``<namespace>/<name>``."""

    gateway: str
    port: int
    protocol: str
    hosts: Sequence[str]
    tls: Mapping[str, Any]

    @property
    def has_tls(self) -> bool:
        """Whether it speaks TLS."""
        return self.protocol in {"HTTPS", "TLS"}


@dataclass(frozen=True)
class Route:
    """What a VirtualService does with the requests that fit, and where it comes from."""

    namespace: str
    match: Mapping[str, Any]
    action: Mapping[str, Any]

    @property
    def is_for_all(self) -> bool:
        """Whether it is for all paths; Istio looks at such last, whichever VirtualService they are of."""
        uri = self.match.get("uri") or {}
        others = set(self.match) - {"uri", "name", "gateways"}
        return not others and (not uri or uri.get("prefix") == "/" or uri.get("regex") in {".*", "*"})


def servers(gateways: Iterable[Object], labels: Mapping[str, str]) -> list[Server]:
    """Return the servers of the gateway whose pods have these labels."""
    return [
        Server(
            f"{found['metadata']['namespace']}/{found['metadata']['name']}",
            server["port"]["number"],
            server["port"]["protocol"].upper(),
            [name.rpartition("/")[2] for name in server["hosts"]],
            server.get("tls") or {},
        )
        for found in sorted(gateways, key=_age)
        if selects({"matchLabels": found["spec"].get("selector") or {}}, labels)
        for server in found["spec"].get("servers") or ()
    ]


def server_of(found: Iterable[Server], port: int, host: str) -> Server | None:
    """Return the server at a port that has a host, the one that names it most exactly."""
    fitting = [server for server in found if server.port == port and best(server.hosts, host)]
    return max(fitting, key=lambda server: _rank(best(server.hosts, host)), default=None)


def redirects(found: Iterable[Server], port: int, host: str) -> bool:
    """Tell whether who comes to a port without TLS is sent to where there is; one server is enough for that.

    Envoy does it after it has asked whether they may come at all (envoyproxy/envoy#17546).
    """
    ranked = [
        (_rank(name), bool(server.tls.get("httpsRedirect")))
        for server in found
        if server.port == port and (name := best(server.hosts, host))
    ]
    most = max((rank for rank, _ in ranked), default=None)
    return any(redirects for rank, redirects in ranked if rank == most)


def routes(virtual_services: Iterable[Object], found: Iterable[Server], host: str) -> list[Route]:
    """Return the routes of a host over these servers of one port, in the order in which they are tried."""
    known = {server.gateway for server in found if best(server.hosts, host)}
    attached = [
        service
        for service in sorted(virtual_services, key=_age)
        if known & set(_gateways(service)) and best(service["spec"].get("hosts") or (), host)
    ]
    # The most exact host has its requests to itself.
    ranks = [_rank(best(service["spec"]["hosts"], host)) for service in attached]
    own = [service for service, rank in zip(attached, ranks, strict=True) if rank == max(ranks)]
    every = [route for service in own for route in _routes(service)]
    return sorted(every, key=lambda route: route.is_for_all)


def route_of(found: Iterable[Route], request: Request) -> Route | None:
    """Return the first of the routes that fits a request."""
    return next((route for route in found if _fits(route.match, request)), None)


def rewritten(route: Route, request: Request) -> str:
    """Return the path and query with which the request goes on."""
    wanted = (route.action.get("rewrite") or {}).get("uri")
    if wanted is None:
        return request.target
    path, mark, query = request.target.partition("?")
    prefix = (route.match.get("uri") or {}).get("prefix")
    path = wanted + path[len(prefix) :] if prefix is not None else wanted
    return f"{path}{mark}{query}"


def changed(headers: CIMultiDict[str], wanted: Mapping[str, Any] | None) -> CIMultiDict[str]:
    """Return headers as a route sets, adds and removes them."""
    result = headers.copy()
    for name in (wanted or {}).get("remove") or ():
        result.popall(name, None)
    for name, value in ((wanted or {}).get("set") or {}).items():
        result[name] = value
    for name, value in ((wanted or {}).get("add") or {}).items():
        result.add(name, value)
    return result


def best(names: Iterable[str], host: str) -> str:
    """Return the most exact of those names that a host is covered by; nothing if none is."""
    fitting = [name for name in names if _covers(name.lower(), host)]
    return max(fitting, key=_rank, default="")


def _covers(name: str, host: str) -> bool:
    if name == "*":
        return True
    return host.endswith(name[1:]) and len(host) > len(name) - 1 if name.startswith("*") else name == host


def _rank(name: str) -> tuple[bool, int]:
    return (not name.startswith("*"), len(name))


def _age(found: Object) -> tuple[str, str, str]:
    metadata = found["metadata"]
    return metadata.get("creationTimestamp", ""), metadata["name"], metadata["namespace"]


def _gateways(service: Object) -> Iterator[str]:
    for name in service["spec"].get("gateways") or ():
        yield name if "/" in name else f"{service['metadata']['namespace']}/{name}"


def _routes(service: Object) -> Iterator[Route]:
    namespace = service["metadata"]["namespace"]
    for action in service["spec"].get("http") or ():
        matches: Sequence[dict[str, Any]] = action.get("match") or ({},)
        for match in matches:
            yield Route(namespace, match, action)


def _fits(match: Mapping[str, Any], request: Request) -> bool:
    if set(match) - _MATCHED:
        return False  # not modelled
    path = request.path.lower() if match.get("ignoreUriCase") else request.path
    values = (
        ("uri", path),
        ("method", request.method),
        ("authority", request.authority),
        ("scheme", request.scheme),
    )
    return (
        all(_is(match[name], value) for name, value in values if name in match)
        and all(_has(request, name, wanted) for name, wanted in (match.get("headers") or {}).items())
        and not any(
            _has(request, name, wanted) for name, wanted in (match.get("withoutHeaders") or {}).items()
        )
    )


def _has(request: Request, name: str, wanted: Mapping[str, str]) -> bool:
    return name in request.headers and _is(wanted, request.headers[name])


def _is(wanted: Mapping[str, str], value: str) -> bool:
    if "exact" in wanted:
        return value == wanted["exact"]
    if "prefix" in wanted:
        return value.startswith(wanted["prefix"])
    if "regex" in wanted:
        return re.fullmatch(wanted["regex"], value) is not None
    return True  # a header that only has to be there
