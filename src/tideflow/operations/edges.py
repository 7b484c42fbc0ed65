"""What the hostname leads to first: the 1-click nginx, or Istio's own ingress gateway.

Everything that depends on it asks here: addons, load balancer, base, Ingress, and one day certificates.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from pyinfra import host

from tideflow.engine.manifests import Key
from tideflow.errors import SettingError
from tideflow.operations import releases
from tideflow.operations.addons import INGRESS_NGINX, offered
from tideflow.operations.live import shown
from tideflow.operations.running import (
    operation,
    platform,
    refusing,
    settings,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pyinfra.api import FunctionCommand

    from tideflow.connectors.platform import PlatformConnector
    from tideflow.connectors.settings import Edge
    from tideflow.engine.manifests import Manifest

GATEWAY = Key("", "Service", "istio-system", "istio-ingressgateway")
"""The Service that has the load balancer with the edge ``istio``; one of the base."""

NGINX = Key("", "Service", INGRESS_NGINX, "ingress-nginx-controller")
"""The Service that has it with the edge ``nginx``."""

_KNOWN: WeakKeyDictionary[PlatformConnector, Edge] = WeakKeyDictionary()


@refusing
def edge() -> Edge:
    """Return what has the load balancer, by the setting, and by whether nginx can be had at all."""
    target = platform()
    if target not in _KNOWN:
        _KNOWN[target] = _edge(target)
    return _KNOWN[target]


def _edge(target: PlatformConnector) -> Edge:
    chosen, api = settings(), target.digitalocean
    if chosen.edge == "istio" or api is None:
        return chosen.edge
    if INGRESS_NGINX not in chosen.addons:
        raise SettingError(
            f'the setting edge is "nginx", and the setting addons lacks {INGRESS_NGINX}',
            hint='add it there, or set edge to "istio"',
        )
    cluster = target.kubernetes()
    if cluster is not None and releases.find(cluster, INGRESS_NGINX) is not None:
        return "nginx"
    if INGRESS_NGINX in offered():
        return "nginx"
    host.log_styled(
        f"DigitalOcean no longer offers {INGRESS_NGINX}, so Istio's own gateway gets the load balancer, as "
        'with edge = "istio"',
        fg="yellow",
    )
    return "istio"


def balanced() -> Key:
    """Return the Service that has the load balancer."""
    return NGINX if edge() == "nginx" else GATEWAY


@refusing
def addons() -> list[str]:
    """Return the 1-clicks to be installed: nginx only where it has the load balancer."""
    return [slug for slug in settings().addons if slug != INGRESS_NGINX or edge() == "nginx"]


def annotated(manifests: Sequence[Manifest]) -> list[Manifest]:
    """Return the objects of the base, the gateway's Service with the settings of its load balancer.

    With this edge they are there from the beginning: some cannot be changed for an hour. A network load
    balancer is no choice here: the gateway's pods listen on other ports than the Service.
    """
    if settings().balancing.proxy_protocol:
        raise SettingError(
            "the setting load_balancer_proxy_protocol is for nginx: Istio's gateway does not expect it",
            hint="set it to False",
        )
    found = []
    for manifest in manifests:
        if manifest.key == GATEWAY:
            metadata: dict[str, Any] = manifest.body["metadata"]
            wanted = settings().balancing.annotations(regional=True)
            annotations = {**(metadata.get("annotations") or {}), **wanted}
            body = {**manifest.body, "metadata": {**metadata, "annotations": annotations}}
            found.append(dataclasses.replace(manifest, body=body))
        else:
            found.append(manifest)
    return found


@operation
def left_over() -> Generator[FunctionCommand]:
    """Say if an nginx that is not the edge any more has a load balancer still; changes nothing."""
    yield from ()
    live = shown(NGINX) if edge() == "istio" else None
    if live is not None and live["spec"].get("type") == "LoadBalancer":
        host.log_styled(
            f"{INGRESS_NGINX} is still installed, and its load balancer is billed. No call takes it away: "
            "once DNS leads to the gateway's, run: "
            f"helm uninstall {INGRESS_NGINX} --namespace {INGRESS_NGINX}",
            fg="yellow",
        )
