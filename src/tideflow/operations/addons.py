"""DigitalOcean's 1-click applications, installed once, seen to be there, and repaired.

No call tells how an installation goes. It is done with Helm, so the cluster tells: by the release, and by
what the release says it made. To order a 1-click again has Helm put back what is gone.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from pyinfra import host

from tideflow.clients.waiting import is_passing
from tideflow.errors import ApplyError, DigitalOceanError, KubernetesError, SettingError
from tideflow.operations import orders, releases
from tideflow.operations.commands import to_run
from tideflow.operations.running import (
    announce,
    change,
    operation,
    platform,
    present_cluster,
    refusing,
)
from tideflow.operations.standings import Looking
from tideflow.rehearsal.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping, Sequence

    from pyinfra.api import FunctionCommand

    from tideflow.clients.digitalocean import DigitalOcean
    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.connectors.platform import PlatformConnector
    from tideflow.operations.standings import Standing

INGRESS_NGINX = "ingress-nginx"
"""The slug of the 1-click, and the namespace and the name of the release it installs."""

_KUBEFLOWS_OWN = "cert-manager"
_LONGEST = 12 * 60.0  # seconds an installation may take: Helm gives up after ten minutes, and begins later
_PAUSE = 5.0  # seconds between two looks; a rehearsal is faster
_PAUSE_REHEARSAL = 0.5
_OFFERED: WeakKeyDictionary[PlatformConnector, Collection[str]] = WeakKeyDictionary()


@operation
def installed(*, slugs: Sequence[str], timeout: float) -> Generator[FunctionCommand]:
    """Have 1-click applications in the cluster, whole and ready; ``timeout`` is in seconds.

    Raises ``SettingError`` with all the slugs of those to be installed that DigitalOcean does not offer.
    """
    target = platform()
    api = target.digitalocean
    if api is None:
        host.log(f"{target.platform} is not made by DigitalOcean's API: addons are yours to install")
        return
    cluster = present_cluster()
    looking = Looking(cluster, longest=_longest(target))
    found = {slug: looking.at(slug) for slug in slugs}
    ordered = [slug for slug, standing in found.items() if standing.todo == "order"]
    if unknown := [slug for slug in ordered if slug not in offered()]:
        _refuse_unknown(unknown)
    for slug, standing in found.items():
        if standing.todo == "order":
            announce(f"install the 1-click {slug}{f' again: {standing.why}' if standing.why else ''}")
        elif standing.todo == "wait":
            announce(f"wait for the 1-click {slug}: {standing.why}")
    if all(standing.todo == "nothing" for standing in found.values()):
        host.noop(f"1-clicks are installed and ready: {', '.join(slugs) or 'none is asked for'}")
        return
    yield change(functools.partial(_install, target, api, slugs=slugs, timeout=timeout))


@refusing
def check(slugs: Collection[str]) -> None:
    """End the run, naming all, for slugs that are neither offered nor installed, or Kubeflow's own."""
    target = platform()
    if _KUBEFLOWS_OWN in slugs:
        raise SettingError(
            f"the 1-click {_KUBEFLOWS_OWN} would be in the namespace of the one that Kubeflow brings",
            hint=f"take {_KUBEFLOWS_OWN} out of the setting addons",
        )
    if target.digitalocean is None or not (unknown := [slug for slug in slugs if slug not in offered()]):
        return
    cluster = target.kubernetes()
    if cluster is not None:
        unknown = [slug for slug in unknown if releases.find(cluster, slug) is None]
    if unknown:
        _refuse_unknown(unknown)


def offered() -> Collection[str]:
    """Return the slugs that DigitalOcean offers for clusters, asked for once in a run."""
    target = platform()
    if target not in _OFFERED:
        api = target.digitalocean
        _OFFERED[target] = api.one_clicks() if api is not None else []
    return _OFFERED[target]


def _refuse_unknown(unknown: Collection[str]) -> None:
    instead = ', or set edge to "istio"' if INGRESS_NGINX in unknown else ""
    raise SettingError(
        f"the setting addons has what DigitalOcean does not offer: {', '.join(unknown)}",
        hint=f"it offers: {', '.join(sorted(offered()))}{instead}",
    )


def _longest(target: PlatformConnector) -> float:
    """Return how many seconds after its order an installation is over, one way or the other."""
    if not target.rehearsal:
        return _LONGEST
    chosen = target.settings
    pace = Pace.named(chosen.pace, pod_ready_seconds=chosen.pod_ready_seconds, speed=chosen.speed)
    # Pods and load balancers of a rehearsal are not as fast as DigitalOcean's twin.
    return _LONGEST / pace.speed + 8 + 3 * pace.pod_ready_seconds[1]


def _install(
    target: PlatformConnector,
    api: DigitalOcean,
    live: Callable[[str], None],
    *,
    slugs: Sequence[str],
    timeout: float,
) -> None:
    """Order what is not there, each once, and wait until all is ready."""
    cluster, found = target.kubernetes(), target.cluster()
    if cluster is None or found is None:
        raise ApplyError(f"the cluster {target.platform} is gone", hint=f"run again: {to_run('cluster')}")
    looking = Looking(cluster, longest=_longest(target))
    start = seen = time.monotonic()
    ours: dict[str, Collection[str]] = {}  # what this run has ordered, with the warnings from before
    while True:
        try:
            standings = {slug: looking.at(slug) for slug in slugs}
        except KubernetesError as error:
            elapsed = time.monotonic() - start
            if not is_passing(error) or elapsed > timeout:
                raise
            live(f"waiting {elapsed:.0f} s for 1-clicks: {error.message}")
        else:
            _refuse_vain(cluster, standings, ours)
            done = [slug for slug, standing in standings.items() if standing.todo == "nothing"]
            orders.drop(cluster, done)
            if len(done) == len(standings):
                return
            due = {slug: standing for slug, standing in standings.items() if standing.todo == "order"}
            if due:
                _order(cluster, api, found.id, due)
                looking.ordered(due)
                ours |= {slug: releases.warnings(cluster, slug) for slug in due}
            _wait_on(cluster, live, standings, ours, elapsed=time.monotonic() - start, timeout=timeout)
        time.sleep(_PAUSE_REHEARSAL if target.rehearsal else _PAUSE)
        seen, before = time.monotonic(), seen
        looking.passed(seen - before)


def _order(cluster: Kubernetes, api: DigitalOcean, cluster_id: str, due: Mapping[str, Standing]) -> None:
    for slug, standing in due.items():
        if standing.stuck is not None:
            # Helm refuses to go on from it; what it made stays, and is taken over by the next revision.
            cluster.delete(standing.stuck.path)
            host.log(f"forgot the release {slug} {standing.stuck.number}: {standing.why}")
    orders.note(cluster, due)
    try:
        api.install_one_clicks(cluster_id, list(due))
    except DigitalOceanError as error:
        if not error.unsure:
            orders.drop(cluster, due)
            raise
        host.log_styled(f"{error.message}: it may have begun, which the cluster will tell", fg="yellow")


def _refuse_vain(
    cluster: Kubernetes, standings: Mapping[str, Standing], ours: Mapping[str, Collection[str]]
) -> None:
    """Raise ``ApplyError`` if what this run has ordered would have to be ordered again."""
    for slug, standing in standings.items():
        if standing.todo != "order" or slug not in ours:
            continue
        orders.drop(cluster, [slug])
        reason = releases.complaint(cluster, slug, beside=ours[slug])
        because = f" ({reason})" if reason else ""
        if standing.rolled_back:
            hint = "run this step again: it installs it anew"
        else:
            hint = f"delete the namespace {slug}, then run this step again: it installs it anew"
        raise ApplyError(f"the 1-click {slug} was not installed: {standing.why}{because}", hint=hint)


def _wait_on(
    cluster: Kubernetes,
    live: Callable[[str], None],
    standings: Mapping[str, Standing],
    ours: Mapping[str, Collection[str]],
    *,
    elapsed: float,
    timeout: float,
) -> None:
    """Say what is waited for; raises ``ApplyError`` when the ``timeout`` has passed."""
    waited = {slug: standing for slug, standing in standings.items() if standing.todo != "nothing"}
    told = "; ".join(f"{slug}: {standing.why or 'ordered'}" for slug, standing in waited.items())
    reasons = (releases.complaint(cluster, slug, beside=ours.get(slug, ())) for slug in waited)
    if reason := "; ".join(filter(None, reasons)):
        told += f" ({reason})"
    if elapsed > timeout:
        raise ApplyError(
            f"waited {elapsed:.0f} s for 1-clicks: {told}", hint="run this step again: it goes on from there"
        )
    live(f"waiting {elapsed:.0f} s for 1-clicks: {told}")
