"""What is left to controllers, and what is not."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest
from tests.unit.engine.objects import config_map, definition, deployment, key, manifests, webhook

from tideflow.engine.yielding import scale_targets, yielded

BUNDLE = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n").decode()
RULES = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]


def left(body: dict[str, Any], scaled: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """Return what is applied of an object; the manifest itself must stay as it is."""
    manifest = manifests(body)[0]
    before = copy.deepcopy(manifest.body)
    found = yielded(manifest, {key(other) for other in scaled})
    assert manifest.body == before
    return found


@pytest.mark.parametrize(
    ("bundle", "kept"),
    [("", False), ("Cg==", False), (None, False), (BUNDLE, True), ("not base64", True)],
)
def test_a_placeholder_of_a_ca_bundle_is_left_to_who_serves(bundle: str | None, *, kept: bool) -> None:
    """An empty one, or a blank line; a certificate is somebody's decision, and is applied."""
    body = webhook("w", "s", resources=["pods"], groups=[""])
    body["webhooks"][0]["clientConfig"]["caBundle"] = bundle
    assert ("caBundle" in left(body)["webhooks"][0]["clientConfig"]) is kept
    converted = definition("Thing")
    client = {"caBundle": bundle, "service": {"name": "s", "namespace": "a"}}
    converted["spec"]["conversion"] = {"strategy": "Webhook", "webhook": {"clientConfig": client}}
    found = left(converted)["spec"]["conversion"]["webhook"]["clientConfig"]
    assert ("caBundle" in found) is kept
    assert found["service"] == client["service"]
    service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1.example.org"},
        "spec": {"group": "example.org", "caBundle": bundle},
    }
    assert ("caBundle" in left(service)["spec"]) is kept


@pytest.mark.parametrize(("rules", "kept"), [([], False), (None, False), (RULES, True)])
def test_rules_that_are_not_shipped_are_registered_by_who_serves(rules: Any, *, kept: bool) -> None:
    """As Knative does; shipped ones are ours."""
    body = webhook("w", "s", resources=["pods"], groups=[""])
    body["webhooks"][0]["rules"] = rules
    assert ("rules" in left(body)["webhooks"][0]) is kept


def test_rules_of_an_aggregated_role_are_collected() -> None:
    """By Kubernetes' own controller; those of any other role are applied."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "r"},
        "rules": [],
    }
    assert "rules" in left(role)
    assert "rules" not in left({**role, "aggregationRule": {"clusterRoleSelectors": []}})


def test_replicas_under_an_autoscaler_are_the_autoscalers() -> None:
    """Only of the workload it scales, in its own namespace."""
    scaler = {
        "metadata": {"name": "h", "namespace": "a"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}},
    }
    assert scale_targets([scaler]) == {key(deployment("d"))}
    assert "replicas" not in left(deployment("d"), (deployment("d"),))["spec"]
    assert left(deployment("d", "b"), (deployment("d"),))["spec"]["replicas"] == 1


def test_data_that_is_not_shipped_is_filled_in() -> None:
    """An empty map would be ours, and whoever fills it would take it from us."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "a"}, "data": {}}
    assert "data" not in left(secret)
    assert left(config_map("c", x="1"))["data"] == {"x": "1"}
