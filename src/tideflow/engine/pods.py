"""The pods a workload makes: their template, and the objects they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tideflow.engine.manifests import Key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tideflow.engine.manifests import Manifest

# Only Kubernetes' own: nobody knows what others mean by a Job.
_TEMPLATES: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "Pod"): (),
    ("", "ReplicationController"): ("spec", "template"),
    ("apps", "DaemonSet"): ("spec", "template"),
    ("apps", "Deployment"): ("spec", "template"),
    ("apps", "ReplicaSet"): ("spec", "template"),
    ("apps", "StatefulSet"): ("spec", "template"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
    ("batch", "Job"): ("spec", "template"),
}


def template(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the pod, with its labels and spec, that a workload makes; None for what makes none."""
    path = _TEMPLATES.get((body["apiVersion"].rpartition("/")[0], body["kind"]))
    if path is None:
        return None
    found: Any = body
    for field in path:
        found = (found or {}).get(field)
    return found if isinstance(found, dict) and found.get("spec") else None


def selector(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the label selector of a workload's pods; None for what has none, such as a CronJob."""
    if template(body) is None or body["kind"] in {"CronJob", "Pod"}:
        return None
    found: Mapping[str, Any] | None = body["spec"].get("selector")
    if body["kind"] == "Job" and not found:
        # The API server makes one; this label has been on the pods of every Job since Kubernetes 1.27.
        return {"matchLabels": {"batch.kubernetes.io/job-name": body["metadata"]["name"]}}
    if body["kind"] == "ReplicationController":
        return {"matchLabels": found or ((template(body) or {}).get("metadata") or {}).get("labels")}
    return found or None


def behind(service: Key, manifests: Mapping[Key, Manifest]) -> Iterator[Key]:
    """Yield the workloads, of some objects, whose pods a Service of the same objects selects."""
    found = manifests.get(service)
    wanted = found and found.body["spec"].get("selector")
    if not wanted:
        return
    for key, manifest in manifests.items():
        pod = template(manifest.body) if key.namespace == service.namespace else None
        if pod is not None:
            labels = (pod.get("metadata") or {}).get("labels") or {}
            if wanted.items() <= labels.items():
                yield key


def containers(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield all containers of a pod, those that only start it too."""
    for field in ("initContainers", "containers"):
        yield from spec.get(field) or ()


def named(pod: Mapping[str, Any], namespace: str) -> Iterator[Key]:
    """Yield what has to be there before the pod can start, by the names in its spec."""
    spec = pod["spec"]

    def key(kind: str, name: str | None) -> Iterator[Key]:
        if name:
            yield Key("", kind, namespace, name)

    yield from key("ServiceAccount", spec.get("serviceAccountName") or spec.get("serviceAccount"))
    if spec.get("priorityClassName"):
        yield Key("scheduling.k8s.io", "PriorityClass", "", spec["priorityClassName"])
    for secret in spec.get("imagePullSecrets") or ():
        yield from key("Secret", secret.get("name"))
    for volume in spec.get("volumes") or ():
        for source in filter(None, (volume, *((volume.get("projected") or {}).get("sources") or ()))):
            yield from key("ConfigMap", (source.get("configMap") or {}).get("name"))
            secret = source.get("secret") or {}
            yield from key("Secret", secret.get("secretName") or secret.get("name"))
        yield from key("PersistentVolumeClaim", (volume.get("persistentVolumeClaim") or {}).get("claimName"))
    for container in containers(spec):
        for source in container.get("envFrom") or ():
            yield from key("ConfigMap", (source.get("configMapRef") or {}).get("name"))
            yield from key("Secret", (source.get("secretRef") or {}).get("name"))
        for variable in container.get("env") or ():
            origin = variable.get("valueFrom") or {}
            yield from key("ConfigMap", (origin.get("configMapKeyRef") or {}).get("name"))
            yield from key("Secret", (origin.get("secretKeyRef") or {}).get("name"))
