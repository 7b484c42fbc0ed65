"""The load balancer: its address, and its settings.

The Service is the chart's, and so is nginx's ConfigMap: under a field manager of their own, only those
annotations are written that a setting stands for, and one key. What is set no more is given up, and goes.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

from pyinfra import host

from tideflow.connectors.balancing import ANNOTATION
from tideflow.engine.manifests import Key
from tideflow.engine.ownership import entries, has_applied
from tideflow.errors import ApplyError
from tideflow.operations import edges, releases
from tideflow.operations.live import annotations_of, shown
from tideflow.operations.running import (
    announce,
    change,
    executing,
    operation,
    platform,
    present_cluster,
    to_run,
)
from tideflow.rehearsal.gateway.places import LISTENS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from pyinfra.api import FunctionCommand

    from tideflow.clients.billed import LoadBalancer
    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.connectors.balancing import Balancing
    from tideflow.connectors.platform import PlatformConnector

LOAD_BALANCER = "the load balancer"
"""What ``deploys/load_balancer.py`` makes, as a promise to later steps."""

_MANAGER = "tideflow-load-balancer"
_ID = "kubernetes.digitalocean.com/load-balancer-id"  # where DigitalOcean's controller says which one it is
_CONFIG = Key("", "ConfigMap", edges.NGINX.namespace, edges.NGINX.name)
_PROXY_PROTOCOL = "use-proxy-protocol"
_PATIENCE = 120.0  # seconds until DigitalOcean's controller has passed a setting on
_PAUSE = 3.0
_PAUSE_REHEARSAL = 0.3


def address(target: PlatformConnector) -> str | None:
    """Return the address of the platform's load balancer, or None while it has none.

    With the proxy protocol the Service has a hostname in its place, and DigitalOcean's API the address.
    """
    service = _service(target)
    entries = _entries(service)
    for entry in entries:
        if entry.get("ip"):
            return str(entry["ip"])
    balancer = _balancer(target, service or {}) if entries else None
    return balancer.ip or None if balancer is not None else None


def told(target: PlatformConnector) -> str | None:
    """Return what the Service says of where its load balancer is: an address or a name; None if nothing."""
    said = (entry.get("ip") or entry.get("hostname") for entry in _entries(_service(target)))
    return next(filter(None, said), None)


def port(target: PlatformConnector) -> str:
    """Return what a name needs behind it to be reached, such as ``:27443``: only a rehearsal has a port."""
    listens = annotations_of(_service(target)).get(LISTENS, "") if target.rehearsal else ""
    return "".join(listens.rpartition(":")[1:])


def _service(target: PlatformConnector) -> dict[str, Any] | None:
    return shown(edges.balanced()) if target.kubernetes() is not None else None


def _entries(service: Mapping[str, Any] | None) -> Sequence[Mapping[str, str]]:
    if service is None or service["spec"].get("type") != "LoadBalancer":
        return ()
    return (service.get("status") or {}).get("loadBalancer", {}).get("ingress") or ()


def _balancer(target: PlatformConnector, service: Mapping[str, Any]) -> LoadBalancer | None:
    found, api = annotations_of(service).get(_ID), target.digitalocean
    return api.load_balancer(found) if found and api is not None else None


@operation
def configured(*, wanted: Balancing, timeout: float) -> Generator[FunctionCommand]:
    """Have the load balancer of nginx as the settings want it; ``timeout`` is in seconds."""
    target = platform()
    if target.digitalocean is None:
        host.log(f"{target.platform} is not made by DigitalOcean's API: its load balancer is yours to set")
        return
    present_cluster()
    if executing() and shown(edges.NGINX) is None:
        raise ApplyError(f"{edges.NGINX} is gone", hint=f"run again: {to_run('load_balancer')}")
    changes = list(_changes(wanted))
    for words in changes:
        announce(f"change the load balancer: {words}")
    if changes:
        yield change(functools.partial(_configure, target, wanted, changes, timeout=timeout))
        return
    service = shown(edges.NGINX)
    if wanted.annotations() and service is not None:
        for words in _differences(_balancer(target, service), wanted):
            host.log_styled(f"DigitalOcean has not taken it yet: {words}", fg="yellow")
    host.noop(f"the load balancer has the address {address(target)}, and is set as it should be")


def _data(wanted: Balancing) -> Mapping[str, str]:
    """Return what nginx's ConfigMap is to have."""
    return {_PROXY_PROTOCOL: "true"} if wanted.proxy_protocol else {}


def _changes(wanted: Balancing) -> Iterator[str]:
    """Yield what differs, in words with both values; nginx last, as it is written."""
    service, config = shown(edges.NGINX), shown(_CONFIG)
    ours = _owned(service, "f:metadata", "f:annotations")
    for words in _differing(wanted.annotations(), annotations_of(service), ours):
        yield words.removeprefix(ANNOTATION)
    ours = _owned(config, "f:data")
    for words in _differing(_data(wanted), (config or {}).get("data") or {}, ours):
        yield f"nginx's {words}"


def _differing(wanted: Mapping[str, str], live: Mapping[str, str], ours: set[str]) -> Iterator[str]:
    for name, value in wanted.items():
        if live.get(name) != value:
            yield f"{name}: {live.get(name, 'not set')} → {value}"
    for name in sorted(ours - wanted.keys()):
        yield f"{name}: {live.get(name, 'not set')} → not set"


def _owned(live: Mapping[str, Any] | None, *path: str) -> set[str]:
    """Return the names, below a path of fields, that are this manager's."""
    for entry in entries(live) if live is not None else ():
        if has_applied(entry, _MANAGER):
            fields: Mapping[str, Any] = entry.get("fieldsV1") or {}
            for part in path:
                fields = fields.get(part) or {}
            return {name.removeprefix("f:") for name in fields if name.startswith("f:")}
    return set()


def _configure(
    target: PlatformConnector,
    wanted: Balancing,
    changes: Sequence[str],
    live: Callable[[str], None],
    *,
    timeout: float,
) -> None:
    """Set the load balancer, and then nginx; either alone refuses what the other sends.

    The load balancer is the slower one, and nginx takes a change within a second: so it follows once the
    load balancer is known to have it.
    """
    cluster = target.kubernetes()
    if cluster is None:
        raise ApplyError(f"the cluster {target.platform} is gone", hint=f"run again: {to_run('cluster')}")
    metadata: dict[str, Any] = {"name": edges.NGINX.name, "namespace": edges.NGINX.namespace}
    path = f"/api/v1/namespaces/{edges.NGINX.namespace}"
    annotations = wanted.annotations()
    annotated = {**metadata, "annotations": annotations} if annotations else metadata
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "Service", "metadata": annotated}
    cluster.apply(f"{path}/services/{edges.NGINX.name}", body, field_manager=_MANAGER)
    _await(target, cluster, wanted, live, patience=min(_PATIENCE, timeout))
    if (data := _data(wanted)) or _owned(shown(_CONFIG), "f:data"):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        cluster.apply(f"{path}/configmaps/{_CONFIG.name}", body, field_manager=_MANAGER)
    for words in changes:
        target.host.log(f"changed {words}")


def _await(
    target: PlatformConnector,
    cluster: Kubernetes,
    wanted: Balancing,
    live: Callable[[str], None],
    *,
    patience: float,
) -> None:
    """Wait until DigitalOcean has taken the settings; type and proxy protocol are insisted on."""
    start = time.monotonic()
    while True:
        service = cluster.get(f"/api/v1/namespaces/{edges.NGINX.namespace}/services/{edges.NGINX.name}")
        found = _balancer(target, service)
        left = list(_differences(found, wanted))
        if not left:
            return
        elapsed = time.monotonic() - start
        if elapsed > patience:
            break
        live(f"waiting {elapsed:.0f} s for DigitalOcean to take: {', '.join(left)}")
        time.sleep(_PAUSE_REHEARSAL if target.rehearsal else _PAUSE)
    reason = releases.complaint(cluster, edges.NGINX.namespace)
    told = f"DigitalOcean has not taken it yet: {', '.join(left)}{f' ({reason})' if reason else ''}"
    if found is not None and found.network and wanted.regional:
        raise ApplyError(
            f"{told}; nginx is as it was",
            hint="for a Service that had a network load balancer from the beginning it may keep that: "
            "docs/digitalocean.md says how to have another",
        )
    if found is None or found.proxy_protocol != wanted.proxy_protocol:
        raise ApplyError(f"{told}; nginx is as it was", hint="run this step again: it goes on from there")
    target.host.log_styled(told, fg="yellow")


def _differences(found: LoadBalancer | None, wanted: Balancing) -> Iterator[str]:
    """Yield what DigitalOcean has otherwise than it is set, with both values."""
    if found is None:
        yield "all of it, since there is no load balancer yet"
        return
    if found.network and wanted.regional:
        yield "type: network → regional"
    if found.proxy_protocol != wanted.proxy_protocol:
        yield f"proxy protocol: {_word(on=found.proxy_protocol)} → {_word(on=wanted.proxy_protocol)}"
    if wanted.size is not None and found.units != wanted.size:
        yield f"size: {found.units} → {wanted.size} (it is changed once an hour at most)"
    if wanted.idle_seconds is not None and found.idle_seconds != wanted.idle_seconds:
        yield f"idle seconds: {found.idle_seconds} → {wanted.idle_seconds}"
    if wanted.sources is not None and set(found.allowed) != {f"cidr:{each}" for each in wanted.sources}:
        yield f"allowed sources: {', '.join(found.allowed) or 'all'} → {', '.join(wanted.sources)}"


def _word(*, on: bool) -> str:
    return "on" if on else "off"
