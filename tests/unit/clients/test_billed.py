"""The part of DigitalOcean's API that is billed, against a small server that answers by a script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.clients.test_digitalocean import CUT, TOKEN, Server

from tideflow.clients import billed
from tideflow.clients.billed import Associated
from tideflow.clients.digitalocean import DigitalOcean
from tideflow.errors import DigitalOceanError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve, and wait for nothing between tries."""
    monkeypatch.setattr(billed, "_AGAIN", (0.0, 0.0, 0.0))
    with Server().serving() as serving:
        yield serving


def client(server: Server) -> DigitalOcean:
    """Return a client of the server."""
    return DigitalOcean(TOKEN, endpoint=f"http://127.0.0.1:{server.server_port}/v2/", timeout=5)


def named(*names: str) -> dict[str, Any]:
    """Return a list of tags."""
    return {"tags": [{"name": name} for name in names], "links": {}}


def test_all_pages_of_a_list_are_read(server: Server) -> None:
    """Whatever is on the last of them is billed as well."""
    first = {"id": "1", "name": "one", "size_gigabytes": 5, "tags": ["k8s:c"]}
    server.then(200, {"volumes": [first], "links": {"pages": {"next": "http://elsewhere/"}}})
    server.then(200, {"volumes": [first | {"id": "2", "tags": None}], "links": {}})
    assert [(found.id, found.tags) for found in client(server).volumes()] == [("1", ("k8s:c",)), ("2", ())]


def test_a_tag_is_created_until_that_is_sure(server: Server) -> None:
    """To create it twice does no harm, so that a lost answer is no problem."""
    server.then(CUT)
    server.then(500, {"id": "server_error", "message": "no"})
    server.then(201, {"tag": {"name": "one"}})
    client(server).create_tag("one")
    assert server.asked == ["POST /v2/tags"] * 3


def test_a_tag_that_is_there_is_created(server: Server) -> None:
    """If the API should refuse it for that; another refusal is an error."""
    refused = (422, {"id": "unprocessable_entity", "message": "no"})
    server.then(*refused)
    server.then(200, named("one"))
    client(server).create_tag("one")
    server.then(*refused)
    server.then(200, named("two"))
    with pytest.raises(DigitalOceanError, match="422"):
        client(server).create_tag("one")


def test_what_is_gone_is_deleted(server: Server) -> None:
    """Whoever has done it; but nothing else passes for that."""
    server.then(404, {"id": "not_found", "message": "no"})
    client(server).delete_volume("1")
    server.then(409, {"id": "conflict", "message": "attached"})
    with pytest.raises(DigitalOceanError, match="attached"):
        client(server).delete_volume("1")
    server.then(403, {"id": "forbidden", "message": "no"})
    with pytest.raises(DigitalOceanError, match="the scope block_storage:delete"):
        client(server).delete_volume("1")


def test_what_a_cluster_made_is_read_by_kind(server: Server) -> None:
    """Kinds of which there is nothing may be missing."""
    server.then(200, {"load_balancers": [{"id": "a", "name": "one"}], "volumes": None})
    assert client(server).associated("c") == Associated(("a",), (), ())
