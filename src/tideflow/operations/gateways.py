"""What is behind the edge, and has to go with it: Istio's gateway, and the cookies of oauth2-proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyinfra import host

from tideflow.engine.manifests import Key
from tideflow.errors import SettingError
from tideflow.operations.bases import foreseen
from tideflow.operations.commands import to_run
from tideflow.operations.edges import edge
from tideflow.operations.live import shown
from tideflow.operations.running import BASE, executing, operation, promised, settings

if TYPE_CHECKING:
    from collections.abc import Generator

    from pyinfra.api import FunctionCommand

_FORCES = "FORCE_HTTPS"
_SERVES = Key("networking.istio.io", "Gateway", "kubeflow", "kubeflow-gateway")


@operation
def gateway(*, hostname: str) -> Generator[FunctionCommand]:
    """See that what is behind the edge goes with it: whether cookies are for HTTPS, and Istio's gateway.

    Where that has the load balancer, it has to take the hostname to Kubeflow. The base's own Gateway takes
    every name, and its VirtualServices go with it: nothing is made for one.
    """
    yield from ()
    if executing() or not promised(BASE):
        _check_cookies()
    if edge() == "nginx":
        host.noop("what is behind nginx goes with it")
        return
    live = shown(_SERVES)
    if live is None:
        if executing():
            raise SettingError(f"{_SERVES} is not there", hint=f"run first: {to_run('kubeflow_base')}")
        return
    taken = [name.rpartition("/")[2] for server in live["spec"]["servers"] for name in server["hosts"]]
    if not any(_takes(name, hostname) for name in taken):
        raise SettingError(
            f"{_SERVES} takes {', '.join(taken)}, and not the setting hostname, {hostname}",
            hint=f"put it right: {to_run('kubeflow_base')}",
        )
    secret = settings().encryption.secret_name if settings().encryption.is_on else None
    presented = {(server.get("tls") or {}).get("credentialName") for server in live["spec"]["servers"]}
    if executing() and presented - {None} != ({secret} if secret else set()):
        raise SettingError(
            f"{_SERVES} does not present the certificate that the setting tls is about",
            hint=f"put it right: {to_run('kubeflow_base')}",
        )
    host.noop(f"{_SERVES} takes {hostname}, and whatever else leads to its address")


def _check_cookies() -> None:
    """Raise ``SettingError`` if oauth2-proxy gives cookies that no browser would send back."""
    for manifest in foreseen().manifests:
        wanted = (manifest.body.get("data") or {}).get(_FORCES)
        if manifest.key.kind != "ConfigMap" or wanted is None:
            continue
        live = shown(manifest.key)
        found = (live or {}).get("data", {}).get(_FORCES)
        if live is not None and found != wanted:
            raise SettingError(
                f"oauth2-proxy has {_FORCES} = {found}, which does not go with the "
                "setting tls: nobody could log in",
                hint=f"run first: {to_run('kubeflow_base')}",
            )


def _takes(name: str, hostname: str) -> bool:
    return name in {"*", hostname} or (name.startswith("*.") and hostname.endswith(name[1:]))
