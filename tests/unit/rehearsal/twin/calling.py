"""A twin whose clusters make no progress by themselves, and a client that checks what it is answered."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask.testing import FlaskClient
from openapi_core.contrib.werkzeug import WerkzeugOpenAPIRequest, WerkzeugOpenAPIResponse
from tests import description
from werkzeug.serving import make_server

from tideflow.rehearsal.pace import Pace
from tideflow.rehearsal.twin.api import application
from tideflow.rehearsal.twin.lifecycle import Lifecycle
from tideflow.rehearsal.twin.server import Handler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask
    from werkzeug.test import TestResponse

    from tideflow.rehearsal.twin.cluster import Cluster
    from tideflow.rehearsal.twin.state import State

TOKEN = "canary-token"
CLUSTERS = "/v2/kubernetes/clusters"
BODY: dict[str, Any] = {
    "name": "ml",
    "region": "nyc3",
    "version": "1.34",
    "node_pools": [{"name": "pool", "size": "s-4vcpu-8gb", "count": 3}],
}


class Client(FlaskClient):
    """Checks each call, where DigitalOcean's description is at hand."""

    calls: list[description.Call]
    checks = True
    may_fail = False
    liberties = frozenset({"name", "count", "duration"})  # which doctl takes

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Make a call."""
        answer = super().open(*args, **kwargs)
        if self.checks and description.FOLDER and answer.request.path.startswith("/v2/"):
            answer.request.environ["wsgi.input"].seek(0)  # the twin has read it
            request, response = WerkzeugOpenAPIRequest(answer.request), WerkzeugOpenAPIResponse(answer)
            self.calls.append(
                description.check(request, response, may_fail=self.may_fail, liberties=self.liberties)
            )
        return answer


def served(state: State, folder: Path) -> Flask:
    """Return the application of a twin."""
    return application(state, Lifecycle(state, folder, Path("/nonexistent"), Pace()), TOKEN)


def client(state: State, folder: Path) -> Any:
    """Return a client with the right token.

    Any, since Flask says of each answer that it may have no JSON.
    """
    return _client(served(state, folder))


def listened_to(lifecycle: Lifecycle, state: State) -> Any:
    """Return a client of a twin that has this lifecycle."""
    return _client(application(state, lifecycle, TOKEN))


def _client(app: Flask) -> Any:
    app.test_client_class = Client
    made = app.test_client()
    made.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
    made.calls = []  # type: ignore[attr-defined] # Flask does not say of which class it is
    return made


@contextmanager
def listening(app: Flask) -> Iterator[str]:
    """Yield the address at which an application is served."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def lift_limits(api: Any, **faults: Any) -> None:
    """Let there be as many requests as somebody can make, and these faults."""
    limits = {"requests_per_hour": 10**9, "requests_per_minute": 10**9}
    assert api.put("/rehearsal/faults", json=limits | faults).status_code == 200


def create(api: Any, **changed: Any) -> Any:
    """Ask for a cluster, and return the answer."""
    return api.post(CLUSTERS, json=BODY | changed)


def have_running(cluster: Cluster, folder: Path) -> None:
    """Have a cluster look as if its control plane ran."""
    authority = folder / "clusters" / cluster.id / "pki" / "ca.crt"
    authority.parent.mkdir(parents=True)
    authority.write_text("the authority")
    cluster.endpoint, cluster.state = "https://127.0.0.1:6443", "running"
