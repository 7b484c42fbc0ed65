"""Kubeflow itself: its base, the password people log in with, and what there is in the end."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from pyinfra import host

from tideflow.connectors.platform import CLUSTER
from tideflow.engine.applying import Options, StatedGate
from tideflow.engine.manifests import Key, load
from tideflow.engine.records import Records
from tideflow.errors import SettingError, VendoringError
from tideflow.operations.auth import PASSWORDS, password_shown
from tideflow.operations.credentials import Credentials
from tideflow.operations.digitalocean import INGRESS_NGINX, balancer_address
from tideflow.operations.kubernetes import application
from tideflow.operations.live import secret, shown
from tideflow.operations.running import (
    BASE,
    executing,
    operation,
    platform,
    programs,
    refusing,
    require,
    settings,
    to_run,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from pyinfra.api import FunctionCommand

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.connectors.platform import PlatformConnector

SET = "kubeflow-base"
INGRESS = Key("networking.k8s.io", "Ingress", "istio-system", "kubeflow")
"""What ``templates/ingress.yaml.j2`` makes."""

PINS = Path("vendored/kubeflow.toml")
VENDORED = Path("vendored/kubeflow")
SAMPLE = Path("vendored/sample")


@dataclasses.dataclass(frozen=True)
class Source:
    """A base to apply: its folder of objects, and the release in ``kubeflow.toml`` that tells about it.

    The sample is of no release: about it there is what is stated for all of them.
    """

    folder: Path
    release: str | None


@refusing
def source() -> Source:
    """Return the vendored base; a rehearsal vendors it, or makes do with the sample where it cannot.

    Ends the run on a real platform that has nothing vendored, and anywhere for what is half-written.
    """
    from tideflow.vendoring.tree import vendored  # noqa: PLC0415 - pydantic is slow to import

    target = platform()
    found = vendored(VENDORED)
    if found is not None:
        if target.digitalocean is not None:
            _check_version(found.release, settings().kubernetes_version)
        return Source(VENDORED, found.release)
    if not target.rehearsal:
        raise VendoringError(f"there is nothing in {VENDORED} yet", hint="run first: make vendor")
    sampled = target.folder / "sample-base"
    if not sampled.exists():
        from tideflow.vendoring.fetching import UnreachableError  # noqa: PLC0415 - the same
        from tideflow.vendoring.vendor import vendor  # noqa: PLC0415 - the same

        try:
            host.log(vendor(VENDORED.parent, progress=host.log))
        except UnreachableError as error:
            host.log(f"Kubeflow's manifests cannot be fetched: {error.message}")
            sampled.touch()  # so that the next run does not try in vain again
        else:
            return source()
    host.log(
        f"rehearsing with the small sample base in {SAMPLE} instead of Kubeflow; for the whole: make vendor"
    )
    return Source(SAMPLE, None)


def _check_version(release: str, version: str) -> None:
    """Raise ``SettingError`` if the release does not run on that version of Kubernetes."""
    from tideflow.vendoring import pins  # noqa: PLC0415 - pydantic is slow to import

    minors = pins.read(PINS).release(release).kubernetes
    if ".".join(version.split(".")[:2]) not in minors:
        raise SettingError(
            f"Kubeflow {release} does not run on Kubernetes {version}",
            hint=f"set kubernetes_version to one of: {', '.join(minors)}",
        )


@operation
def base(*, source: Source, email: str, timeout: float) -> Generator[FunctionCommand]:
    """Have all objects of the base in the cluster, patched for the ``email`` of the owner, and ready.

    Credentials it ships with the same value for everybody are generated where they are missing, and never
    written again. ``timeout`` is in seconds.
    """
    from tideflow.vendoring import pins  # noqa: PLC0415 - pydantic is slow to import
    from tideflow.vendoring.patching import patched  # noqa: PLC0415 - the same

    target = platform()
    pinned = pins.read(PINS)
    stated = pinned if source.release is None else pinned.release(source.release)
    manifests = load(source.folder, cache=target.folder / "cache")
    bodies = patched([manifest.body for manifest in manifests], stated.patches, {"email": email})
    manifests = [
        dataclasses.replace(manifest, body=body) for manifest, body in zip(manifests, bodies, strict=True)
    ]
    credentials = Credentials(manifests, stated.credentials)
    gates = [
        StatedGate(
            injected_by=gate.injected_by,
            after=next(manifest.key for manifest in manifests if gate.after.matches(manifest.body)),
            reason=gate.reason,
        )
        for gate in stated.gates
    ]
    yield from application(
        manifests,
        set_name=SET,
        options=Options(timeout=timeout, create_once=frozenset(credentials.keys)),
        gates=gates,
        before=lambda plan: credentials.fill(plan.created, functools.partial(secret, target)),
    )


def require_base() -> None:
    """End the run unless the base is there, or an earlier step of this run makes it."""
    require(BASE, there=lambda: shown(PASSWORDS), made_by="kubeflow_base")


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
    if ingress is None:
        yield f"    Name        none yet: {to_run('ingress')}"
    else:
        yield f"    Name        http://{ingress['spec']['rules'][0]['host']}"
    if address := balancer_address(target, INGRESS_NGINX):
        yield f"    Address     {address} (the load balancer's)"
    yield f"    User        {settings().email}"
    yield f"    Password    {password_shown(target)}"
    yield f"    Kubeconfig  {target.kubeconfig}"
    yield f"    Look round  {programs()}kubectl --kubeconfig {target.kubeconfig} get pods --all-namespaces"
    yield f"    Run again   {to_run('all')}, or one step alone"
    if target.rehearsal:
        yield "    Stop        make stop, after which the same run goes on with what is there"
