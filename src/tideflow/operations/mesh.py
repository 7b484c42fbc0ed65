"""What Kubeflow's mesh needs of the cluster's CNI plugin, Cilium; DigitalOcean configures it.

A cluster that does not have it would run the whole base, and none of its traffic would be the mesh's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tideflow.clients.waiting import wait_for
from tideflow.errors import ApplyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.connectors.platform import PlatformConnector

_NAMESPACE = "kube-system"
_CONFIG = "cilium-config"  # what Cilium's agents start with
_PATH = f"/api/v1/namespaces/{_NAMESPACE}/configmaps"
_ONLY = {"fieldSelector": f"metadata.name={_CONFIG}"}


def check(target: PlatformConnector, live: Callable[[str], None], *, timeout: float) -> None:
    """Raise ``ApplyError`` unless the CNI plugin is as the mesh needs it.

    A new cluster may have no configuration for a moment, which is waited for; ``timeout`` is in seconds.
    """
    cluster = target.kubernetes()
    if cluster is None:
        raise ApplyError(f"the cluster {target.platform} is gone", hint="run this step again")
    config = _live(cluster)
    if config is None:
        what = f"the configuration of the CNI plugin, ConfigMap {_NAMESPACE}/{_CONFIG}"
        config = wait_for(cluster, _PATH, _settings, what=what, timeout=timeout, progress=live)
    refuse(config)


def check_now(target: PlatformConnector) -> None:
    """Do the same for a cluster that has been there for some time, without waiting."""
    cluster = target.kubernetes()
    config = _live(cluster) if cluster is not None else None
    if config is not None:
        refuse(config)


def _live(cluster: Kubernetes) -> Mapping[str, str] | None:
    return next(map(_settings, cluster.get(_PATH, query=_ONLY)["items"]), None)


def _settings(found: Any) -> Mapping[str, str] | None:
    """Return Cilium's settings, of the ConfigMap that has them."""
    return found.get("data") or {} if found["metadata"]["name"] == _CONFIG else None


def refuse(config: Mapping[str, str]) -> None:
    """Raise ``ApplyError`` with all that is wrong with Cilium's settings."""
    wrong = list(_wrong(config))
    if wrong:
        raise ApplyError(
            f"Kubeflow's mesh would not work in this cluster: {'; '.join(wrong)}",
            hint=f"DigitalOcean keeps the ConfigMap {_NAMESPACE}/{_CONFIG}: ask its support about it, or try "
            "a cluster of another version",
        )


def _wrong(config: Mapping[str, str]) -> Iterator[str]:
    """Yield what is not as it has to be; what is not there is as Cilium's agent has it by default."""
    exclusive = config.get("cni-exclusive", "false")
    if exclusive != "false":
        yield f"cni-exclusive is {exclusive}, so that Cilium removes Istio's CNI plugin; it has to be false"
    replaced = config.get("kube-proxy-replacement") not in {"false", "disabled"}
    host_only = config.get("bpf-lb-sock-hostns-only", "false")
    if (replaced or config.get("bpf-lb-sock") == "true") and host_only != "true":
        yield (
            f"bpf-lb-sock-hostns-only is {host_only}, so that Services are resolved before the sidecars see "
            "them; it has to be true"
        )
