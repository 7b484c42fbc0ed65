"""What strangers get on the way to the login, and which step is named: on small servers of every kind."""

from __future__ import annotations

import datetime as dt
import socket
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.clients.edges import CANARY, COOKIE, FORM, HOST, LOGIN, TO_HTTPS, Reply, serving

from tideflow.clients import outside as client
from tideflow.clients.outside import Outside, trusting
from tideflow.operations import outside, presenting
from tideflow.operations.ways import Way
from tideflow.rehearsal.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.unit.clients.edges import Edge

    from tideflow.operations.outside import Sight

NGINX = "<html><center><h1>{}</h1></center><hr><center>nginx</center></html>"
FAKE = "Kubernetes Ingress Controller Fake Certificate"


def way(at: Edge, **others: Any) -> Way:
    """Return the way to these servers, for a certificate of their own CA."""
    known: dict[str, Any] = {"mode": "self-signed", "edge": "nginx", "authority": at.authority}
    return Way(hostname=HOST, address="127.0.0.1", ports=at.ports, **known | others)


def seen(https: Mapping[str, Reply], http: Mapping[str, Reply] = TO_HTTPS, **others: Any) -> Sight:
    """Return what is seen of servers that answer the login, but for these paths."""
    with serving({**LOGIN, **https}, http) as edge:
        return outside.look(way(edge, **others))


def test_a_login_is_reached_as_a_browser_does() -> None:
    """By the hostname, whatever the address, first over HTTPS; nothing is sent but what a browser sends."""
    with serving() as edge:
        assert outside.look(way(edge)) == outside.Sight()
        host = f"{HOST}:{edge.ports['https']}"
        assert edge.asked == [
            *(("https", path, host) for path in (*LOGIN, "/", "/jupyter/", "/pipeline/")),
            ("http", "/oauth2/start", f"{HOST}:{edge.ports['http']}"),
        ]
        assert way(edge).url == f"https://{host}"
    assert replace(way(edge), ports={"http": 80, "https": 443}).url == f"https://{HOST}"


def test_this_machines_own_settings_are_not_a_strangers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No proxy, and no CA, that only this machine knows of."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving() as edge:
        assert outside.look(way(edge)).trouble is None
        (tmp_path / "ca.crt").write_text(edge.authority)
        for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
            monkeypatch.setenv(name, str(tmp_path / "ca.crt"))
        assert outside.look(way(edge, authority="", mode="acme")).trouble is not None


@pytest.mark.parametrize(
    ("replies", "told", "step"),
    [
        ({"/": Reply(404, NGINX.format("404"))}, "nginx has no Ingress for", "ingress"),
        ({"/": Reply(502, NGINX.format("502"))}, "no pod of Istio's gateway answers", "kubeflow_base"),
        ({"/": Reply(503, NGINX.format("503"))}, "no pod of Istio's gateway is ready", "kubeflow_base"),
        ({"/": Reply(504, NGINX.format("504"))}, "no NetworkPolicy lets it in", "kubeflow_base"),
        ({"/": Reply(400, NGINX.format("400"))}, "the PROXY protocol", "load_balancer"),
        ({"/": Reply(429, NGINX.format("429"))}, "does not pass on", "ingress"),
        ({"/": Reply(403, "RBAC: access denied")}, "RBAC: access denied", "kubeflow_base"),
        ({"/": Reply(403)}, "asks oauth2-proxy in vain", "kubeflow_base"),
        ({"/": Reply(404)}, "leads kubeflow.example.org/ nowhere (404)", "kubeflow_base"),
        ({"/": Reply(503, "no healthy upstream")}, "leads / to is not ready (503)", "kubeflow_base"),
        ({"/": Reply(500, "Oops")}, "oauth2-proxy has an error (500)", "credentials"),
        ({"/": Reply(200, "<title>Kubeflow</title>")}, "shown to anybody", "kubeflow_base"),
        ({"/": Reply(200, "It works!")}, "a page that is none of Kubeflow's", "ingress"),
        ({"/": Reply(0)}, "the load balancer gets through to no pod of nginx", "load_balancer"),
        ({"/oauth2/start": Reply(500, "Oops")}, "oauth2-proxy has an error (500)", "credentials"),
        ({"/oauth2/start": Reply(503)}, "oauth2-proxy does not answer the gateway (503)", "kubeflow_base"),
        ({"/dex/auth": Reply(503, "no healthy upstream")}, "Dex does not answer", "kubeflow_base"),
        ({"/dex/auth": Reply(404, "Invalid client_id")}, "Dex does not know oauth2-proxy", "reachable"),
        ({"/dex/auth": Reply(400, "Unregistered redirect_uri")}, "Dex sends nobody back", "kubeflow_base"),
        ({"/dex/auth": Reply(500, "x")}, "Dex has an error in the place of its login page (500)", "auth"),
        ({"/dex/auth": Reply(403, "RBAC: access denied")}, "to /dex/auth (RBAC", "kubeflow_base"),
        ({"/dex/auth": Reply(302, location="/dex/auth?x")}, "redirected without end", "kubeflow_base"),
        ({"/": Reply(308, location="https://{https}/")}, "redirected without end", "kubeflow_base"),
        ({"/": Reply(302, location="http://{http}/")}, "sent from https to http", "kubeflow_base"),
        (
            {"/": Reply(302, location="https://a:b@other.org/")},
            "another server, 'other.org'",
            "kubeflow_base",
        ),
    ],
)
def test_what_is_in_the_way_is_told_with_the_step(replies: dict[str, Reply], told: str, step: str) -> None:
    """And nothing of a query or a cookie, which would let somebody in."""
    trouble = seen(replies).trouble
    assert trouble is not None
    assert told in trouble.what
    assert trouble.step == step
    assert not trouble.theirs
    assert CANARY not in repr(trouble)


@pytest.mark.parametrize(
    ("reply", "told", "step"),
    [
        (Reply(403, "sign in"), "over plain HTTP is answered 403, and is not sent to https://", "ingress"),
        (Reply(308, location="https://other.org/"), "is not sent to https://", "ingress"),
        (Reply(404, NGINX.format("404")), "nginx has no Ingress", "ingress"),
        (Reply(0), "gets through to no pod of nginx", "load_balancer"),
    ],
)
def test_who_comes_over_http_is_sent_to_https(reply: Reply, told: str, step: str) -> None:
    """Or would log in unencrypted, or be lost."""
    trouble = seen({}, {"/oauth2/start": reply}).trouble
    assert trouble is not None
    assert told in trouble.what
    assert trouble.step == step


@pytest.mark.parametrize("path", ["/jupyter/", "/pipeline/"])
def test_what_is_open_to_anybody_is_told(path: str) -> None:
    """Also what is not the first page, and what opens to credentials that are none."""
    trouble = seen({path: Reply(200, "notebooks")}).trouble
    assert trouble is not None
    assert (trouble.what[:28], trouble.step) == ("Kubeflow is shown to anybody", "kubeflow_base")


def test_what_is_not_kubeflows_does_not_matter() -> None:
    """A cookie of the load balancer's or nginx's; and who has several ways to log in is asked for one."""
    other = {"/": replace(LOGIN["/"], cookie="route=1; Path=/")}
    assert seen(other).trouble is None
    assert (
        seen({"/dex/auth": Reply(200, '<a href="/dex/auth/local?x">Log in with Email</a>')}).trouble is None
    )


def test_what_leads_to_no_port_is_told() -> None:
    """It is not the hostname, whatever it is."""
    location = "https://kubeflow.example.org:99999/"
    trouble = seen({"/": Reply(302, location=location)}).trouble
    assert trouble is not None
    assert "leads to another server, 'kubeflow.example.org:99999'" in trouble.what
    trouble = seen({}, {"/oauth2/start": Reply(308, location=location)}).trouble
    assert trouble is not None
    assert "is not sent to https://" in trouble.what


def test_a_closed_port_of_http_is_told_as_that() -> None:
    """With its number; with Istio's gateway as the edge, it is the base that has the load balancer."""
    with serving() as edge, socket.create_server(("127.0.0.1", 0)) as gone:
        closed = gone.getsockname()[1]
        gone.close()
        there = replace(way(edge), ports={**edge.ports, "http": closed})
        for kind, step in (("nginx", "load_balancer"), ("istio", "kubeflow_base")):
            trouble = outside.look(replace(there, edge=kind)).trouble  # type: ignore[arg-type]
            assert trouble is not None
            assert trouble.what.startswith(f"127.0.0.1:{closed} refuses to connect")
            assert trouble.step == step


def test_cookies_go_with_the_setting_tls() -> None:
    """Secure ones over HTTPS; over HTTP, nobody would send a Secure one back."""
    insecure = {**LOGIN, "/oauth2/start": replace(LOGIN["/oauth2/start"], cookie=COOKIE)}
    trouble = seen(insecure).trouble
    assert trouble is not None
    assert "oauth2_proxy_kubeflow_csrf is not Secure" in trouble.what
    assert CANARY not in repr(trouble)
    assert seen({}, insecure, mode="off").trouble is None
    trouble = seen({}, LOGIN, mode="off").trouble
    assert trouble is not None
    assert "is Secure, and browsers do not send it back over HTTP" in trouble.what
    assert trouble.step == "kubeflow_base"
    trouble = seen({"/oauth2/start": Reply(200, FORM)}).trouble
    assert trouble is not None
    assert "sets no cookie" in trouble.what


def test_without_tls_nobody_is_sent_to_https() -> None:
    """That is what is left of another setting."""
    trouble = seen({}, {"/": Reply(308, location="https://{https}/")}, mode="off").trouble
    assert trouble is not None
    assert trouble.what == "/ is sent from http to https"
    assert trouble.step == "ingress"


@pytest.mark.parametrize(
    ("issuer", "name", "mode", "told"),
    [
        (FAKE, "ingress.local", "acme", "nginx presents its own fake certificate"),
        ("(STAGING) Ersatz Edamame E1", HOST, "acme", "(STAGING) Ersatz Edamame E1, Let's Encrypt's staging"),
        ("Somebody", HOST, "acme", "is of Somebody, and not of anybody that browsers trust"),
        ("Somebody", HOST, "files", "is of Somebody, and not of anybody that browsers trust"),
        ("Somebody", "other.example.org", "files", f"is for other.example.org, and not for {HOST}"),
        ("Some\nbody", HOST, "self-signed", "is of Some?body, and not of the platform's own CA"),
    ],
)
def test_a_certificate_that_is_not_to_be_trusted_is_named(
    issuer: str, name: str, mode: Any, told: str
) -> None:
    """And nothing is asked of who presents it."""
    authority = Authority.new(issuer, dns_names=[name])
    leaf = (authority.certificate, authority.private_key) if issuer == FAKE else None
    other = Authority.new("The platform's").certificate
    with serving(issuer=authority, name=name, leaf=leaf) as edge:
        trouble = outside.look(way(edge, mode=mode, authority=other if mode == "self-signed" else "")).trouble
    assert trouble is not None
    assert told in trouble.what
    assert trouble.step == ("certificate" if mode == "acme" else "ingress")
    assert edge.asked == []


def test_where_there_is_a_certificate_it_is_the_ingress_that_lacks_it() -> None:
    """And not the certificate, which is not to be thrown away for that."""
    fake = Authority.new(FAKE, dns_names=["ingress.local"])
    leaf = (fake.certificate, fake.private_key)
    with serving(issuer=fake, name="ingress.local", leaf=leaf) as edge:
        trouble = outside.look(way(edge, mode="acme", authority="", secret=leaf[0])).trouble
    assert trouble is not None
    assert (trouble.step, trouble.otherwise) == ("ingress", "")


def test_a_ca_of_ones_own_may_be_one_for_staging() -> None:
    """Only where Let's Encrypt was asked is it the staging server's."""
    authority = Authority.new("Our CA (staging)")
    leaf = authority.issue(HOST, dns_names=[HOST])
    with serving(issuer=authority, leaf=leaf) as edge:
        assert outside.look(way(edge, mode="files", authority="", secret=leaf[0])).trouble is None


@pytest.mark.parametrize("name", ["*.example.org", HOST.upper()])
def test_a_certificate_may_be_for_all_names_beside_the_hostname(name: str) -> None:
    """Or be written in capitals."""
    with serving(name=name) as edge:
        assert outside.look(way(edge)).trouble is None


def test_files_of_a_ca_that_browsers_do_not_know_are_no_error() -> None:
    """Whoever gave them may have told browsers; another certificate than that in the cluster is one."""
    authority = Authority.new("Our own CA")
    leaf = authority.issue(HOST, dns_names=[HOST])
    with serving(issuer=authority, leaf=leaf) as edge:
        sight = outside.look(way(edge, mode="files", authority="", secret=leaf[0]))
        assert sight.trouble is None
        assert sight.notes[0].startswith("browsers trust Our own CA, who issued the certificate, only if")
        other = authority.issue(HOST, dns_names=[HOST])[0]
        for secret in (other, "no certificate"):
            trouble = outside.look(way(edge, mode="files", authority="", secret=secret)).trouble
            assert trouble is not None
            assert trouble.step == "ingress"


@pytest.mark.parametrize(
    ("mode", "step", "first"),
    [("files", "ingress", "in the files of tls_certificate"), ("acme", "certificate", "")],
)
def test_the_dates_of_a_certificate_are_looked_at(mode: Any, step: str, first: str) -> None:
    """What ends soon is told; cert-manager renews its own long before."""
    with serving() as edge, closing(Outside(HOST, "127.0.0.1", edge.ports, trusting(edge.authority))) as by:
        presented, there = by.presented(), way(edge, mode=mode)
    assert presented.wrong == ""
    after = presented.ends + dt.timedelta(seconds=1)
    trouble = presenting.wrong(presented, there, after)
    assert trouble is not None
    assert f"ended on {presented.ends:%Y-%m-%d}" in trouble.what
    assert (trouble.step, first in trouble.first) == (step, True)
    trouble = presenting.wrong(presented, there, presented.begins - dt.timedelta(seconds=1))
    assert trouble is not None
    assert "begins on" in trouble.what
    days = {"files": 14, "acme": 7}[mode]
    soon = presented.ends - dt.timedelta(days=days)
    assert list(presenting.notes(presented, there, soon)) == []
    later = soon + dt.timedelta(hours=1)
    assert list(presenting.notes(presented, there, later)) == [f"the certificate ends in {days - 1} days"]


@pytest.mark.parametrize(
    ("edge", "secret", "step"),
    [("nginx", "", "load_balancer"), ("istio", "", "certificate"), ("istio", "x", "kubeflow_base")],
)
def test_who_speaks_no_tls_is_told_apart(edge: Any, secret: str, step: str) -> None:
    """By what is behind the load balancer, and by whether there is what it could present."""
    with serving() as there:
        ports = {"http": there.ports["http"], "https": there.ports["http"]}
        trouble = outside.look(
            replace(way(there, mode="acme", edge=edge, secret=secret), ports=ports)
        ).trouble
    assert trouble is not None
    assert trouble.what.startswith("TLS fails: ")
    assert trouble.step == step


def test_who_refuses_to_connect_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """From who lets nobody in, and from who does not answer."""
    monkeypatch.setattr(client, "_CONNECTING", 0.3)
    monkeypatch.setattr(client, "_ANSWERING", 0.3)
    with serving() as edge:
        there = way(edge)
    trouble = outside.look(there).trouble
    assert trouble is not None
    assert trouble.what.endswith("refuses to connect: no load balancer listens there")
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, closing(socket.socket()) as first:
        first.connect(full.getsockname())
        port = full.getsockname()[1]
        there = replace(there, ports={"http": port, "https": port})
        trouble = outside.look(there).trouble
        assert trouble is not None
        assert "no connection is made with 127.0.0.1" in trouble.what
        assert "a firewall is between, or the load balancer is not ready" in trouble.what
        assert (trouble.step, trouble.theirs) == ("load_balancer", False)
        trouble = outside.look(replace(there, sources=("192.0.2.0/24",))).trouble
        assert trouble is not None
        assert "load_balancer_sources lets in 192.0.2.0/24 only" in trouble.what
        assert trouble.theirs
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        there = replace(there, ports={"http": port, "https": port})
        for mode, told in (("self-signed", "TLS is not begun in time"), ("off", "no answer comes")):
            trouble = outside.look(replace(there, mode=mode)).trouble  # type: ignore[arg-type]
            assert trouble is not None
            assert told in trouble.what
        # Who has connected was let in, so that it is nobody's network.
        trouble = outside.look(replace(there, sources=("192.0.2.0/24",))).trouble
        assert trouble is not None
        assert not trouble.theirs
    trouble = outside.look(replace(there, address="nowhere.invalid")).trouble
    assert trouble is not None
    assert trouble.what == "make the record: nowhere.invalid is not found"
    assert (trouble.theirs, trouble.passes) == (True, True)
    trouble = outside.look(replace(there, address="nowhere.invalid", hostname="nowhere.invalid")).trouble
    assert trouble is not None
    assert not trouble.passes


def test_what_passes_is_waited_for_and_nothing_else() -> None:
    """With a word on what it is; what does not pass is told at once."""
    said: list[str] = []
    replies = {**LOGIN, "/": Reply(503, NGINX.format("503"))}

    def live(text: str) -> None:
        said.append(text)
        if len(said) > 1:
            replies["/"] = LOGIN["/"]

    with serving(replies) as edge:
        there = way(edge)
        assert outside.wait(there, patience=60, rehearsal=True, live=live).trouble is None
        assert said[0] == f"waiting 0 s for {there.url}: no pod of Istio's gateway is ready (503)"
        assert len(said) == 2
        replies["/"] = Reply(302, location="https://other.org/")
        sight = outside.wait(there, patience=60, rehearsal=True, live=live)
        assert sight.trouble is not None
        replies["/"] = Reply(503, NGINX.format("503"))
        sight = outside.wait(there, patience=0, rehearsal=True, live=live)
        assert sight.trouble is not None
    assert len(said) == 2
