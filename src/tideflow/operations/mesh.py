"""What Kubeflow's mesh needs of the cluster's CNI plugin, Cilium; DigitalOcean configures it.

A cluster that does not have it would run the whole base, and none of its traffic would be the mesh's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tideflow.errors import ApplyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tideflow.connectors.platform import PlatformConnector

_NAMESPACE = "kube-system"
_CONFIG = "cilium-config"  # what Cilium's agents start with
_PATH = f"/api/v1/namespaces/{_NAMESPACE}/configmaps"


def check(target: PlatformConnector) -> None:
    """Raise ``ApplyError`` unless the CNI plugin of the platform's cluster is as the mesh needs it.

    A cluster whose nodes run has its configuration; if it is not where it used to be, the run only says so.
    """
    cluster = target.kubernetes()
    if cluster is None:
        raise ApplyError(f"the cluster {target.platform} is gone", hint="run this step again")
    found = cluster.get(_PATH, query={"fieldSelector": f"metadata.name={_CONFIG}"})["items"]
    if found:
        refuse(found[0].get("data") or {})
    else:
        target.host.log_styled(
            f"not checked: whether Kubeflow's mesh will work (there is no ConfigMap {_NAMESPACE}/{_CONFIG})",
            fg="yellow",
        )


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
