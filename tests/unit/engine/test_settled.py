"""Which settled fields a write wanted to change, by the server's words and by what is live."""

from __future__ import annotations

from typing import Any

import pytest

from tideflow.engine import settled
from tideflow.errors import Cause, KubernetesError

LISTED = "Forbidden: updates to statefulset spec for fields other than 'replicas', 'template' are forbidden"
LIVE = {"spec": {"replicas": 1, "serviceName": "one", "claims": [{"name": "c", "mode": "Filesystem"}]}}


def refusal(field: str, message: str, status: int = 422) -> KubernetesError:
    """Return what the server answers."""
    return KubernetesError(message, status=status, causes=(Cause("FieldValueForbidden", field, message),))


@pytest.mark.parametrize(
    ("desired", "expected"),
    [
        ({"replicas": 2, "serviceName": "other"}, ["spec.serviceName"]),
        ({"replicas": 2, "serviceName": "one", "claims": [{"name": "d"}]}, ["spec.claims"]),
        ({"claims": [{"name": "c"}], "policy": "x"}, ["spec.policy"]),
        ({"claims": []}, ["spec.claims"]),
        ({"replicas": 2}, ["spec"]),
    ],
)
def test_what_the_server_does_not_name_is_found_in_what_is_live(
    desired: dict[str, Any], expected: list[str]
) -> None:
    """Defaults that only the live object has are no difference; nor is what the server would let change."""
    causes = settled.causes(refusal("spec", LISTED))
    assert settled.fields(causes, {"spec": desired}, lambda: LIVE) == expected


def test_what_the_server_names_is_taken_from_it() -> None:
    """Nothing is read for it."""
    causes = settled.causes(refusal("spec.selector", "Invalid value: {}: field is immutable"))
    assert settled.fields(causes, {}, lambda: pytest.fail("it was read")) == ["spec.selector"]


@pytest.mark.parametrize(
    "error", [refusal("spec", LISTED, status=403), refusal("spec.replicas", "Required value")]
)
def test_other_refusals_are_about_nothing_settled(error: KubernetesError) -> None:
    """They cannot be helped by making the object anew."""
    assert not settled.causes(error)
