"""What webhooks answer: what the API server asked, and no more."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from tests.unit.rehearsal.standins.worlds import world

from tideflow.errors import RehearsalError
from tideflow.rehearsal.certificates import Authority
from tideflow.rehearsal.standins.admission import answer, certificate_of


def review(resource: str = "pods") -> dict[str, Any]:
    """Return the review of an object with one container."""
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "resource": {"group": "", "version": "v1", "resource": resource},
            "object": {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "main"}]}},
        },
    }


@pytest.mark.parametrize(
    ("namespace", "service", "resource"),
    [("kubeflow", "guard", "pods"), ("elsewhere", "istiod", "pods"), ("istio-system", "istiod", "gateways")],
)
def test_everything_is_allowed_as_it_is(namespace: str, service: str, resource: str) -> None:
    """By all webhooks but the injector, and by istiod's others."""
    found = answer(world(), namespace, service, review(resource))
    assert found == {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": "1", "allowed": True},
    }


def test_the_injector_allows_and_patches() -> None:
    """As base64 of JSON, which is what the API server reads."""
    response = answer(world(), "istio-system", "istiod", review())["response"]
    assert (response["uid"], response["allowed"], response["patchType"]) == ("1", True, "JSONPatch")
    assert {patch["op"] for patch in json.loads(base64.b64decode(response["patch"]))} == {"add"}


def test_conversion_changes_the_version_alone() -> None:
    """Of each object, in their order."""
    objects = [{"apiVersion": "x/v1", "kind": "A", "n": number} for number in range(3)]
    asked = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "ConversionReview",
        "request": {"uid": "2", "desiredAPIVersion": "x/v2", "objects": objects},
    }
    response = answer(world(), "a", "b", asked)["response"]
    assert (response["uid"], response["result"]) == ("2", {"status": "Success"})
    assert response["convertedObjects"] == [{**found, "apiVersion": "x/v2"} for found in objects]


def test_a_server_certificate_is_made_once_for_each_ca() -> None:
    """The same again for the same CA, another for another."""
    one, two = Authority.new("one"), Authority.new("two")
    first = certificate_of(one.certificate, one.private_key, "a.b.svc")
    assert certificate_of(one.certificate, one.private_key, "a.b.svc") is first
    assert certificate_of(two.certificate, two.private_key, "a.b.svc") != first


def test_a_ca_with_another_kind_of_key_is_said() -> None:
    """Not a traceback of a library."""
    from tests.unit.rehearsal.standins.test_issuing import rsa_key  # noqa: PLC0415 - made where it is needed

    with pytest.raises(RehearsalError, match=r"the CA for a\.b\.svc has a key of another kind"):
        certificate_of(Authority.new("one").certificate, rsa_key(), "a.b.svc")
