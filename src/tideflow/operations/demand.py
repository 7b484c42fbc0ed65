"""What objects ask of a cluster: the pods they make, with the sidecars they get, and volumes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tideflow.engine import capacity, pods, webhooks
from tideflow.engine.webhooks import Target
from tideflow.engine.yielding import scale_targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tideflow.engine.manifests import Manifest

_INJECTOR = "istio-sidecar-injector"  # the configuration of the webhook, and the ConfigMap with its settings
_PROXY = {"requests": {"cpu": "100m", "memory": "128Mi"}}  # Istio's own default
_NAME_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Workload:
    """Pods that one object makes: ``number`` of a ``template``, or one on each node for a DaemonSet."""

    manifest: Manifest
    template: Mapping[str, Any]
    number: int
    everywhere: bool
    sidecar: bool

    @property
    def name(self) -> str:
        """The object, as people name it."""
        return str(self.manifest.key)

    def makes(self, pod: Mapping[str, Any]) -> bool:
        """Tell whether a live pod is one of these."""
        metadata = pod["metadata"]
        selector = pods.selector(self.manifest.body)
        return (
            metadata.get("namespace") == self.manifest.key.namespace
            and selector is not None
            and webhooks.selects(selector, metadata.get("labels") or {})
        )


@dataclass(frozen=True)
class Demand:
    """The pods of some objects, and how many volumes of how many GiB they claim."""

    workloads: Sequence[Workload]
    volumes: int
    volumes_gib: float


def demand(manifests: Sequence[Manifest]) -> Demand:
    """Return what objects ask for, once all of them are ready."""
    claims = [gib for manifest in manifests for gib in _claims(manifest.body)]
    return Demand(list(_workloads(manifests)), len(claims), sum(claims))


def _workloads(manifests: Sequence[Manifest]) -> Iterator[Workload]:
    least = dict(_least_replicas(manifests))
    injected = _Injection(manifests)
    for manifest in manifests:
        template = pods.template(manifest.body)
        everywhere = manifest.key.kind == "DaemonSet"
        found = capacity.replicas(manifest.body)
        if template is None or not (found or everywhere):
            continue  # a CronJob's pods come and go
        number = least.get(manifest.key, found[1] if found else 0)
        sidecar = injected.reaches(template, manifest.key.namespace)
        if sidecar:
            template = _with_sidecar(template, injected.resources)
        yield Workload(manifest, template, number, everywhere, sidecar)


def _least_replicas(manifests: Iterable[Manifest]) -> Iterator[tuple[Any, int]]:
    """Yield what autoscalers scale, and the least number of pods that they keep."""
    for manifest in manifests:
        if manifest.key.kind == "HorizontalPodAutoscaler":
            for target in scale_targets([manifest.body]):
                yield target, int(manifest.body["spec"].get("minReplicas", 1))


class _Injection:
    """Which pods get a sidecar, by the selectors of Istio's webhook, and what it asks for."""

    def __init__(self, manifests: Sequence[Manifest]) -> None:
        self._labels: dict[str, Mapping[str, str]] = {}
        self._webhooks: list[Mapping[str, Any]] = []
        self.resources: Mapping[str, Any] = _PROXY
        for manifest in manifests:
            key, body = manifest.key, manifest.body
            if key.kind == "Namespace":
                labels = body["metadata"].get("labels") or {}
                self._labels[key.name] = {**labels, _NAME_LABEL: key.name}
            elif key.kind == "MutatingWebhookConfiguration" and key.name == _INJECTOR:
                self._webhooks = [found for _, found in webhooks.of_configuration(body)]
            elif key.kind == "ConfigMap" and key.name == _INJECTOR:
                self.resources = _proxy(body) or _PROXY

    def reaches(self, template: Mapping[str, Any], namespace: str) -> bool:
        """Tell whether a pod of the template gets one."""
        metadata, spec = template.get("metadata") or {}, template["spec"]
        labels = metadata.get("labels") or {}
        refused = (metadata.get("annotations") or {}).get("sidecar.istio.io/inject") == "false"
        has_one = any(found["name"] == "istio-proxy" for found in pods.containers(spec))
        if refused or has_one or spec.get("hostNetwork"):
            return False
        inside = self._labels.get(namespace, {_NAME_LABEL: namespace})
        pod = Target("", "pods", namespaced=True, labels=labels, namespace_labels=inside)
        return any(webhooks.matches(found, pod) for found in self._webhooks)


def _proxy(settings: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the resources of a sidecar, of the settings of Istio's release."""
    try:
        found: Mapping[str, Any] = json.loads(settings["data"]["values"])["global"]["proxy"]["resources"]
    except (KeyError, TypeError, ValueError):
        return None
    return found


def _with_sidecar(template: Mapping[str, Any], resources: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the template as the injector leaves it; as an older container it would ask for no more."""
    spec = template["spec"]
    proxy = {"name": "istio-proxy", "restartPolicy": "Always", "resources": resources}
    return {**template, "spec": {**spec, "initContainers": [proxy, *(spec.get("initContainers") or ())]}}


def _claims(body: Mapping[str, Any]) -> Iterator[float]:
    """Yield the GiB of each volume that an object claims."""
    if body["kind"] == "PersistentVolumeClaim":
        yield _gib(body)
    elif body["kind"] == "StatefulSet":
        for claim in body["spec"].get("volumeClaimTemplates") or ():
            yield from [_gib(claim)] * int(body["spec"].get("replicas", 1))


def _gib(claim: Mapping[str, Any]) -> float:
    wanted = ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", 0)
    return capacity.quantity(wanted) / 2**30
