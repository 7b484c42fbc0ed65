"""A small DigitalOcean that has the clusters a test says, for states that the twin does not come to."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

from tests.unit.clients.serving import LoopbackServer, QuietHandler

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN = "canary-token"
NAME = "production"
_OPTIONS = {
    "options": {
        "regions": [{"slug": "nyc3", "name": "New York 3"}, {"slug": "fra1", "name": "Frankfurt 1"}],
        "sizes": [{"slug": slug, "name": slug} for slug in ("s-2vcpu-4gb", "s-4vcpu-8gb")],
        "versions": [
            {"slug": slug, "kubernetes_version": ""}
            for slug in ("1.33.9-do.1", "1.34.9-do.0", "1.34.10-do.1")
        ],
    }
}
_SIZES = {
    "sizes": [
        {"slug": "s-4vcpu-8gb", "vcpus": 4, "memory": 8192, "regions": ["nyc3"], "available": True},
        {"slug": "s-2vcpu-4gb", "vcpus": 2, "memory": 4096, "regions": ["fra1", "nyc3"], "available": True},
    ]
}
_ADDONS = ("ingress-nginx", "metrics-server")
_ACCOUNT = {"account": {"email": "me@example.org", "droplet_limit": 10, "status": "active"}}
ANSWERS: dict[str, Any] = {
    "account": _ACCOUNT,
    "droplets": {"droplets": [], "meta": {"total": 7}},
    "kubernetes/options": _OPTIONS,
    "sizes": _SIZES,
    "1-clicks": {"1_clicks": [{"slug": slug, "type": "kubernetes"} for slug in _ADDONS]},
}
"""What an account may have: two regions, of which one lacks a size, and three more nodes."""


def described(state: str = "running", **changed: Any) -> dict[str, Any]:
    """Return a cluster as the API describes it, with three nodes that are in the same state."""
    node_state = changed.pop("node_state", "running" if state == "running" else "provisioning")
    count = changed.pop("count", 3)
    nodes = [{"id": f"n{n}", "name": f"pool-{n}", "status": {"state": node_state}} for n in range(count)]
    return {
        "id": "c-1",
        "name": NAME,
        "region": "nyc3",
        "version": "1.34.1-do.2",
        "vpc_uuid": "v-1",
        "endpoint": "https://127.0.0.1:1",
        "tags": ["k8s", "k8s:c-1", "tideflow", f"tideflow:{NAME}"],
        "status": {"state": state, "message": changed.pop("message", "")},
        "node_pools": [
            {"id": "p-1", "name": f"{NAME}-pool", "size": "s-4vcpu-8gb", "count": count, "nodes": nodes}
        ],
        **changed,
    }


class Cloud(LoopbackServer):
    """Lists, one after another, the ``clusters`` of a test (None: there is none), the last of them for good.

    ``answers`` are those to other calls, by method and path; what is not there is not found. ``asked`` are
    the writes, with their bodies.
    """

    def __init__(self, *clusters: Mapping[str, Any] | None, **answers: Any) -> None:
        super().__init__(Handler)
        self.clusters = deque(clusters)
        self.answers = answers
        self.asked: list[tuple[str, str, Any]] = []

    @property
    def environment(self) -> dict[str, str]:
        """What leads a run to it."""
        return {
            "TIDEFLOW_PLATFORM": NAME,
            "DIGITALOCEAN_ACCESS_TOKEN": TOKEN,
            "DIGITALOCEAN_END_POINT": f"http://127.0.0.1:{self.server_port}/v2/",
        }


class Handler(QuietHandler):
    """Answers as its cloud says."""

    server: Cloud

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.path.partition("?")[0].removeprefix("/v2/")
        if self.command != "GET":
            self.server.asked.append((self.command, path, json.loads(body or b"null")))
            self._answer(202, {})
        elif path == "kubernetes/clusters":
            clusters = self.server.clusters
            found = clusters.popleft() if len(clusters) > 1 else clusters[0]
            self._answer(200, {"kubernetes_clusters": [found] if found else [], "links": {}})
        elif path in self.server.answers:
            self._answer(200, self.server.answers[path])
        else:
            self._answer(
                404, {"id": "not_found", "message": "The resource you requested could not be found."}
            )

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - http.server's names
