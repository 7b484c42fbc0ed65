"""What Kubeflow Pipelines answers in a rehearsal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from multidict import CIMultiDict

from tideflow.rehearsal.gateway import pipelines
from tideflow.rehearsal.gateway.messages import Request

if TYPE_CHECKING:
    from tideflow.clients.kubernetes import Kubernetes

OWNER = "ada@example.org"


class Reviewing:
    """A cluster whose roles let one person list experiments and jobs in one namespace."""

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Review an access."""
        assert path == "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        asked = body["spec"]["resourceAttributes"]
        assert asked["group"] == "pipelines.kubeflow.org"
        assert asked["verb"] == "list"
        allowed = (body["spec"]["user"], asked["namespace"]) == (OWNER, "ada") and asked["resource"] in {
            "experiments",
            "jobs",
        }
        return {"status": {"allowed": allowed}}


def ask(target: str, user: str = OWNER, method: str = "GET") -> tuple[int, dict[str, Any]]:
    """Return status and body of the API's answer."""
    headers = CIMultiDict({"kubeflow-userid": user} if user else {})
    request = Request(method=method, target=target, headers=headers)
    answer = pipelines.answer(cast("Kubernetes", Reviewing()), request)
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize("what", ["experiments", "recurringruns"])
def test_lists_are_for_who_may_see_them(what: str) -> None:
    """By the roles of the namespace; recurring runs are jobs there."""
    assert ask(f"/apis/v2beta1/{what}?page_size=10&namespace=ada") == (200, {})
    status, body = ask(f"/apis/v2beta1/{what}?namespace=other")
    assert (status, body["code"]) == (403, 7)
    assert f"User '{OWNER}' may not list {what} in namespace 'other'" in body["message"]
    assert ask(f"/apis/v2beta1/{what}?namespace=ada", user="other@example.org")[0] == 403


@pytest.mark.parametrize(
    ("target", "user", "method", "status", "code"),
    [
        ("/apis/v2beta1/experiments?namespace=ada", "", "GET", 401, 16),
        ("/apis/v2beta1/pipelines", "", "GET", 401, 16),
        ("/apis/v2beta1/experiments", OWNER, "GET", 400, 3),
        ("/apis/v2beta1/experiments", OWNER, "POST", 501, 12),
        ("/apis/v2beta1/experiments/1?namespace=ada", OWNER, "GET", 501, 12),
        ("/apis/v2beta1/visualizations?namespace=ada", OWNER, "GET", 501, 12),
        ("/apis/v1beta1/experiments?namespace=ada", OWNER, "GET", 501, 12),
    ],
)
def test_what_is_refused(target: str, user: str, method: str, status: int, code: int) -> None:
    """Who says nothing of himself, what says nothing of a namespace, and what a rehearsal does not have."""
    answered, body = ask(target, user, method)
    assert (answered, body["code"]) == (status, code)


def test_what_is_everybodys() -> None:
    """Whether it is there, and pipelines of no namespace."""
    assert ask("/apis/v2beta1/healthz", user="") == (200, {"multi_user": True})
    assert ask("/apis/v1beta1/healthz", user="") == (200, {"multi_user": True})
    assert ask("/apis/v2beta1/pipelines") == (200, {})


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/pipeline/apis/v2beta1/runs?namespace=ada", "/apis/v2beta1/runs?namespace=ada"),
        ("/apis/v1beta1/healthz", "/apis/v1beta1/healthz"),
        ("/pipeline/", None),
        ("/pipeline/other/apis/v2beta1/runs", None),
    ],
)
def test_the_web_app_passes_on_what_is_for_the_api(target: str, expected: str | None) -> None:
    """With the headers that say who it is, and the API's own name as host."""
    headers = CIMultiDict({"Host": "kubeflow.localhost", "kubeflow-userid": OWNER})
    found = pipelines.passed_on(Request(method="GET", target=target, headers=headers))
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert found.target == expected
        assert dict(found.headers) == {"Host": "ml-pipeline:8888", "kubeflow-userid": OWNER}
