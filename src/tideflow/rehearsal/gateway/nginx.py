"""Ingresses, as ingress-nginx reads them: which server has a host, and which location a path.

https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/ has the annotations; those below
are followed, in an Ingress or, where it has the same name, in the controller's ConfigMap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tideflow.rehearsal.gateway.firewall import Object

CONTROLLER = "k8s.io/ingress-nginx"

_PREFIX = "nginx.ingress.kubernetes.io/"
_CLASS = "kubernetes.io/ingress.class"
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_DEFAULTS = {
    "ssl-redirect": "true",
    "force-ssl-redirect": "false",
    "proxy-body-size": "1m",
    "proxy-buffer-size": "4k",
    "proxy-connect-timeout": "5",
    "proxy-next-upstream-tries": "3",
}


@dataclass(frozen=True)
class Location:
    """Where a path of a host leads to; ``service`` is None where an Ingress names no Service."""

    namespace: str
    path: str
    is_exact: bool
    service: str | None
    port: int | str
    annotations: Mapping[str, str]
    config: Mapping[str, str]

    def setting(self, name: str) -> str:
        """Return what an annotation of nginx's says, or else its ConfigMap, or else nginx itself."""
        return self.annotations.get(_PREFIX + name) or self.config.get(name) or _DEFAULTS[name]

    def is_on(self, name: str) -> bool:
        """Tell whether a setting is true."""
        return self.setting(name) == "true"

    def size(self, name: str) -> int:
        """Return a setting in bytes; what nginx would not take is its own default."""
        found = re.fullmatch(r"(\d+)([kmg]?)", self.setting(name).lower()) or re.fullmatch(
            r"(\d+)([kmg]?)", _DEFAULTS[name]
        )
        return int(found[1]) * _UNITS[found[2]] if found else 0

    def seconds(self, name: str) -> float:
        """Return a setting in seconds."""
        said = self.setting(name)
        return float(said if said.isdecimal() else _DEFAULTS[name])


class Ingresses:
    """The Ingresses that nginx serves, the oldest first: it has what two of them claim."""

    def __init__(
        self, ingresses: Iterable[Object], classes: Iterable[Object], config: Mapping[str, str]
    ) -> None:
        served = {
            found["metadata"]["name"] for found in classes if found["spec"].get("controller") == CONTROLLER
        }
        self._config = config
        self._ingresses = sorted(
            (found for found in ingresses if _class(found) in served),
            key=lambda found: (
                found["metadata"].get("creationTimestamp", ""),
                found["metadata"]["namespace"],
                found["metadata"]["name"],
            ),
        )

    def location(self, host: str, path: str) -> Location | None:
        """Return where a path of a host leads to; None where nginx has its own 404."""
        locations = self._locations(self._server(host))
        fitting = [found for found in locations if _fits(found, path)]
        # max returns the first of those that are alike, which is the oldest one's.
        return max(fitting, key=lambda found: (found.is_exact, len(found.path)), default=None)

    def secret(self, host: str) -> tuple[str, str] | None:
        """Return namespace and name of the Secret with the certificate of a host, if an Ingress has one."""
        for ingress in self._ingresses:
            for tls in ingress["spec"].get("tls") or ():
                names = tls.get("hosts") or [""]
                if tls.get("secretName") and any(covers(name.lower(), host) for name in names):
                    return ingress["metadata"]["namespace"], tls["secretName"]
        return None

    def _server(self, host: str) -> str:
        """Return the host of the rules that a request is for; nothing for the server of all others."""
        hosts = {
            (rule.get("host") or "").lower()
            for ingress in self._ingresses
            for rule in ingress["spec"].get("rules") or ()
        }
        fitting = [found for found in hosts if found and covers(found, host)]
        return max(fitting, key=lambda found: (not found.startswith("*"), len(found)), default="")

    def _locations(self, server: str) -> Iterable[Location]:
        for ingress in self._ingresses:
            spec = ingress["spec"]
            rules = spec.get("rules") or ()
            hosts = [(rule.get("host") or "").lower() for rule in rules]
            for host, rule in zip(hosts, rules, strict=True):
                if host == server:
                    for path in (rule.get("http") or {}).get("paths") or ():
                        yield self._location(ingress, path)
            if "defaultBackend" in spec and (server in hosts or not (server or hosts)):
                yield self._location(ingress, {"backend": spec["defaultBackend"]})

    def _location(self, ingress: Object, path: Mapping[str, Any]) -> Location:
        backend = path["backend"]
        service = backend.get("service") or {}
        port = service.get("port") or {}
        metadata = ingress["metadata"]
        return Location(
            metadata["namespace"],
            path.get("path") or "/",
            path.get("pathType") == "Exact",
            service.get("name"),
            port.get("name") or port.get("number") or 0,
            metadata.get("annotations") or {},
            self._config,
        )


def covers(name: str, host: str) -> bool:
    """Tell whether a name is a host's own, or has a star in the place of the host's first label."""
    if name.startswith("*."):
        first, dot, rest = host.partition(".")
        return bool(first) and bool(dot) and rest == name[2:]
    return name == host


def _class(ingress: Object) -> str:
    annotations = ingress["metadata"].get("annotations") or {}
    return str(ingress["spec"].get("ingressClassName") or annotations.get(_CLASS) or "")


def _fits(location: Location, path: str) -> bool:
    if location.is_exact:
        return path == location.path
    stem = location.path.rstrip("/")
    return path == stem or path.startswith(f"{stem}/") or (not stem)
