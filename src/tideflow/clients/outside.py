"""What a stranger gets at an address: a connection, a certificate, answers; each asked for as a browser does.

The address is given, so that it makes no difference what DNS tells of the name by now. Proxies, CAs and
passwords that this machine is set up with are left out: strangers do not have them.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import requests
from cryptography import x509
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from typing_extensions import override

from tideflow.errors import UnreachedError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from urllib.parse import SplitResult

_CONNECTING = 10.0  # seconds
_ANSWERING = 40.0  # seconds; nginx tries for 15 to reach what a policy keeps it from
_MOST = 64 * 1024  # bytes of a page; those that are looked at are smaller
_PART = 8 * 1024
_CONNECTION = (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError)


@dataclass(frozen=True)
class Presented:
    """A server's certificate, and ``wrong``: why it is not to be trusted, as OpenSSL says it, or nothing."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    begins: dt.datetime
    ends: dt.datetime
    der: bytes = field(repr=False)
    wrong: str = ""


@dataclass(frozen=True)
class Answer:
    """An answer: where it sends on to, the first part of its page, and which of its cookies are Secure."""

    status: int
    location: str = field(repr=False)
    page: str = field(repr=False)
    cookies: Mapping[str, bool]


class Outside:
    """Somebody who has not been there, and who keeps cookies as a browser would.

    ``ports`` are those of the schemes ``http`` and ``https``, and ``trusted`` decides whose certificates are
    good; without it, nothing is asked over HTTPS.
    """

    def __init__(
        self,
        hostname: str,
        address: str,
        ports: Mapping[str, int],
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        self._hostname = hostname
        self._address = address
        self._ports = ports
        self._trusted = trusted
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["User-Agent"] = "Mozilla/5.0 (compatible; tideflow)"
        if trusted is not None:
            self._session.mount("https://", _Named(hostname, trusted))

    def close(self) -> None:
        """End the connections that there are."""
        self._session.close()

    def connect(self, scheme: str) -> None:
        """Connect, and no more. Raises ``UnreachedError``."""
        self._socket(scheme).close()

    def presented(self) -> Presented:
        """Return the certificate for the hostname, whoever trusts it. Raises ``UnreachedError``."""
        assert self._trusted is not None, "without TLS there is no certificate"  # noqa: S101
        wrong = ""
        try:
            der = self._handshake(self._trusted)
        except ssl.SSLCertVerificationError as error:
            wrong = error.verify_message or "it is not to be trusted"
            blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
            der = self._handshake(blind)
        return _read(der, wrong)

    def get(self, url: SplitResult, headers: Mapping[str, str] | None = None) -> Answer:
        """Return what a URL of the hostname is answered, and follow nothing. Raises ``UnreachedError``."""
        host = f"[{self._address}]" if ":" in self._address else self._address
        at = f"{host}:{self._ports[url.scheme]}"
        try:
            with self._session.get(
                url._replace(netloc=at).geturl(),
                headers={"Host": url.netloc, **(headers or {})},
                timeout=(_CONNECTING, _ANSWERING),
                allow_redirects=False,
                stream=True,
            ) as found:
                page = _first(found).decode(errors="replace")
                location = found.headers.get("Location", "")
                cookies = {str(cookie.name): bool(cookie.secure) for cookie in found.cookies}
                return Answer(found.status_code, location, page, cookies)
        except requests.exceptions.ConnectTimeout:
            raise UnreachedError("no connection is made in time", kind="timed out") from None
        except requests.exceptions.Timeout:
            raise UnreachedError(f"no answer comes in {_ANSWERING:.0f} s", kind="silent") from None
        except requests.exceptions.SSLError:
            raise UnreachedError("TLS fails", kind="no TLS") from None
        except _CONNECTION:
            raise UnreachedError("the connection ends without an answer", kind="cut") from None
        except (requests.RequestException, OSError, ValueError):
            raise UnreachedError("what comes back is not HTTP", kind="cut") from None

    def _socket(self, scheme: str) -> socket.socket:
        port = self._ports[scheme]
        try:
            return socket.create_connection((self._address, port), timeout=_CONNECTING)
        except socket.gaierror:
            raise UnreachedError(f"{self._address} is not found", kind="not found") from None
        except TimeoutError:
            why = f"no connection is made with {self._address}:{port} in {_CONNECTING:.0f} s"
            raise UnreachedError(why, kind="timed out") from None
        except ConnectionRefusedError:
            raise UnreachedError(f"{self._address}:{port} refuses to connect", kind="refused") from None
        except OSError as error:
            why = f"{self._address}:{port} cannot be reached: {error.strerror or type(error).__name__}"
            raise UnreachedError(why, kind="timed out") from None

    def _handshake(self, context: ssl.SSLContext) -> bytes:
        """Return the certificate that is presented. Raises ``SSLCertVerificationError`` if it is not good."""
        try:
            with (
                self._socket("https") as plain,
                context.wrap_socket(plain, server_hostname=self._hostname) as encrypted,
            ):
                return encrypted.getpeercert(binary_form=True) or b""
        except ssl.SSLCertVerificationError:
            raise
        except ssl.SSLError as error:
            raise UnreachedError(f"TLS fails: {error.reason or 'it was ended'}", kind="no TLS") from None
        except TimeoutError:
            raise UnreachedError("TLS is not begun in time", kind="silent") from None
        except OSError:
            raise UnreachedError("the connection ends as TLS begins", kind="no TLS") from None


def trusting(authorities: str = "", *, world: bool = False) -> ssl.SSLContext:
    """Return what trusts these certificates (PEM), of a CA or not, and the ``world``'s CAs, as browsers do.

    A text that is no certificate is trusted by nobody.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if world:
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    with contextlib.suppress(ssl.SSLError, ValueError, TypeError):
        context.load_verify_locations(cadata=authorities)
    return context


class _Named(HTTPAdapter):
    """Wants the hostname's certificate where an address is connected to, of one whom the context trusts."""

    def __init__(self, hostname: str, trusted: ssl.SSLContext) -> None:
        self._hostname = hostname
        self._trusted = trusted
        super().__init__()

    @override
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        options |= {"server_hostname": self._hostname, "assert_hostname": self._hostname}
        super().init_poolmanager(*args, **options, ssl_context=self._trusted)

    @override
    def cert_verify(self, *_: Any) -> None:
        """Add no authorities to the context's."""


def _first(answer: requests.Response) -> bytes:
    """Return the beginning of a page; who sends it in drops is not waited for."""
    page, end = b"", time.monotonic() + _ANSWERING
    for part in answer.iter_content(_PART):
        page += part
        if len(page) >= _MOST or time.monotonic() > end:
            break
    return page


def _read(der: bytes, wrong: str) -> Presented:
    try:
        found = x509.load_der_x509_certificate(der)
    except ValueError:
        raise UnreachedError("what is presented is no certificate", kind="no TLS") from None
    try:
        extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        names = []
    return Presented(
        _named(found.subject),
        _named(found.issuer),
        tuple(map(_printable, names)),
        found.not_valid_before_utc,
        found.not_valid_after_utc,
        der,
        wrong,
    )


def _named(name: x509.Name) -> str:
    """Return a name's organization and common name, on one line whatever is in it."""
    kinds = (x509.NameOID.ORGANIZATION_NAME, x509.NameOID.COMMON_NAME)
    found = [str(part.value) for kind in kinds for part in name.get_attributes_for_oid(kind)]
    return _printable(", ".join(found)) or "somebody without a name"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
