"""Where objects belong, and what is said of types that nobody has."""

from __future__ import annotations

import pytest

from tideflow.clients.resources import Resource, Resources
from tideflow.engine.manifests import load
from tideflow.engine.placing import placed
from tideflow.errors import ManifestError

RESOURCES = Resources(
    Resource(group, version, kind, f"{kind.lower()}s", namespaced=True)
    for group, version, kind in (
        ("networking.k8s.io", "v1", "Ingress"),
        ("networking.k8s.io", "v1beta1", "Ingress"),
        ("batch", "v1", "CronJob"),
    )
)


@pytest.mark.parametrize(
    ("api_version", "kind", "hint"),
    [
        (
            "extensions/v1beta1",
            "Ingress",
            "correct object 1: the server has Ingress in networking.k8s.io/v1, networking.k8s.io/v1beta1",
        ),
        ("batch/v1beta1", "CronJob", "correct object 1: the server has CronJob in batch/v1"),
        ("batch/v1", "CronJobb", "correct object 1"),
        ("example.org/v1", "Thing", "add its CustomResourceDefinition, or correct object 1"),
    ],
)
def test_a_type_that_nobody_has_is_told_with_where_the_server_has_it(
    api_version: str, kind: str, hint: str
) -> None:
    """Old manifests name versions that went."""
    spec = {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "c"}]}}}}}
    body = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    with pytest.raises(ManifestError, match=f"{kind} x is of a type that nobody defines: ") as caught:
        placed(load([body]), RESOURCES)
    assert caught.value.hint == hint
