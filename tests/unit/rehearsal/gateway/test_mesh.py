"""What Gateways and VirtualServices make of a request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from tideflow.rehearsal.gateway import mesh
from tideflow.rehearsal.gateway.messages import Request

LABELS = {"istio": "ingressgateway", "app": "istio-ingressgateway"}


def gateway(
    name: str = "kubeflow-gateway", *hosts: str, protocol: str = "HTTP", port: int = 80
) -> dict[str, Any]:
    """Return a Gateway with one server."""
    server = {"hosts": hosts or ["*"], "port": {"number": port, "protocol": protocol, "name": "x"}}
    return {
        "metadata": {"name": name, "namespace": "kubeflow"},
        "spec": {"selector": {"istio": "ingressgateway"}, "servers": [server]},
    }


def virtual_service(
    name: str, *matches: dict[str, Any], hosts: tuple[str, ...] = ("*",), made: str = "", **action: Any
) -> dict[str, Any]:
    """Return a VirtualService whose one route leads to a Service of its name."""
    route = {"route": [{"destination": {"host": name}}], **action, **({"match": matches} if matches else {})}
    return {
        "metadata": {"name": name, "namespace": "kubeflow", "creationTimestamp": made},
        "spec": {"gateways": ["kubeflow-gateway"], "hosts": hosts, "http": [route]},
    }


def request(target: str = "/", method: str = "GET", host: str = "a.org", **headers: str) -> Request:
    """Return a request."""
    return Request(method=method, target=target, headers=CIMultiDict({"Host": host, **headers}))


def route(asked: Request, *services: dict[str, Any], gateways: Any = None) -> mesh.Route | None:
    """Return the route that is followed."""
    found = mesh.servers(gateways or [gateway()], LABELS)
    return mesh.route_of(mesh.routes(services, found, asked.host), asked)


def leads_to(asked: Request, *services: dict[str, Any], gateways: Any = None) -> str | None:
    """Return the host of the route that is followed."""
    found = route(asked, *services, gateways=gateways)
    return found.action["route"][0]["destination"]["host"] if found else None


def test_one_redirect_to_https_is_enough() -> None:
    """Servers of one port are one, with a gateway of upstream's beside Kubeflow's."""
    plain, other = gateway(), gateway()
    other["metadata"]["name"] = "z"
    other["spec"]["servers"][0]["tls"] = {"httpsRedirect": True}
    found = mesh.servers([plain, other], LABELS)
    port = found[0].port
    assert mesh.redirects(found, port, "a.org")
    assert not mesh.redirects(found, port + 1, "a.org")
    assert not mesh.redirects(mesh.servers([plain], LABELS), port, "a.org")


PREFIXED = {"uri": {"prefix": "/jupyter/"}}


def test_what_is_for_all_paths_comes_last_whoever_is_older() -> None:
    """As the dashboard's, which would take everything otherwise."""
    dashboard = virtual_service("dashboard", {"uri": {"prefix": "/"}}, made="2026-01-01")
    jupyter = virtual_service("jupyter", PREFIXED, made="2026-01-02")
    for services in ((dashboard, jupyter), (jupyter, dashboard)):
        assert leads_to(request("/jupyter/x"), *services) == "jupyter"
        assert leads_to(request("/jupyter"), *services) == "dashboard"
    assert leads_to(request("/x"), jupyter) is None


def test_the_older_of_two_for_the_same_path_is_followed() -> None:
    """As Istio sorts them."""
    old, new = (virtual_service(name, PREFIXED, made=made) for name, made in (("z", "1"), ("a", "2")))
    assert leads_to(request("/jupyter/"), new, old) == "z"


@pytest.mark.parametrize(
    ("match", "asked", "fits"),
    [
        ({"uri": {"exact": "/x"}}, request("/x?y=1"), True),
        ({"uri": {"exact": "/x"}}, request("/x/"), False),
        ({"uri": {"regex": "/[xy]"}}, request("/y"), True),
        ({"uri": {"regex": "/[xy]"}}, request("/yy"), False),
        ({"uri": {"prefix": "/X"}, "ignoreUriCase": True}, request("/X"), False),
        ({"uri": {"prefix": "/x"}, "ignoreUriCase": True}, request("/X"), True),
        ({"method": {"exact": "POST"}}, request(method="POST"), True),
        ({"method": {"exact": "POST"}}, request(), False),
        ({"headers": {"x-a": {"prefix": "b"}}}, request(**{"X-A": "bc"}), True),
        ({"headers": {"x-a": {}}}, request(**{"X-A": "bc"}), True),
        ({"headers": {"x-a": {}}}, request(), False),
        ({"withoutHeaders": {"x-a": {}}}, request(), True),
        ({"authority": {"exact": "a.org"}}, request(), True),
        ({"queryParams": {"x": {"exact": "1"}}}, request("/?x=1"), False),
    ],
)
def test_all_of_a_match_has_to_fit(match: dict[str, Any], asked: Request, *, fits: bool) -> None:
    """What is not modelled never does."""
    assert (leads_to(asked, virtual_service("x", match)) == "x") is fits


def test_hosts_are_those_of_gateway_and_service_and_the_most_exact_has_them_all() -> None:
    """A service with the host by name keeps those for every host from it."""
    anyone = virtual_service("anyone")
    named = virtual_service("named", {"uri": {"prefix": "/x"}}, hosts=("a.org",))
    starred = virtual_service("starred", hosts=("*.org",))
    assert leads_to(request("/x"), anyone, named, starred) == "named"
    assert leads_to(request("/y"), anyone, named, starred) is None
    assert leads_to(request(host="b.org"), anyone, named, starred) == "starred"
    assert leads_to(request(host="b.com:8080"), anyone, named, starred) == "anyone"
    assert leads_to(request(), anyone, gateways=[gateway("kubeflow-gateway", "kubeflow/b.org")]) is None
    assert leads_to(request(host="b.org"), anyone, gateways=[gateway("kubeflow-gateway", "kubeflow/b.org")])


def test_a_service_is_reached_by_the_gateways_it_names_only() -> None:
    """By those of its own namespace, or with theirs; one that names none is for the mesh inside."""
    one = virtual_service("one")
    assert leads_to(request(), one, gateways=[gateway("other")]) is None
    one["spec"]["gateways"] = ["kubeflow/other"]
    assert leads_to(request(), one, gateways=[gateway("other")]) == "one"
    del one["spec"]["gateways"]
    assert leads_to(request(), one) is None


def test_a_gateway_is_for_pods_with_its_labels() -> None:
    """Others listen to nothing of it."""
    assert mesh.servers([gateway()], LABELS)
    assert not mesh.servers([gateway()], {"istio": "egressgateway"})


def test_the_server_of_a_host_is_the_one_that_names_it_most_exactly() -> None:
    """At the port that the request has come to."""
    found = mesh.servers(
        [
            gateway("a"),
            gateway("b", "*.org"),
            gateway("c", "a.org"),
            gateway("d", protocol="HTTPS", port=443),
        ],
        LABELS,
    )
    chosen = [mesh.server_of(found, 80, host) for host in ("a.org", "b.org", "b.com")]
    assert [server.gateway for server in chosen if server] == ["kubeflow/c", "kubeflow/b", "kubeflow/a"]
    secure = mesh.server_of(found, 443, "a.org")
    assert secure is not None
    assert secure.has_tls
    assert mesh.server_of(found, 8080, "a.org") is None


@pytest.mark.parametrize(
    ("match", "wanted", "target", "expected"),
    [
        ({"uri": {"prefix": "/jupyter/"}}, "/", "/jupyter/api?x=/jupyter/", "/api?x=/jupyter/"),
        ({"uri": {"prefix": "/pipeline"}}, "/pipeline", "/pipeline/apis/v2beta1", "/pipeline/apis/v2beta1"),
        ({"uri": {"prefix": "/"}}, "/", "/x", "/x"),
        ({"uri": {"exact": "/a"}}, "/b", "/a?x", "/b?x"),
        ({"uri": {"prefix": "/a"}}, None, "/a/b", "/a/b"),
    ],
)
def test_of_a_prefix_only_itself_is_rewritten(
    match: dict[str, Any], wanted: str | None, target: str, expected: str
) -> None:
    """As Kubeflow's own services want it."""
    action: dict[str, Any] = {"rewrite": {"uri": wanted}} if wanted else {}
    found = route(request(target), virtual_service("x", match, **action))
    assert found is not None
    assert mesh.rewritten(found, request(target)) == expected


@given(st.lists(st.text("ab", max_size=2)), st.text("ab", max_size=3))
def test_a_prefix_that_stands_for_itself_changes_nothing(parts: list[str], prefix: str) -> None:
    """Whatever the path."""
    target = f"/{prefix}" + "/".join(parts)
    found = mesh.Route("kubeflow", {"uri": {"prefix": f"/{prefix}"}}, {"rewrite": {"uri": f"/{prefix}"}})
    assert mesh.rewritten(found, request(target)) == target


def test_headers_are_set_added_and_removed() -> None:
    """In that order of Istio's words; others stay."""
    headers = CIMultiDict([("A", "1"), ("B", "2"), ("C", "3")])
    found = mesh.changed(headers, {"remove": ["a"], "set": {"b": "x"}, "add": {"c": "y"}})
    assert sorted((name.lower(), value) for name, value in found.items()) == [
        ("b", "x"),
        ("c", "3"),
        ("c", "y"),
    ]
    assert mesh.changed(headers, None) == headers
