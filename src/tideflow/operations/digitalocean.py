"""What DigitalOcean provides: the cluster, and its 1-click applications."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from pyinfra import host

from tideflow.clients.waiting import wait_for
from tideflow.connectors.platform import CLUSTER
from tideflow.errors import ApplyError, SettingError
from tideflow.facts.kubernetes import Object
from tideflow.operations import changing, clusters, differences, mesh, provisioning, upgrading, versions
from tideflow.operations.running import announce, change, executing, operation, platform, promised, to_run
from tideflow.operations.words import counted, some

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pyinfra.api import FunctionCommand

    from tideflow.clients.digitalocean import DigitalOcean
    from tideflow.clients.provided import Cluster
    from tideflow.connectors.platform import PlatformConnector
    from tideflow.operations.clusters import Wanted

LOAD_BALANCER = "the load balancer"
"""What ``one_click("ingress-nginx")`` makes, as a promise to later steps."""

INGRESS_NGINX = "ingress-nginx"
"""The slug of the 1-click, and the namespace and the name of the release it installs."""


@operation
def cluster(*, wanted: Wanted, adopt: bool, timeout: float) -> Generator[FunctionCommand]:
    """Have a running cluster of the platform's name, as it is wanted.

    What can be changed in place is changed; what cannot, and differs, is an error. One that Tideflow did not
    make is left alone, unless it is to be ``adopt``-ed. ``timeout`` is in seconds.
    """
    target = platform()
    api = target.digitalocean
    if api is None:
        host.log(f"{target.platform} is not made by DigitalOcean's API: nothing to do here")
        return
    found = target.cluster()
    if found is None:
        announce(f"create the cluster {wanted.name}: {wanted}")
        yield change(functools.partial(_create, target, api, wanted, timeout=timeout))
        return
    refuse_unusable(found, wanted, adopt=adopt)
    for note in differences.notes(found, wanted):
        host.log_styled(note, fg="yellow")
    changed = clusters.changes(found, wanted)
    newer = upgrading.is_asked_for(found, wanted.version)
    settled = provisioning.is_settled(found)
    if not settled:
        announce(f"wait for the cluster {found.name}, which is {found.state}")
    for words in changed.words:
        announce(f"change the cluster {found.name}: {words}")
    for words in changing.announced(target, found, wanted):
        announce(words)
    left = [] if changed or newer or not settled else changing.left_over(target)
    if left:
        announce(f"let pods on {some(left)} again, which an earlier run was about to delete")
    if changed or newer or left or not settled:
        yield change(functools.partial(changing.change, target, api, wanted, timeout=timeout))
        return
    mesh.check(target)
    nodes = sum(pool.count for pool in found.node_pools)
    changing.tell_what_is_newer(found)
    host.noop(f"the cluster {found.name} runs Kubernetes {found.version} on {counted(nodes, 'node')}")


def refuse_unusable(found: Cluster, wanted: Wanted, *, adopt: bool) -> None:
    """Raise the first of the errors that keep a cluster from becoming what is wanted."""
    if found.state == "deleting":
        raise ApplyError(
            f"the cluster {found.name} is being deleted", hint="wait until it is gone, run again"
        )
    provisioning.refuse_failed(found)
    for problem in differences.problems(found, wanted, adopt=adopt):
        raise problem


def _create(
    target: PlatformConnector,
    api: DigitalOcean,
    wanted: Wanted,
    live: Callable[[str], None],
    *,
    timeout: float,
) -> None:
    version = versions.newest((offer.slug for offer in api.options().versions), wanted.version)
    if version is None:
        raise SettingError(
            f"DigitalOcean offers no kubernetes_version {wanted.version!r}",
            hint="set it to a minor that it offers, such as '1.34'",
        )
    api.create_cluster(
        name=wanted.name,
        region=wanted.region,
        version=version,
        size=wanted.size,
        count=wanted.count,
        fields=wanted.cluster_fields(),
        pool=wanted.pool_fields(),
    )
    provisioning.wait(target, live, timeout=timeout)
    target.host.log(f"made the cluster {wanted.name}: {wanted}")
    mesh.check(target)


@operation
def one_click(*, slug: str, timeout: float) -> Generator[FunctionCommand]:
    """Have a 1-click application in the cluster, with an address for its load balancer.

    There is no call that tells how an installation goes, so it is verified in the cluster: by Helm's release
    and by the address of a Service of type LoadBalancer in the namespace that is named as the ``slug``.
    """
    target = platform()
    api = target.digitalocean
    if api is None:
        host.log(f"{target.platform} is not made by DigitalOcean's API: {slug} is yours to install")
        return
    if target.kubernetes() is None:
        if executing() or not promised(CLUSTER):
            raise SettingError(
                f"{CLUSTER} {target.platform} does not run",
                hint=f"run first: {to_run('cluster')}",
            )
        release = None
    else:
        release = host.get_fact(Object, "", "Secret", slug, f"sh.helm.release.v1.{slug}.v1")
    wait = functools.partial(_wait_for_address, target, slug=slug, timeout=timeout)
    if release is None:
        offered = api.one_clicks()
        if slug not in offered:
            raise SettingError(
                f"DigitalOcean offers no 1-click {slug}", hint="it offers: " + ", ".join(sorted(offered))
            )
        announce(f"install the 1-click {slug}, and wait for the address of its load balancer")
        yield change(functools.partial(_install, target, api, wait, slug=slug))
    elif (address := balancer_address(target, slug)) is None:
        announce(f"wait for the address of the load balancer of {slug}")
        yield change(wait)
    else:
        host.noop(f"{slug} is installed, its load balancer has the address {address}")


def balancer_address(target: PlatformConnector, namespace: str) -> str | None:
    """Return the address of the namespace's load balancer, or None while it has none."""
    cluster = target.kubernetes()
    if cluster is None:
        return None
    services = cluster.get(f"/api/v1/namespaces/{namespace}/services")["items"]
    return next(filter(None, map(_address, services)), None)


def _address(service: Any) -> str | None:
    if service["spec"].get("type") != "LoadBalancer":
        return None
    for ingress in service.get("status", {}).get("loadBalancer", {}).get("ingress") or ():
        found: str | None = ingress.get("ip") or ingress.get("hostname")
        if found:
            return found
    return None


def _install(
    target: PlatformConnector,
    api: DigitalOcean,
    wait: Callable[[Callable[[str], None]], str],
    live: Callable[[str], None],
    *,
    slug: str,
) -> None:
    found = target.cluster()
    if found is None:
        raise ApplyError(
            f"the cluster {target.platform} was deleted meanwhile", hint=f"run again: {to_run('cluster')}"
        )
    api.install_one_clicks(found.id, [slug])
    wait(live)


def _wait_for_address(
    target: PlatformConnector, live: Callable[[str], None], *, slug: str, timeout: float
) -> str:
    cluster = target.kubernetes()
    if cluster is None:
        raise ApplyError(f"the cluster {target.platform} is gone", hint=f"run again: {to_run('cluster')}")
    address = wait_for(
        cluster,
        f"/api/v1/namespaces/{slug}/services",
        _address,
        what=f"the address of the load balancer of {slug}",
        timeout=timeout,
        progress=live,
    )
    target.host.log(f"the load balancer has the address {address}")
    return address
