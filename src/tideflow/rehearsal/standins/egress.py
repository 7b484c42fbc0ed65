"""The way from the API server into the cluster: a Unix socket that webhook calls come through.

The API server asks it to CONNECT to the address of a ready pod, which it has looked up itself, and then
speaks TLS to the server name of a Service. Here the stand-in of that Service answers, with a certificate of
the CA that whoever serves the webhook in reality would have used: a wrong CA bundle fails, as it does there.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import http.server
import json
import logging
import socketserver
import ssl
import threading
from typing import TYPE_CHECKING, Any, cast

from tideflow.rehearsal.certificates import server_context
from tideflow.rehearsal.gateway.places import Places
from tideflow.rehearsal.standins import admission, issuing, metrics

if TYPE_CHECKING:
    from pathlib import Path
    from socket import socket

    from tideflow.rehearsal.certificates import Authority
    from tideflow.rehearsal.standins.world import World

_LOG = logging.getLogger(__name__)
_PATIENCE = 10.0  # seconds; the API server waits as long for a webhook
_LONGEST_WAIT = 40.0  # seconds; the API server waits for 30 at most
_LONGEST_REQUEST = 8_000  # bytes up to the end of the request's head
_KUBELET = "10250"


class Egress(socketserver.ThreadingUnixStreamServer):
    """Listens where the API server sends its calls into the cluster."""

    request_queue_size = 256  # with fewer, the API server sees "resource temporarily unavailable"
    daemon_threads = True

    def __init__(self, socket_path: Path, world: World, authority: Authority) -> None:
        socket_path.unlink(missing_ok=True)
        super().__init__(str(socket_path), _Tunnel)
        self.world = world
        self.places = Places(world)
        self._authority = authority
        self._contexts: dict[tuple[str, str], ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def is_pod(self, address: str) -> bool:
        """Tell whether a pod that is ready has this address."""
        return any(
            address in endpoint["addresses"] and (endpoint.get("conditions") or {}).get("ready") is not False
            for found in self.world.all("discovery.k8s.io", "EndpointSlice")
            for endpoint in found.get("endpoints") or ()
        )

    def context(self, server_name: str) -> ssl.SSLContext:
        """Return what presents the certificate of a Service, such as ``istiod.istio-system.svc``."""
        certificate, key = self._mounted(server_name) or ("", "")
        with self._lock:
            found = self._contexts.get((server_name, certificate))
            if found is None:
                if not certificate:
                    pems = self._authority.issue(server_name[:64], dns_names=[server_name])
                else:
                    pems = (certificate, key)
                found = self._contexts[server_name, certificate] = server_context(*pems)
            return found

    def _mounted(self, server_name: str) -> tuple[str, str] | None:
        """Return certificate and key of the Secret that the Service's pods have mounted, if they have one."""
        service, _, namespace = server_name.removesuffix(".svc").partition(".")
        if (namespace, service) == (issuing.NAMESPACE, "cert-manager-webhook"):
            return self._signed_by(namespace, issuing.WEBHOOK_SECRET, server_name)
        if (namespace, service) == ("ingress-nginx", "ingress-nginx-controller-admission"):
            data = (self.world.get("", "Secret", namespace, "ingress-nginx-admission") or {}).get(
                "data"
            ) or {}
            return (_decoded(data["cert"]), _decoded(data["key"])) if data else None
        for certificate in self.world.all("cert-manager.io", "Certificate"):
            if server_name in (certificate["spec"].get("dnsNames") or ()):
                secret = self.world.get(
                    "", "Secret", certificate["metadata"]["namespace"], certificate["spec"]["secretName"]
                )
                data = (secret or {}).get("data") or {}
                if "tls.crt" in data and "tls.key" in data:
                    return _decoded(data["tls.crt"]), _decoded(data["tls.key"])
        return None

    def _signed_by(self, namespace: str, name: str, server_name: str) -> tuple[str, str] | None:
        """Return a certificate that the CA in a Secret has signed, made once for each CA."""
        data = (self.world.get("", "Secret", namespace, name) or {}).get("data") or {}
        if "tls.crt" not in data:
            return None
        return admission.certificate_of(_decoded(data["tls.crt"]), _decoded(data["tls.key"]), server_name)


class _Tunnel(socketserver.BaseRequestHandler):
    """One CONNECT: what is asked for, then TLS, then one request."""

    server: Egress
    request: socket

    def handle(self) -> None:
        """Serve the call, or say why not."""
        self.request.settimeout(_PATIENCE)
        with contextlib.suppress(OSError):
            target = self._connect()
            host, _, port = target.rpartition(":")
            if self.server.is_pod(host):
                if port.isdecimal() and not self.server.places.admits_outside(host, int(port)):
                    self._keep_waiting()
                    return
                self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                self._serve()
            elif port == _KUBELET:
                self._refuse(501, "a rehearsal has no kubelets: there are no logs and no shells")
            else:
                self._refuse(502, f"no ready pod has the address {host}")

    def _connect(self) -> str:
        """Return the address that is asked for."""
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _LONGEST_REQUEST:
            received = self.request.recv(4096)
            if not received:
                break
            head += received
        words = head.split(b"\r\n", 1)[0].split()
        return words[1].decode() if len(words) == 3 and words[0] == b"CONNECT" else ":"  # noqa: PLR2004 - HTTP

    def _keep_waiting(self) -> None:
        """Say nothing, as a network policy does, until whoever waits has had enough."""
        self.request.settimeout(_LONGEST_WAIT)
        self.request.recv(1)

    def _refuse(self, status: int, why: str) -> None:
        # The API server passes the first line on to whoever asked, and nothing after it.
        self.request.sendall(f"HTTP/1.1 {status} {why}\r\nContent-Length: 0\r\n\r\n".encode())

    def _serve(self) -> None:
        asked_for = ""

        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            nonlocal asked_for
            asked_for = name or ""
            connection.context = self.server.context(asked_for)

        chooser = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        chooser.sni_callback = cast("Any", choose)
        try:
            with chooser.wrap_socket(self.request, server_side=True) as secure:
                _Webhook(secure, self.server.world, asked_for)
        except ssl.SSLError as error:
            # The API server does not trust the certificate: its CA bundle is another's.
            _LOG.info("%s: %s", asked_for, error.reason)


class _Webhook(http.server.BaseHTTPRequestHandler):
    """One call of a webhook. Connections are not kept: on a kept one, pods that are gone would answer."""

    def __init__(self, connection: ssl.SSLSocket, world: World, server_name: str) -> None:
        self._world = world
        self._server_name = server_name
        super().__init__(connection, ("", 0), cast("Any", None))

    def do_POST(self) -> None:
        """Answer an AdmissionReview or a ConversionReview."""
        review = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        self._answer(http.client.OK, admission.answer(self._world, *self._service(), review))

    def do_GET(self) -> None:
        """Answer for the aggregated API of metrics-server; nothing else of the cluster is asked so."""
        found = metrics.answer(self._world, self.path) if self._service() == metrics.SERVICE else None
        self._answer(http.client.OK if found is not None else http.client.NOT_FOUND, found or {})

    def _service(self) -> tuple[str, str]:
        """Return namespace and name of the Service that is meant."""
        service, _, namespace = self._server_name.removesuffix(".svc").partition(".")
        return namespace, service

    def _answer(self, status: int, answered: dict[str, Any]) -> None:
        body = json.dumps(answered).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: there are hundreds of calls."""


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()
