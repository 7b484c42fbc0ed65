"""Small servers that stand where a load balancer would, and answer each path as they are told."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.unit.clients.serving import LoopbackServer, QuietHandler

from tideflow.rehearsal.certificates import Authority, server_context

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HOST = "kubeflow.example.org"
CANARY = "canary-of-a-query-or-a-cookie"
COOKIE = f"oauth2_proxy_kubeflow_csrf={CANARY}; Path=/; Max-Age=900; HttpOnly"
FORM = '<form method="post"><input name="login"><input name="password" type="password"></form>'


@dataclass(frozen=True)
class Reply:
    """What is answered; ``{https}`` and ``{http}`` in a location stand for the hostname with its ports."""

    status: int = 200
    page: str = ""
    location: str = ""
    cookie: str = ""


LOGIN = {
    "/": Reply(403, '<form action="/oauth2/start">'),
    "/oauth2/start": Reply(302, location=f"/dex/auth?state={CANARY}", cookie=f"{COOKIE}; Secure"),
    "/dex/auth": Reply(302, location=f"/dex/auth/local/login?state={CANARY}"),
    "/dex/auth/local/login": Reply(200, FORM),
}
"""Kubeflow's login, as it goes over the wire."""

TO_HTTPS = {"/oauth2/start": Reply(308, location="https://{https}/oauth2/start")}


@dataclass
class Edge:
    """Where they listen, and what was asked for: scheme, path and host."""

    ports: Mapping[str, int]
    authority: str
    asked: list[tuple[str, str, str]] = field(default_factory=list)


@contextmanager
def serving(
    https: Mapping[str, Reply] = LOGIN,
    http: Mapping[str, Reply] = TO_HTTPS,
    *,
    name: str = HOST,
    issuer: Authority | None = None,
    leaf: tuple[str, str] | None = None,
) -> Iterator[Edge]:
    """Serve until the block ends, with a certificate of the issuer's for the name, or with another leaf."""
    authority = issuer or Authority.new("A CA of the tests")
    context = server_context(*(leaf or authority.issue(name, dns_names=[name])))
    ports: dict[str, int] = {}
    edge = Edge(ports, authority.certificate)

    def handler(scheme: str, replies: Mapping[str, Reply]) -> type[QuietHandler]:
        class Handler(QuietHandler):
            def do_GET(self) -> None:  # noqa: N802 - the library's name
                path = self.path.partition("?")[0]
                edge.asked.append((scheme, path, self.headers["Host"]))
                reply = replies.get(path, Reply(404, "<hr><center>nginx</center>"))
                if not reply.status:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                if reply.location:
                    named = {each: f"{HOST}:{port}" for each, port in ports.items()}
                    self.send_header("Location", reply.location.format(**named))
                if reply.cookie:
                    self.send_header("Set-Cookie", reply.cookie)
                page = reply.page.encode()
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

        return Handler

    with ExitStack() as stack:
        for scheme, replies in (("https", https), ("http", http)):
            server = LoopbackServer(handler(scheme, replies))
            if scheme == "https":
                server.socket = context.wrap_socket(
                    server.socket, server_side=True, do_handshake_on_connect=False
                )
            ports[scheme] = server.server_port
            stack.enter_context(server.serving())
        yield edge
