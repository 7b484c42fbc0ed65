"""Kubeflow itself: its base, the password people log in with, and what there is in the end."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyinfra import host

from tideflow.clients.waiting import wait_for
from tideflow.connectors.platform import CLUSTER
from tideflow.engine import readiness
from tideflow.engine.applying import StatedGate
from tideflow.engine.manifests import Key, load
from tideflow.errors import KubernetesError, SettingError, VendoringError
from tideflow.facts.kubernetes import Object
from tideflow.operations import passwords
from tideflow.operations.credentials import ORIGIN, Credentials
from tideflow.operations.digitalocean import INGRESS_NGINX, balancer_address
from tideflow.operations.kubernetes import application
from tideflow.operations.running import (
    announce,
    change,
    executing,
    operation,
    platform,
    promised,
    refusing,
    require,
    settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from pyinfra.api import FunctionCommand

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.connectors.platform import PlatformConnector
    from tideflow.operations.passwords import Password

BASE = "the Kubeflow base"
"""What ``base`` makes, as a promise to later steps."""

SET = "kubeflow-base"

PINS = Path("vendored/kubeflow.toml")
VENDORED = Path("vendored/kubeflow")
SAMPLE = Path("vendored/sample")

_NOT_FOUND = 404
_RUN = "pyinfra inventory.py deploys"
_DEX = Key(group="apps", kind="Deployment", namespace="auth", name="dex")
_PASSWORDS = Key(group="", kind="Secret", namespace="auth", name="dex-passwords")
_HASH = "DEX_USER_PASSWORD"
_MANAGER = "tideflow-kubeflow-auth"
_SET_AT = "tideflow.dev/password-set-at"
"""The annotation in which Secret and Dex's pods agree once Dex has started with the hash."""


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

    found = vendored(VENDORED)
    if found is not None:
        return Source(VENDORED, found.release)
    target = platform()
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
        timeout=timeout,
        create_once=credentials.keys,
        gates=gates,
        before=lambda plan: credentials.fill(plan.created, functools.partial(_secret, target)),
    )


def require_base() -> None:
    """End the run unless the base is there, or an earlier step of this run makes it."""
    require(BASE, there=lambda: _shown(_PASSWORDS), made_by="kubeflow_base.py")


@refusing
def chosen_password() -> Password | None:
    """Return the password to set, asking for it where that is needed; None keeps the one that is live."""
    target, anew = platform(), settings().change_password
    if not anew and _annotations(_shown(_PASSWORDS)).get(ORIGIN) == "chosen":
        return None
    return passwords.ask(
        settings().email, rehearsal_file=passwords_file(target) if target.rehearsal else None, anew=anew
    )


@operation
def password(*, password: Password | None, timeout: float) -> Generator[FunctionCommand]:
    """Have Dex know the password, and no other; None keeps the one that was chosen before.

    Dex is restarted if, and only if, it started with another. ``timeout`` is in seconds.
    """
    target, email = platform(), settings().email
    secret = _secret(target, _PASSWORDS)
    if secret is None:
        if executing() or not promised(BASE):
            raise SettingError(f"{BASE} is not there yet", hint=f"run first: {_RUN}/kubeflow_base.py")
        announce(f"set the password of {email}, and restart Dex")
        yield change(lambda _: None)  # Never run: by then there is a Secret.
        return
    live = base64.b64decode((secret.get("data") or {}).get(_HASH, "")).decode()
    kept = password is None or password.matches(live)
    template = (_shown(_DEX) or {}).get("spec", {}).get("template", {})
    set_at = _annotations(secret).get(_SET_AT)
    if kept and set_at and _annotations(template).get(_SET_AT) == set_at:
        _note_other_password(live)
        host.noop(f"the password of {email} is as it was chosen")
        return
    announce(f"set the password of {email}, and restart Dex")
    hashed = live if kept or password is None else password.hash()
    yield change(functools.partial(_set_password, target, hashed, timeout=timeout))


def _note_other_password(live: str) -> None:
    given = passwords.from_environment()
    if given is not None and not given.matches(live):
        host.log(
            f"{passwords.VARIABLE} is not the password that was chosen before, which stays; "
            "to change it, add --data change_password=true"
        )


def _set_password(
    target: PlatformConnector, hashed: str, live: Callable[[str], None], *, timeout: float
) -> None:
    """Write the hash, then restart Dex; killed in between, the next run sees that they do not agree."""
    cluster = target.kubernetes()
    if cluster is None:
        raise SettingError(f"the cluster {target.platform} is gone", hint=f"run first: {_RUN}/cluster.py")
    set_at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    secret = _partial("v1", _PASSWORDS, {ORIGIN: "chosen", _SET_AT: set_at})
    secret["data"] = {_HASH: base64.b64encode(hashed.encode()).decode()}
    cluster.apply(_path(cluster, _PASSWORDS), secret, field_manager=_MANAGER)
    deployment = _partial("apps/v1", _DEX, {})
    deployment["spec"] = {"template": {"metadata": {"annotations": {_SET_AT: set_at}}}}
    cluster.apply(_path(cluster, _DEX), deployment, field_manager=_MANAGER)
    wait_for(
        cluster,
        _path(cluster, _DEX).rpartition("/")[0],
        functools.partial(_rolled_out, set_at=set_at),
        what="Dex to start with the new password",
        timeout=timeout,
        progress=live,
    )


def _rolled_out(deployment: Any, *, set_at: str) -> bool | None:
    if deployment["metadata"]["name"] != _DEX.name:
        return None
    if _annotations(deployment["spec"]["template"]).get(_SET_AT) != set_at:
        return None
    return True if readiness.status(deployment).ready else None


@operation
def status() -> Generator[FunctionCommand]:
    """Say what there is, at the end of the run, and how to look around; changes nothing."""
    yield from ()
    if not executing():
        return
    target = platform()
    cluster = target.kubernetes()
    if cluster is None:
        raise SettingError(f"{CLUSTER} {target.platform} does not run", hint=f"run first: {_RUN}/cluster.py")
    target.closing = list(_closing(target, cluster))


def _closing(target: PlatformConnector, cluster: Kubernetes) -> Generator[str]:
    pods = [pod for page in cluster.pages("/api/v1/pods") for pod in page["items"]]
    running = sum(pod.get("status", {}).get("phase") in {"Running", "Succeeded"} for pod in pods)
    kubeconfig = f"--kubeconfig {target.kubeconfig}"
    yield f"--> {target.platform}: {running} of {len(pods)} pods are running"
    yield f"    Name       http://{settings().hostname}"
    if address := balancer_address(target, INGRESS_NGINX):
        yield f"    Address    {address} (the load balancer's)"
    yield f"    User       {settings().email}"
    yield f"    Password   {_password_shown(target)}"
    yield f"    Kubeconfig {target.kubeconfig}"
    yield f"    Look round uv run kubectl {kubeconfig} get pods --all-namespaces"
    yield f"    Repair     uv run pyinfra -y inventory.py {_RUN.rpartition(' ')[2]}/all.py, or one step of it"
    if target.rehearsal:
        yield "    Stop       make stop (and make rehearse goes on from there)"


def _password_shown(target: PlatformConnector) -> str:
    """Return a password that a rehearsal generated; one that a person chose is known to that person only."""
    secret = _secret(target, _PASSWORDS)
    if target.rehearsal and secret is not None:
        generated = passwords.generated_before(passwords_file(target))
        live = base64.b64decode((secret.get("data") or {}).get(_HASH, "")).decode()
        if generated is not None and generated.matches(live):
            return f"{generated.text} (made for this rehearsal)"
    return "the one that was chosen (another: --data change_password=true)"


def passwords_file(target: PlatformConnector) -> Path:
    """Return where a rehearsal keeps the password it made, with mode 0600."""
    return target.folder / "password"


def _shown(key: Key) -> dict[str, Any] | None:
    """Return a live object as a fact, without a Secret's data, or None."""
    found: dict[str, Any] | None = host.get_fact(
        Object, group=key.group, kind=key.kind, namespace=key.namespace, object_name=key.name
    )
    return found


def _secret(target: PlatformConnector, key: Key) -> dict[str, Any] | None:
    """Return a live Secret with its data, which no fact carries, or None."""
    cluster = target.kubernetes()
    if cluster is None:
        return None
    try:
        found: dict[str, Any] = cluster.get(f"/api/v1/namespaces/{key.namespace}/secrets/{key.name}")
    except KubernetesError as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    return found


def _path(cluster: Kubernetes, key: Key) -> str:
    resource = cluster.resources().of_kind(key.group, key.kind)
    assert resource is not None, "Secrets and Deployments are always served"  # noqa: S101 - for the types
    return resource.path(key.namespace, key.name)


def _partial(api_version: str, key: Key, annotations: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": key.kind,
        "metadata": {"name": key.name, "namespace": key.namespace, "annotations": annotations},
    }


def _annotations(found: Mapping[str, Any] | None) -> Mapping[str, str]:
    return (found or {}).get("metadata", {}).get("annotations") or {}
