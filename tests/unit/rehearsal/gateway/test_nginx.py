"""Which location of which server a request is for, by the Ingresses that nginx serves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tideflow.rehearsal.gateway.nginx import CONTROLLER, Ingresses, covers

CLASSES = [
    {"metadata": {"name": "nginx"}, "spec": {"controller": CONTROLLER}},
    {"metadata": {"name": "others"}, "spec": {"controller": "example.org/ingress"}},
]


def backend(name: str, port: int | str = 80) -> dict[str, Any]:
    """Return a backend."""
    return {"service": {"name": name, "port": {"number" if isinstance(port, int) else "name": port}}}


def ingress(
    host: str, *paths: tuple[str, str, str], name: str = "one", made: str = "2026-01-01", **spec: Any
) -> dict[str, Any]:
    """Return an Ingress of nginx's with paths, their types and their Services."""
    http = {"paths": [{"path": path, "pathType": kind, "backend": backend(to)} for path, kind, to in paths]}
    return {
        "metadata": {"name": name, "namespace": "web", "creationTimestamp": made},
        "spec": {"ingressClassName": "nginx", "rules": [{"host": host, "http": http}], **spec},
    }


def leads_to(host: str, path: str, *ingresses: dict[str, Any]) -> str | None:
    """Return the Service that a path leads to."""
    found = Ingresses(ingresses, CLASSES, {}).location(host, path)
    return found.service if found else None


def test_only_ingresses_of_its_class_are_served() -> None:
    """By the field, or by the annotation that was there before it."""
    ours = ingress("a.org", ("/", "Prefix", "a"))
    assert leads_to("a.org", "/x", ours) == "a"
    for other in ("others", "absent", None):
        assert leads_to("a.org", "/x", {**ours, "spec": {**ours["spec"], "ingressClassName": other}}) is None
    annotated = {**ours["metadata"], "annotations": {"kubernetes.io/ingress.class": "nginx"}}
    assert leads_to("a.org", "/", {"metadata": annotated, "spec": {**ours["spec"], "ingressClassName": None}})


@pytest.mark.parametrize(
    ("host", "expected"),
    [("a.org", "exact"), ("b.a.org", "star"), ("c.b.a.org", None), ("other.org", None), ("A.ORG", None)],
)
def test_a_host_has_a_server_of_its_own(host: str, expected: str | None) -> None:
    """A star stands for one label; requests have their hosts in small letters by then."""
    exact, star = ingress("A.org", ("/", "Prefix", "exact")), ingress("*.a.org", ("/", "Prefix", "star"))
    assert leads_to(host, "/", exact, star) == expected


def test_what_has_no_host_is_for_hosts_that_nobody_names() -> None:
    """A host that is named has nothing but its own paths."""
    anyone, own = ingress("", ("/", "Prefix", "anyone")), ingress("a.org", ("/x", "Prefix", "own"))
    assert leads_to("b.org", "/x", anyone, own) == "anyone"
    assert leads_to("a.org", "/x", anyone, own) == "own"
    assert leads_to("a.org", "/y", anyone, own) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "root"),
        ("/a", "prefix"),
        ("/a/", "prefix"),
        ("/a/b", "longer"),
        ("/ab", "root"),
        ("/e", "exact"),
        ("/e/f", "root"),
    ],
)
def test_paths_are_compared_part_by_part_and_the_longest_wins(path: str, expected: str) -> None:
    """What is exact wins over what is longer."""
    paths = (("/", "root"), ("/a", "prefix"), ("/a/b", "longer"), ("/e", "other"))
    rules = [(each, "Prefix", to) for each, to in paths if to != "other"]
    assert leads_to("a.org", path, ingress("a.org", *rules, ("/e", "Exact", "exact"))) == expected


def test_the_oldest_has_what_two_claim() -> None:
    """As nginx has it; a newer one takes nothing away."""
    old = ingress("a.org", ("/", "Prefix", "old"), name="z")
    new = ingress("a.org", ("/", "Prefix", "new"), ("/new", "Prefix", "new"), made="2026-02-01")
    assert leads_to("a.org", "/", new, old) == "old"
    assert leads_to("a.org", "/new", new, old) == "new"


def test_a_default_backend_is_for_the_rest_of_its_hosts_or_of_the_world() -> None:
    """For the world only where the Ingress names no host."""
    own = ingress("a.org", ("/x", "Prefix", "own"), defaultBackend=backend("rest"))
    world = ingress("a.org")
    world["spec"] = {"ingressClassName": "nginx", "defaultBackend": backend("world")}
    assert leads_to("a.org", "/y", own, world) == "rest"
    assert leads_to("b.org", "/y", own, world) == "world"
    assert leads_to("b.org", "/y", own) is None


def test_a_certificate_is_found_by_the_hosts_of_tls() -> None:
    """With a star for one label, and none for others."""
    tls = [{"hosts": ["a.org"], "secretName": "one"}, {"hosts": ["*.a.org"], "secretName": "star"}]
    found = Ingresses([ingress("a.org", tls=[*tls, {"hosts": ["c.org"]}])], CLASSES, {})
    assert found.secret("a.org") == ("web", "one")
    assert found.secret("b.a.org") == ("web", "star")
    assert found.secret("c.org") is None
    assert found.secret("d.org") is None


def test_settings_are_the_ingress_own_the_controllers_or_nginx_defaults() -> None:
    """What nginx would not understand is as if nobody had said it."""
    own = ingress("a.org", ("/", "Prefix", "a"))
    own["metadata"]["annotations"] = {
        "nginx.ingress.kubernetes.io/proxy-body-size": "2G",
        "nginx.ingress.kubernetes.io/proxy-buffer-size": "much",
    }
    config = {"proxy-body-size": "3m", "proxy-connect-timeout": "7", "ssl-redirect": "false"}
    location = Ingresses([own], CLASSES, config).location("a.org", "/")
    assert location is not None
    assert location.size("proxy-body-size") == 2 * 1024**3
    assert location.size("proxy-buffer-size") == 4096
    assert location.seconds("proxy-connect-timeout") == 7
    assert location.seconds("proxy-next-upstream-tries") == 3
    assert not location.is_on("ssl-redirect")
    assert not location.is_on("force-ssl-redirect")


LABEL = st.text("abc", min_size=1, max_size=3)


@given(first=LABEL, rest=st.lists(LABEL, min_size=1, max_size=3))
def test_a_star_covers_exactly_one_label(first: str, rest: list[str]) -> None:
    """Not the domain itself, nor what is below its subdomains."""
    domain = ".".join(rest)
    assert covers(domain, domain)
    assert covers(f"*.{domain}", f"{first}.{domain}")
    assert not covers(f"*.{domain}", domain)
    assert not covers(f"*.{domain}", f"{first}.{first}.{domain}")
    assert not covers(f"*.{domain}", f".{domain}")
