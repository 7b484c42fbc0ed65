"""The way that strangers take to Kubeflow's login, as it should be, and what may be in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tideflow.connectors.encryption import Mode
    from tideflow.connectors.settings import Edge

BASE = "kubeflow_base"
"""The step that makes all that is behind the edge."""

_USUAL = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class Way:
    """Where the hostname is to lead: to the load balancer's address, and at which ports that is reached.

    ``authority`` is the certificate (PEM) of whom its certificate is to be issued by, empty for one that
    browsers trust; ``secret`` is the one that the edge is to present, as it is in the cluster, if it is.
    ``sources`` are the networks that the load balancer lets in, if not all.
    """

    hostname: str
    address: str
    ports: Mapping[str, int] = field(default_factory=lambda: _USUAL)
    mode: Mode
    edge: Edge
    authority: str = ""
    secret: str = ""
    sources: tuple[str, ...] = ()

    @property
    def scheme(self) -> str:
        """How people are to reach it."""
        return "http" if self.mode == "off" else "https"

    def netloc(self, scheme: str) -> str:
        """Return what is before the path of a URL: the hostname, and a port that is not the usual one."""
        port = self.ports[scheme]
        return self.hostname if port == _USUAL[scheme] else f"{self.hostname}:{port}"

    @property
    def url(self) -> str:
        """What people open."""
        return f"{self.scheme}://{self.netloc(self.scheme)}"

    @property
    def certified_by(self) -> str:
        """The step that has the certificate issued."""
        return "certificate" if self.mode == "acme" else "ingress"


@dataclass(frozen=True)
class Trouble:
    """What is in the way, and the step that puts it right.

    What ``passes`` by itself, as when something was just made or restarted, is worth waiting for. What is
    ``theirs`` is nobody's fault here: it is told, and no failure. ``first`` is what to do before the step,
    ``otherwise`` what to do if it does not help.
    """

    what: str
    step: str
    passes: bool = False
    theirs: bool = False
    first: str = ""
    otherwise: str = ""
