"""What objects must have to be understood, and how what they lack is told."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.objects import definition, deployment, manifests, webhook

from tideflow.engine.manifests import load
from tideflow.errors import ManifestError


def named(kind: str, api_version: str, **more: Any) -> dict[str, Any]:
    """Return an object of a kind."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "namespace": "a"}, **more}


def binding(**more: Any) -> dict[str, Any]:
    """Return a RoleBinding."""
    return named("RoleBinding", "rbac.authorization.k8s.io/v1", roleRef={"kind": "Role", "name": "r"}, **more)


def hook(**more: Any) -> dict[str, Any]:
    """Return a webhook configuration with something else in its webhook."""
    body = webhook("w", "s", resources=["pods"], groups=[""])
    body["webhooks"][0] |= more
    return body


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
        (binding(subjects=[{"kind": "ServiceAccount"}]), r"lacks subjects\[0\].name"),
        (binding(subjects="x"), "has a text where subjects should be a list"),
        (
            hook(clientConfig={"service": {"name": "s"}}),
            r"lacks webhooks\[0\].clientConfig.service.namespace",
        ),
        (hook(name=None), r"lacks webhooks\[0\].name"),
        (hook(clientConfig="x"), r"has a text where webhooks\[0\].clientConfig should be a mapping"),
        (hook(rules=["x"]), r"has a text where webhooks\[0\].rules\[0\] should be a mapping"),
        (hook(rules=[None]), r"has nothing where webhooks\[0\].rules\[0\] should be a mapping"),
        (deployment("d", volumes="x"), "has a text where spec.template.spec.volumes should be a list"),
        (deployment("d", serviceAccountName=7), "a number where spec.template.spec.serviceAccountName"),
        (named("Thing", "example.org/v1", metadata={"name": "x", "labels": {"a": 1}}), "metadata.labels.a"),
        (named("Thing", "example.org/v1", metadata={"name": "x", "namespace": 7}), "metadata.namespace"),
        (named("Secret", "v1", data="x"), "has a text where data should be a mapping"),
        (named("Secret", "v1", data="x", stringData={"a": "b"}), "whose stringData is not all text"),
        (named("APIService", "apiregistration.k8s.io/v1", spec={"service": {}}), "lacks spec.service.name"),
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
        named("ConfigMap", "v1", binaryData={"labels": "eA=="}, data={"spec": "x"}),
        named("ConfigMap", "v1", metadata={"name": "x", "annotations": {"spec": "x", "env": "y"}}),
        named("Service", "v1", spec={"selector": {"template": "x", "subjects": "y"}}),
        named("RoleBinding", "example.org/v1", subjects="anybody"),
        hook(failurePolicy=None, rules=None, namespaceSelector=None),
        deployment("d", volumes=[{"name": "v", "projected": {"sources": [None]}}]),
        {**deployment("d"), "spec": {**deployment("d")["spec"], "replicas": None}},
    ],
)
def test_what_is_none_of_our_business_is_let_be(body: dict[str, Any]) -> None:
    """Data, names and custom resources may look as they like, and null is nothing."""
    assert len(manifests(body)) == 1


def test_the_remedy_is_named() -> None:
    """A path that kubectl explains, without places in lists."""
    with pytest.raises(ManifestError, match=r"; see kubectl explain rolebinding\.subjects\.name$"):
        load([binding(subjects=[{"kind": "User"}])])
