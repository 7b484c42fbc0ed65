"""Fields that a manifest ships and a controller then owns: they are left out of what is applied.

Applied, they would be taken from the controller in each run, and each run would be followed by its repair.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from tideflow.engine import webhooks
from tideflow.engine.manifests import API_SERVICE, DEFINITION, Key
from tideflow.engine.ownership import entries, has_applied, with_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from tideflow.engine.manifests import Manifest

SCALABLE = frozenset({"Deployment", "StatefulSet", "ReplicaSet"})


def yielded(manifest: Manifest, scaled: Collection[Key]) -> dict[str, Any]:
    """Return the manifest's object without what controllers own.

    ``scaled`` are the workloads that a HorizontalPodAutoscaler scales.
    """
    rule = _RULES.get(manifest.key.type)
    body = rule(manifest.body) if rule else manifest.body
    if manifest.key in scaled and isinstance(body.get("spec"), dict):
        # The autoscaler sets the number of replicas by load.
        body = _changed(body, "spec", lambda spec: _without(spec, "replicas"))
    return body


def scale_targets(autoscalers: Iterable[Mapping[str, Any]]) -> set[Key]:
    """Return the workloads that the HorizontalPodAutoscalers scale."""
    return set(map(_target, autoscalers))


def may_rest(autoscalers: Iterable[Mapping[str, Any]]) -> set[Key]:
    """Return those workloads that are meant to have no pods at times.

    That is so with an autoscaler that scales to 0, and with one that is another controller's, as KEDA's.
    """
    return {
        _target(autoscaler)
        for autoscaler in autoscalers
        if autoscaler["spec"].get("minReplicas") == 0 or autoscaler["metadata"].get("ownerReferences")
    }


def _target(autoscaler: Mapping[str, Any]) -> Key:
    target = autoscaler["spec"]["scaleTargetRef"]
    return Key(
        (target.get("apiVersion") or "").rpartition("/")[0],
        target["kind"],
        autoscaler["metadata"].get("namespace", ""),
        target["name"],
    )


def stands_still(live: Mapping[str, Any]) -> bool:
    """Tell whether a workload has no pods by its number of replicas: no autoscaler scales it up again.

    https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/
    "Implicit maintenance-mode deactivation".
    """
    return bool((live.get("spec") or {}).get("replicas") == 0)


WOKEN = [
    {"op": "test", "path": "/spec/replicas", "value": 0},
    {"op": "replace", "path": "/spec/replicas", "value": 1},
]
"""The JSON patch that gives a pod to what stands still, for its autoscaler to go on from."""


def owns_replicas(live: Mapping[str, Any], manager: str) -> bool:
    """Tell whether the manager has applied the number of replicas of a workload."""
    return any(_applies_replicas(entry, manager) for entry in entries(live))


def without_replicas(live: Mapping[str, Any], manager: str) -> list[dict[str, Any]]:
    """Return the JSON patch by which the manager gives up the number of replicas, which stays as it is.

    A field that is applied no more is removed if nobody else owns it, and an autoscaler owns it only once it
    has scaled.
    """

    def given_up(entry: dict[str, Any]) -> dict[str, Any]:
        if not _applies_replicas(entry, manager):
            return entry
        spec = _without(entry["fieldsV1"]["f:spec"], "f:replicas")
        return {**entry, "fieldsV1": {**entry["fieldsV1"], "f:spec": spec}}

    return with_entries(live, [given_up(entry) for entry in entries(live)])


def _applies_replicas(entry: Mapping[str, Any], manager: str) -> bool:
    return has_applied(entry, manager) and "f:replicas" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})


def _webhook_configuration(body: dict[str, Any]) -> dict[str, Any]:
    """Leave the CA bundle to who serves the webhook, and rules to who registers its own (as Knative does)."""

    def webhook(found: dict[str, Any]) -> dict[str, Any]:
        if not found.get("rules"):
            found = _without(found, "rules")
        return _changed(found, "clientConfig", _without_placeholder)

    return _changed(body, "webhooks", lambda webhooks: [webhook(found) for found in webhooks])


def _definition(body: dict[str, Any]) -> dict[str, Any]:
    """Leave the CA bundle of a conversion webhook to who serves it."""

    def conversion(found: dict[str, Any]) -> dict[str, Any]:
        return _changed(
            found, "webhook", lambda webhook: _changed(webhook, "clientConfig", _without_placeholder)
        )

    return _changed(body, "spec", lambda spec: _changed(spec, "conversion", conversion))


def _api_service(body: dict[str, Any]) -> dict[str, Any]:
    """Leave the CA bundle of an aggregated API to who serves it."""
    return _changed(body, "spec", _without_placeholder)


def _cluster_role(body: dict[str, Any]) -> dict[str, Any]:
    """Leave the rules of an aggregated ClusterRole to the controller that collects them."""
    return _without(body, "rules") if body.get("aggregationRule") else body


def _filled(body: dict[str, Any]) -> dict[str, Any]:
    """Leave the data of a Secret or ConfigMap that ships without any to the controller that fills it."""
    return body if body.get("data") else _without(body, "data")


_RULES: dict[tuple[str, str], Callable[[dict[str, Any]], dict[str, Any]]] = {
    ("", "ConfigMap"): _filled,
    ("", "Secret"): _filled,
    ("rbac.authorization.k8s.io", "ClusterRole"): _cluster_role,
    API_SERVICE: _api_service,
    DEFINITION: _definition,
    **dict.fromkeys(webhooks.TYPES, _webhook_configuration),
}


def _without_placeholder(client: dict[str, Any]) -> dict[str, Any]:
    """Drop a CA bundle that is not one: empty, or a blank line in base64."""
    bundle = client.get("caBundle")
    if bundle is None and "caBundle" not in client:
        return client
    try:
        certificate = base64.b64decode(bundle or "")
    except (binascii.Error, TypeError, ValueError):
        return client
    return client if b"CERTIFICATE" in certificate else _without(client, "caBundle")


def _without(mapping: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name != field}


def _changed(mapping: dict[str, Any], field: str, change: Callable[[Any], Any]) -> dict[str, Any]:
    """Return the mapping with one value changed, the same mapping where it has none."""
    if not mapping.get(field):
        return mapping
    return {**mapping, field: change(mapping[field])}
