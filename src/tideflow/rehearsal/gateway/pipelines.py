"""Kubeflow Pipelines, as far as a rehearsal has it: its API is there, and nothing has been made in it.

From outside there is no way to the API but through the web app, which passes on what is for it. The API knows
who asks by the header that the gateway sets, and has the cluster's roles decide what that person may list.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from multidict import CIMultiDict

from tideflow.rehearsal.gateway.messages import Answer

if TYPE_CHECKING:
    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.rehearsal.gateway.messages import Request

WEB_APP = ("kubeflow", "ml-pipeline-ui")
API = ("kubeflow", "ml-pipeline")
API_PORT = 8888
"""Their Services."""

_PASSED_ON = re.compile(r"(/pipeline)?(?P<rest>/apis/v\d\w*/.*)")
_HEALTH = re.compile(r"/apis/v(1beta1|2beta1)/healthz")
_LIST = re.compile(r"/apis/v2beta1/(?P<what>\w+)")
_RESOURCES = {"experiments": "experiments", "pipelines": "pipelines", "recurringruns": "jobs", "runs": "runs"}
"""What can be listed, and how roles call it."""

_USER = "kubeflow-userid"
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_CODES = {400: 3, 401: 16, 403: 7, 501: 12}
"""gRPC's codes, which clients are told beside HTTP's."""


def passed_on(request: Request) -> Request | None:
    """Return a request to the web app as the API gets it; None if the web app answers itself."""
    found = _PASSED_ON.fullmatch(request.target)
    if found is None:
        return None
    headers = request.headers.copy()
    headers["Host"] = f"{API[1]}:{API_PORT}"
    return dataclasses.replace(request, target=found["rest"], headers=headers)


def answer(cluster: Kubernetes, request: Request) -> Answer:
    """Answer as the API: that it is there, lists that are empty, and else that a rehearsal has no more."""
    if request.method == "GET" and _HEALTH.fullmatch(request.path):
        return _json(200, {"multi_user": True})
    found = _LIST.fullmatch(request.path)
    if request.method != "GET" or found is None or found["what"] not in _RESOURCES:
        return _error(501, "a rehearsal has no pipelines: it answers healthz and lists, which are empty")
    user = request.headers.get(_USER)
    if not user:
        return _error(401, f"Request header error: there is no user identity header {_USER}")
    namespace = parse_qs(urlsplit(request.target).query).get("namespace", [""])[0]
    if not namespace:
        shared = found["what"] == "pipelines"  # all may see those that are nobody's
        return _json(200, {}) if shared else _error(400, "a list needs a namespace in multi-user mode")
    if not _may_list(cluster, user, namespace, _RESOURCES[found["what"]]):
        return _error(403, f"User '{user}' may not list {found['what']} in namespace '{namespace}'")
    return _json(200, {})


def _may_list(cluster: Kubernetes, user: str, namespace: str, resource: str) -> bool:
    asked = {"namespace": namespace, "verb": "list", "group": "pipelines.kubeflow.org", "resource": resource}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": asked},
    }
    return bool(cluster.post(_REVIEWS, review)["status"]["allowed"])


def _error(status: int, message: str) -> Answer:
    return _json(status, {"code": _CODES[status], "message": message, "details": []})


def _json(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status, CIMultiDict({"Content-Type": "application/json"}), json.dumps(body).encode())
