"""The base to deploy, read and checked while the deploy file is loaded: before anything is made or billed.

pyinfra runs an operation's generator beforehand only where somebody is shown a plan. With ``-y`` it does not,
and a defect in a manifest would be found when the cluster is there already.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from pyinfra import host

from tideflow.connectors.platform import CLUSTER
from tideflow.engine.applying import Application, StatedGate
from tideflow.engine.manifests import load
from tideflow.engine.templates import render
from tideflow.errors import VendoringError
from tideflow.operations import edges, logins
from tideflow.operations.credentials import Credentials
from tideflow.operations.offers import unsupported_version
from tideflow.operations.running import is_dry, platform, promised, refusing, settings
from tideflow.operations.upgrading import is_asked_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tideflow.connectors.platform import PlatformConnector
    from tideflow.engine.manifests import Manifest
    from tideflow.vendoring.pins import Patch, Pins, Release

SET = "kubeflow-base"
PINS = Path("vendored/kubeflow.toml")
VENDORED = Path("vendored/kubeflow")
SAMPLE = Path("vendored/sample")
POLICIES = Path("templates/policies.yaml.j2")

_READ: WeakKeyDictionary[PlatformConnector, dict[Path, Base]] = WeakKeyDictionary()
_SYSTEM = ("default", "kube-node-lease", "kube-public", "kube-system")  # what every cluster has


@dataclasses.dataclass(frozen=True, eq=False)
class Base:
    """The objects of a base, patched for the settings; its create-once credentials, and stated gates."""

    manifests: Sequence[Manifest]
    credentials: Credentials
    gates: Sequence[StatedGate]


@refusing
def base() -> Base:
    """Return the vendored base; a rehearsal vendors it, or makes do with the sample where it cannot.

    Ends the run for what could not be applied, for what is half-written, for a release that does not run on
    the version of Kubernetes that is asked for, and on a real platform that has nothing vendored.
    """
    name = _release()
    if name is None:
        return _at_the_edge(_sample(), _of_all())
    stated = _stated(name)
    _check_version(stated)
    return _at_the_edge(_read(VENDORED, stated), stated)


def release() -> Release | None:
    """Return which release of Kubeflow is vendored; None if none is yet."""
    from tideflow.vendoring.tree import vendored  # noqa: PLC0415 - pydantic is slow to import

    found = vendored(VENDORED)
    return _stated(found.release) if found is not None else None


def coming() -> Release:
    """Return the release that is vendored, or else the one that ``make vendor`` would fetch."""
    return release() or _of_all().release()


def foreseen() -> Base:
    """Return the base that is vendored, or else the sample: what is known before ``base`` gets another."""
    found = release()
    return _sample() if found is None else _read(VENDORED, found)


def _stated(name: str) -> Release:
    from tideflow.vendoring import pins  # noqa: PLC0415 - the same

    return pins.read(PINS).release(name)


def _of_all() -> Pins:
    from tideflow.vendoring import pins  # noqa: PLC0415 - the same

    return pins.read(PINS)


def _sample() -> Base:
    """Return the sample, which is of no release: about it there is what is stated for all of them."""
    return _read(SAMPLE, _of_all())


def _release() -> str | None:
    """Return which release is vendored, None if the sample has to do."""
    from tideflow.vendoring.tree import vendored  # noqa: PLC0415 - pydantic is slow to import

    found = vendored(VENDORED)
    if found is not None:
        return found.release
    target = platform()
    if not target.rehearsal:
        raise VendoringError(f"there is nothing in {VENDORED} yet", hint="run first: make vendor")
    in_vain = target.folder / "sample-base"
    if not in_vain.exists() and not is_dry():
        from tideflow.vendoring.fetching import UnreachableError  # noqa: PLC0415 - the same
        from tideflow.vendoring.vendor import vendor  # noqa: PLC0415 - the same

        try:
            host.log(vendor(VENDORED.parent, progress=host.log))
        except UnreachableError as error:
            host.log(f"Kubeflow's manifests cannot be fetched: {error.message}")
            in_vain.touch()  # so that the next run does not try in vain again
        else:
            return _release()
    host.log(
        f"rehearsing with the small sample base in {SAMPLE} instead of Kubeflow; for the whole: make vendor"
    )
    return None


def _check_version(stated: Release) -> None:
    """Raise ``SettingError`` if the release does not run on the cluster's version of Kubernetes."""
    target, chosen = platform(), settings()
    if target.digitalocean is None:
        return
    cluster = target.cluster()
    # Once the step of the cluster has been through its checks, an upgrade comes before this base.
    coming = cluster is None or (promised(CLUSTER) and is_asked_for(cluster, chosen.kubernetes_version))
    version = chosen.kubernetes_version if cluster is None or coming else cluster.version
    for problem in unsupported_version(
        version, stated, unsupported=chosen.unsupported_kubernetes, usable=stated.kubernetes
    ):
        raise problem


def _read(folder: Path, stated: Pins | Release) -> Base:
    """Read a base, once in a run of a platform."""
    known = _READ.setdefault(platform(), {})
    if folder not in known:
        known[folder] = _patched(folder, stated)
    return known[folder]


def _patched(folder: Path, stated: Pins | Release) -> Base:
    from tideflow.vendoring.patching import patched  # noqa: PLC0415 - pydantic is slow to import

    patches = [patch for patch in stated.patches if not patch.edge and _is_of_mode(patch)]
    manifests = load(folder, cache=platform().folder / "cache")
    bodies = patched([manifest.body for manifest in manifests], patches, {"email": settings().email})
    logins.configured(bodies, settings().users)
    manifests = _with_bodies(manifests, bodies)
    gates = [
        StatedGate(
            injected_by=gate.injected_by,
            after=next(manifest.key for manifest in manifests if gate.after.matches(manifest.body)),
            reason=gate.reason,
        )
        for gate in stated.gates
    ]
    Application(None, set_name=SET, manifests=manifests, gates=gates).check(namespaces=_SYSTEM)
    stated_too = logins.credentials(settings().users)
    return Base(manifests, Credentials(manifests, [*stated.credentials, *stated_too]), gates)


def _at_the_edge(found: Base, stated: Pins | Release) -> Base:
    """Return the base as it has to be for what has the load balancer, and let that through."""
    from tideflow.vendoring.patching import patched  # noqa: PLC0415 - the same

    # First, as webhooks are behind them.
    manifests = [*_policies(found.manifests), *found.manifests]
    if patches := [patch for patch in stated.patches if patch.edge == edges.edge() and _is_of_mode(patch)]:
        values = {"certificate": settings().encryption.secret_name}
        bodies = patched([manifest.body for manifest in manifests], patches, values)
        manifests = _with_bodies(manifests, bodies)
    if edges.edge() == "istio":
        manifests = edges.annotated(manifests)
    return dataclasses.replace(found, manifests=manifests)


def _is_of_mode(patch: Patch) -> bool:
    encryption = settings().encryption
    return not patch.tls or (encryption.is_on if patch.tls == "on" else encryption.mode == patch.tls)


def _policies(manifests: Sequence[Manifest]) -> list[Manifest]:
    """Return the NetworkPolicies that the base lacks; none for a namespace where it has none itself."""
    closed = {manifest.key.namespace for manifest in manifests if manifest.key.kind == "NetworkPolicy"}
    llmisvc = any(
        (manifest.key.kind, manifest.key.name) == ("Deployment", "llmisvc-controller-manager")
        for manifest in manifests
    )
    return load(render(POLICIES, {"closed": closed, "edge": edges.edge(), "llmisvc": llmisvc}))


def _with_bodies(manifests: Sequence[Manifest], bodies: Sequence[dict[str, Any]]) -> list[Manifest]:
    return [
        dataclasses.replace(manifest, body=body) for manifest, body in zip(manifests, bodies, strict=True)
    ]
