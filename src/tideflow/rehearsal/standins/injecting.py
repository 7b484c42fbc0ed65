"""istiod's injector: the sidecar that it adds to a pod, with the requests of the release's own settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tideflow.rehearsal.standins.world import World

SETTINGS = ("istio-system", "istio-sidecar-injector")
"""The ConfigMap with what a sidecar is made of."""

_NATIVE_SINCE = 27  # Istio's minor since which sidecars are init containers that go on running
_USER = 1337  # the proxy's own; what it sends is not redirected to it again
_REQUESTS = {"cpu": "100m", "memory": "128Mi"}  # Istio's own defaults
_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "privileged": False,
    "readOnlyRootFilesystem": True,
    "runAsGroup": _USER,
    "runAsNonRoot": True,
    "runAsUser": _USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def patches(world: World, request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the JSON patches for the pod of an admission request; none for one that wants no sidecar."""
    pod = request["object"]
    metadata, spec = pod["metadata"], pod["spec"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    wish = labels.get("sidecar.istio.io/inject", annotations.get("sidecar.istio.io/inject"))
    if wish == "false" or spec.get("hostNetwork"):
        return []
    if any(found["name"] == "istio-proxy" for found in _containers(spec)):
        return []  # a gateway, or injected already
    settings = world.get("", "ConfigMap", *SETTINGS) or {}
    proxy, native = _settings(settings)
    owner = next(iter(metadata.get("ownerReferences") or ()), {"name": metadata.get("name", "")})
    added = {
        "security.istio.io/tlsMode": "istio",
        "service.istio.io/canonical-name": labels.get("service.istio.io/canonical-name")
        or labels.get("app.kubernetes.io/name")
        or labels.get("app")
        or _workload(owner, labels)[:63].rstrip("-."),
        "service.istio.io/canonical-revision": labels.get("app.kubernetes.io/version")
        or labels.get("version")
        or "latest",
    }
    init = [_validation(proxy), *([_proxy(proxy) | {"restartPolicy": "Always"}] if native else [])]
    result: list[dict[str, Any]] = [
        {"op": "add", "path": "/metadata/labels", "value": {**added, **labels}},
        {
            "op": "add",
            "path": "/metadata/annotations",
            "value": {**annotations, "istio.io/rev": "default", "sidecar.istio.io/status": "{}"},
        },
        {"op": "add", "path": "/spec/initContainers", "value": init + (spec.get("initContainers") or [])},
    ]
    if not native:
        result.append({"op": "add", "path": "/spec/containers/0", "value": _proxy(proxy)})
    return result


def _workload(owner: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """Return what a pod is called after: its Deployment, whose ReplicaSet's name ends with a hash."""
    name = str(owner["name"])
    return name.removesuffix(f"-{labels['pod-template-hash']}") if "pod-template-hash" in labels else name


def _settings(settings: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the proxy's settings and whether it is a native sidecar, from the release's ConfigMap."""
    try:
        values = json.loads(settings["data"]["values"])["global"]
    except (KeyError, TypeError, ValueError):
        values = {}
    version = ((settings.get("metadata") or {}).get("labels") or {}).get("app.kubernetes.io/version", "")
    minor = version.split(".")[1] if version.count(".") else ""
    native = not minor.isdecimal() or int(minor) >= _NATIVE_SINCE
    proxy = values.get("proxy") or {}
    tag = values.get("tag", version or "latest")
    image = f"{values.get('hub', 'istio')}/{proxy.get('image', 'proxyv2')}:{tag}"
    return {"image": image, "resources": proxy.get("resources") or {"requests": _REQUESTS}}, native


def _proxy(proxy: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": "istio-proxy",
        "image": proxy["image"],
        "args": ["proxy", "sidecar"],
        "resources": proxy["resources"],
        "securityContext": _SECURITY,
    }


def _validation(proxy: Mapping[str, Any]) -> dict[str, Any]:
    """Return what checks that Istio's CNI plugin has set up the pod's network."""
    return {
        "name": "istio-validation",
        "image": proxy["image"],
        "args": ["istio-iptables", "--run-validation", "--skip-rule-apply"],
        "resources": proxy["resources"],
        "securityContext": _SECURITY,
    }


def _containers(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
