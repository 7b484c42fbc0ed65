"""What DigitalOcean provides: the cluster, and its 1-click applications."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

from pyinfra import host

from tideflow.clients.waiting import wait_for
from tideflow.connectors.platform import CLUSTER
from tideflow.errors import ApplyError, SettingError
from tideflow.facts.digitalocean import Cluster
from tideflow.facts.kubernetes import Object
from tideflow.operations.running import announce, change, executing, operation, platform, promised, to_run

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pyinfra.api import FunctionCommand

    from tideflow.clients.digitalocean import DigitalOcean
    from tideflow.clients.provided import Options
    from tideflow.connectors.platform import PlatformConnector
    from tideflow.facts.digitalocean import ClusterInfo

LOAD_BALANCER = "the load balancer"
"""What ``one_click("ingress-nginx")`` makes, as a promise to later steps."""

INGRESS_NGINX = "ingress-nginx"
"""The slug of the 1-click, and the namespace and the name of the release it installs."""

_POLL = 5.0  # seconds between two looks at a cluster that provisions: the API has nothing to watch


@operation
def cluster(
    *, region: str, version: str, size: str, count: int, timeout: float
) -> Generator[FunctionCommand]:
    """Have a running cluster of the platform's name.

    ``region`` and ``size`` are DigitalOcean's slugs, ``version`` is a minor such as ``1.34``, and ``timeout``
    is in seconds. A cluster that exists is waited for if it is not running yet, and gets nodes if it has
    fewer than ``count``. What else differs is said, and left as it is.
    """
    target = platform()
    api = target.digitalocean
    if api is None:
        host.log(f"{target.platform} is not made by DigitalOcean's API: nothing to do here")
        return
    found = host.get_fact(Cluster)
    if found is None:
        _check(api.options(), region=region, version=version, size=size)
        announce(
            f"create the cluster {target.platform}: {count} nodes of {size} in {region}, Kubernetes {version}"
        )
        yield change(
            functools.partial(
                _create, target, api, region=region, version=version, size=size, count=count, timeout=timeout
            )
        )
    elif found["state"] != "running":
        announce(f"wait for the cluster {target.platform}, which is {found['state']}")
        yield change(functools.partial(_wait_for_cluster, target, timeout=timeout))
    else:
        if found["region"] != region:
            raise SettingError(
                f"the cluster {target.platform} is in {found['region']}, and the setting region is {region}",
                hint="a cluster cannot move: set region to where it is, or name another platform",
            )
        _note_differences(found, version=version, size=size, count=count)
        missing = count - found["nodes"]
        if missing > 0 and found["sizes"] == [size]:
            announce(f"add {missing} nodes of {size} to the cluster {target.platform}")
            yield change(functools.partial(_add_nodes, target, api, count=count, timeout=timeout))
            return
        host.noop(
            f"the cluster {target.platform} runs Kubernetes {found['version']} on {found['nodes']} nodes"
        )


def _check(options: Options, *, region: str, version: str, size: str) -> None:
    """Refuse what DigitalOcean does not offer, before it is asked for."""
    for setting, value, offered in (
        ("region", region, [offer.slug for offer in options.regions]),
        ("node_size", size, [offer.slug for offer in options.sizes]),
        ("kubernetes_version", version, _versions(options)),
    ):
        if value not in offered:
            raise SettingError(
                f"DigitalOcean offers no {setting} {value!r}", hint="it offers: " + ", ".join(sorted(offered))
            )


def _is_of(slug: str, version: str) -> bool:
    """Tell whether DigitalOcean's slug, such as ``1.34.1-do.0``, is of a minor, a patch, or is that slug."""
    return slug == version or slug.startswith((f"{version}.", f"{version}-"))


def _versions(options: Options) -> list[str]:
    """Return what may be asked for: minors, patches, and DigitalOcean's own slugs of them."""
    slugs = [offer.slug for offer in options.versions]
    patches = [slug.partition("-")[0] for slug in slugs]
    return list(dict.fromkeys([*(patch.rpartition(".")[0] for patch in patches), *patches, *slugs]))


def _create(
    target: PlatformConnector,
    api: DigitalOcean,
    live: Callable[[str], None],
    *,
    region: str,
    version: str,
    size: str,
    count: int,
    timeout: float,
) -> None:
    newest = next(offer.slug for offer in api.options().versions if _is_of(offer.slug, version))
    api.create_cluster(
        name=target.platform, region=region, version=newest, size=size, count=count, tags=["tideflow"]
    )
    _wait_for_cluster(target, live, timeout=timeout)


def _note_differences(found: ClusterInfo, *, version: str, size: str, count: int) -> None:
    """Say which settings are not true of a cluster that exists, since nothing is done about them."""
    for setting, wanted, there, same in (
        ("kubernetes_version", version, found["version"], _is_of(found["version"], version)),
        ("node_size", size, ", ".join(found["sizes"]), found["sizes"] == [size]),
        ("node_count", count, found["nodes"], count >= found["nodes"]),
    ):
        if not same:
            host.log_styled(
                f"the setting {setting} is {wanted}, and the cluster has {there}: that is not changed from "
                "here yet, but in DigitalOcean's control panel",
                fg="yellow",
            )


def _add_nodes(
    target: PlatformConnector,
    api: DigitalOcean,
    live: Callable[[str], None],
    *,
    count: int,
    timeout: float,
) -> None:
    found = target.cluster()
    if found is None:
        raise ApplyError(f"the cluster {target.platform} was deleted meanwhile", hint="run this step again")
    api.resize_node_pool(found.id, found.node_pools[0], count=count)
    _wait_for_cluster(target, live, timeout=timeout)


def _wait_for_cluster(target: PlatformConnector, live: Callable[[str], None], *, timeout: float) -> None:
    start = time.monotonic()
    while True:
        target.forget()
        found = target.cluster()
        if found is None:
            raise ApplyError(
                f"the cluster {target.platform} was deleted meanwhile", hint="run this step again"
            )
        nodes = [node for pool in found.node_pools for node in pool.nodes]
        running = sum(node.state == "running" for node in nodes)
        if found.state == "running" and running == len(nodes) >= sum(pool.count for pool in found.node_pools):
            return
        if found.state == "error":
            why = found.message or "no reason given"
            raise ApplyError(
                f"DigitalOcean could not make the cluster {target.platform}: {why}",
                hint="delete it in the control panel, then run this step again",
            )
        elapsed = time.monotonic() - start
        how = f"{found.state}, {running} of {len(nodes)} nodes running"
        if found.message:
            how += f" ({found.message})"
        if elapsed > timeout:
            raise ApplyError(
                f"waited {elapsed:.0f} s for the cluster {target.platform}: {how}",
                hint="run this step again: it goes on waiting",
            )
        live(f"waiting {elapsed:.0f} s for the cluster {target.platform}: {how}")
        time.sleep(_POLL if not target.rehearsal else 0.5)


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
