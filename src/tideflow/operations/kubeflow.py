"""Kubeflow itself: its base, what there is in the end, and whether people get to it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from tideflow.connectors.platform import CLUSTER
from tideflow.engine.applying import Options
from tideflow.engine.manifests import Key
from tideflow.engine.records import Records
from tideflow.errors import SettingError
from tideflow.operations import balancers, certificates, dns, edges, preparing, reaching, rotation
from tideflow.operations.auth import password_shown
from tideflow.operations.bases import SAMPLE, SET, VENDORED
from tideflow.operations.commands import programs, to_run
from tideflow.operations.kubernetes import application
from tideflow.operations.live import shown
from tideflow.operations.logins import PASSWORDS
from tideflow.operations.running import (
    BASE,
    announce,
    executing,
    is_dry,
    of_set,
    operation,
    platform,
    require,
    settings,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from pyinfra.api import FunctionCommand

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.connectors.platform import PlatformConnector
    from tideflow.engine.prune import Prune
    from tideflow.operations.bases import Base

INGRESS = Key("networking.k8s.io", "Ingress", "istio-system", "kubeflow")
"""What ``templates/ingress.yaml.j2`` makes."""


@of_set(lambda *, base, **_: (SET, lambda: base.manifests))
@operation
def base(*, base: Base, timeout: float, prune: Prune = "off") -> Generator[FunctionCommand]:
    """Have all objects of a base in the cluster, and ready.

    Credentials it ships with the same value for everybody are generated where they are missing, and never
    written again. ``timeout`` is in seconds; ``prune`` is what ``kubernetes.apply`` takes.
    """
    yield from application(
        base.manifests,
        set_name=SET,
        options=Options(timeout=timeout, prune=prune, create_once=frozenset(base.credentials.keys)),
        gates=base.gates,
        before=functools.partial(preparing.prepare, base),
    )


def require_base() -> None:
    """End the run unless the base is there, or an earlier step of this run makes it."""
    require(BASE, there=lambda: shown(PASSWORDS), made_by="kubeflow_base")


@operation
def reachable(*, timeout: float) -> Generator[FunctionCommand]:
    """See that strangers get to the login at the hostname, or tell what is in the way; changes nothing.

    ``timeout`` is in seconds; what was just made or restarted is waited for, but not for that long.
    """
    yield from ()
    if executing():
        reaching.reach(platform(), timeout=timeout)
    elif is_dry():
        announce(f"look, when all is done, whether strangers get to the login at {settings().hostname}")


@operation
def status() -> Generator[FunctionCommand]:
    """Say what there is, at the end of the run, and how to look around; changes nothing."""
    yield from ()
    if not executing():
        return
    target = platform()
    cluster = target.kubernetes()
    if cluster is None:
        raise SettingError(
            f"{CLUSTER} {target.platform} does not run", hint=f"run first: {to_run('cluster')}"
        )
    target.closing = list(_closing(target, cluster))


def _deployed(cluster: Kubernetes) -> str:
    """Return which base is in the cluster, and whether all of it is."""
    from tideflow.vendoring.tree import vendored  # noqa: PLC0415 - pydantic is slow to import

    if not Records(cluster, SET).read():
        return f"not there, or not wholly: {to_run('kubeflow_base')}"
    found = vendored(VENDORED)
    return (
        found.release if found else f"only {SAMPLE}, the small sample; for the whole: make vendor, run again"
    )


def _closing(target: PlatformConnector, cluster: Kubernetes) -> Generator[str]:
    pods = [pod for page in cluster.pages("/api/v1/pods") for pod in page["items"]]
    running = sum(pod.get("status", {}).get("phase") in {"Running", "Succeeded"} for pod in pods)
    yield f"--> {target.platform}: {running} of {len(pods)} pods are running"
    yield f"    Kubeflow    {_deployed(cluster)}"
    ingress = shown(INGRESS)
    if edges.edge() == "istio":
        scheme = "https" if settings().encryption.is_on else "http"
        yield f"    Name        {scheme}://{settings().hostname}{balancers.port(target)}"
    elif ingress is None:
        yield f"    Name        none yet: {to_run('ingress')}"
    else:
        scheme = "https" if ingress["spec"].get("tls") else "http"
        yield f"    Name        {scheme}://{ingress['spec']['rules'][0]['host']}{balancers.port(target)}"
    yield f"    Certificate {certificates.state(target)}"
    if address := balancers.address(target):
        yield f"    Address     {address} (the load balancer's)"
    elif target.digitalocean is not None:
        step = "load_balancer" if edges.edge() == "nginx" else "kubeflow_base"
        yield f"    Address     none yet: {to_run(step)}"
    if target.digitalocean is not None:
        yield f"    DNS         {dns.state(target)}"
    yield f"    User        {settings().email}"
    yield f"    Password    {password_shown(target)}"
    yield f"    Credentials {rotation.state()}"
    yield f"    Kubeconfig  {target.kubeconfig}"
    yield f"    Look round  {programs()}kubectl --kubeconfig {target.kubeconfig} get pods --all-namespaces"
    yield f"    Run again   {to_run('all')}, or one step alone"
    if target.rehearsal:
        yield "    Stop        make stop, after which the same run goes on with what is there"
