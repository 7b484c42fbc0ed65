"""What objects must have to be understood, and how what they lack is told."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.objects import definition, deployment, manifests

from tideflow.engine.manifests import load
from tideflow.errors import ManifestError


def named(kind: str, api_version: str, **more: Any) -> dict[str, Any]:
    """Return an object of a kind."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "namespace": "a"}, **more}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (named("Deployment", "apps/v1"), "Deployment a/x in object 1 lacks spec"),
        (named("Deployment", "apps/v1", spec={"template": {}}), "lacks spec.template"),
        (named("Deployment", "apps/v1", spec={"template": {"spec": {}}}), "lacks spec.template.spec"),
        (named("Deployment", "apps/v1", spec=[]), "lacks spec"),
        (named("Service", "v1"), "lacks spec"),
        (named("RoleBinding", "rbac.authorization.k8s.io/v1"), "lacks roleRef"),
        (named("HorizontalPodAutoscaler", "autoscaling/v2", spec={}), "lacks spec"),
        (
            named("CustomResourceDefinition", "apiextensions.k8s.io/v1", spec={"group": "g"}),
            "lacks spec.names",
        ),
        (
            named("ConfigMap", "v1", metadata={"name": "x", "labels": "y"}),
            "has a text where metadata.labels should be a mapping",
        ),
        (
            named("Pod", "v1", spec={"containers": {"name": "x"}}),
            "has a mapping where spec.containers should be a list",
        ),
        (
            named("Pod", "v1", spec={"containers": [{"name": "x", "env": [7]}]}),
            r"has a number where spec.containers\[0\].env\[0\] should be a mapping",
        ),
    ],
)
def test_what_an_object_lacks_is_named(body: dict[str, Any], expected: str) -> None:
    """With its file and the field, so that nothing later stumbles over it."""
    with pytest.raises(ManifestError, match=expected):
        load([body])


@pytest.mark.parametrize(
    "body",
    [
        deployment("d"),
        definition("Thing"),
        named("ConfigMap", "v1", data={"spec": "x", "labels": "y"}),
        named("Thing", "example.org/v1", spec="anything", labels=7),
        named("Service", "serving.knative.dev/v1"),
        named("Pod", "v1", spec={"containers": [{"name": "x", "env": None}]}),
    ],
)
def test_what_is_none_of_our_business_is_let_be(body: dict[str, Any]) -> None:
    """Data and custom resources may look as they like."""
    assert len(manifests(body)) == 1
