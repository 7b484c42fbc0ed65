"""Logging in to Kubeflow over plain HTTP, as a browser does, with each answer looked at.

``base_url`` is where the gateway listens, such as ``http://127.0.0.1:27443``, and ``host`` the name that
people have for it, which programs need not resolve.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import requests
from requests.adapters import HTTPAdapter
from tests.integration.planes import eventually
from urllib3.exceptions import InsecureRequestWarning

if TYPE_CHECKING:
    from http.cookiejar import Cookie
    from pathlib import Path

CSRF = "oauth2_proxy_kubeflow_csrf"
SESSION = "oauth2_proxy_kubeflow"

_PATIENCE = 40.0  # seconds; nginx tries for 15 to reach what a policy keeps it from


class _Named(HTTPAdapter):
    """Asks for a host's certificate where an address is connected to."""

    def __init__(self, host: str) -> None:
        self._host = host
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Have every connection know the host."""
        super().init_poolmanager(*args, server_hostname=self._host, assert_hostname=self._host, **options)


class Visitor:
    """Somebody with a browser: asks for paths, follows nothing, and keeps cookies as a browser would."""

    def __init__(self, base_url: str, host: str, *, trusted: Path | None = None) -> None:
        """Over HTTPS, ``trusted`` is the file with the CA; without it certificates are not looked at."""
        parts = urlsplit(base_url)
        self.base_url = base_url.rstrip("/")
        self.authority = f"{host}:{parts.port}" if parts.port else host
        self.session = requests.Session()
        self.session.mount("https://", _Named(host))
        self.session.verify = str(trusted) if trusted else False
        self.session.trust_env = False
        self.session.headers["Host"] = self.authority

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Ask for a path."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InsecureRequestWarning)
            return self.session.request(
                method, f"{self.base_url}{path}", allow_redirects=False, timeout=_PATIENCE, **options
            )

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET a path."""
        return self.ask("GET", path, **options)

    def cookie(self, name: str) -> Cookie | None:
        """Return a cookie that it was given."""
        return next((found for found in self.session.cookies if found.name == name), None)


def start(visitor: Visitor) -> str:
    """Go as far as Dex's form, and return its path."""
    answer = visitor.get("/")
    assert answer.status_code == 403, _said(answer)
    assert "/oauth2/start" in answer.text, "it is not oauth2-proxy's sign-in page"
    assert visitor.get("/pipeline/apis/v2beta1/healthz").status_code == 401
    answer = visitor.get("/oauth2/start?rd=%2F")
    assert answer.status_code == 302, _said(answer)
    where = urlsplit(answer.headers["Location"])
    assert (where.scheme, where.netloc, where.path) == ("", "", "/dex/auth")
    asked = parse_qs(where.query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == ["/oauth2/callback"]
    assert "Max-Age=900" in answer.headers["Set-Cookie"]
    answer = visitor.get(answer.headers["Location"])
    assert answer.status_code == 302, _said(answer)
    assert answer.headers["Location"].startswith("/dex/auth/local?")
    answer = visitor.get(answer.headers["Location"])
    assert answer.status_code == 302, _said(answer)
    form = answer.headers["Location"]
    assert form.startswith("/dex/auth/local/login?back=&state=")
    answer = visitor.get(form)
    assert answer.status_code == 200, _said(answer)
    assert 'name="login"' in answer.text
    assert 'name="password"' in answer.text
    return form


def login(base_url: str, host: str, email: str, password: str, *, trusted: Path | None = None) -> Visitor:
    """Log in, with each step as it goes over the wire; returns who is in. Raises `AssertionError`."""
    visitor = Visitor(base_url, host, trusted=trusted)
    form = start(visitor)
    answer = visitor.ask("POST", form, data={"login": email, "password": password})
    assert answer.status_code == 303, _said(answer)
    assert answer.headers["Location"].startswith("/oauth2/callback?code=")
    csrf = visitor.cookie(CSRF)
    assert csrf is not None
    assert base_url.startswith("https:") or not csrf.secure, "over HTTP, a Secure cookie is not sent back"
    answer = visitor.get(answer.headers["Location"])
    assert answer.status_code == 302, _said(answer)
    assert answer.headers["Location"] == "/"
    assert visitor.cookie(CSRF) is None
    assert visitor.cookie(SESSION) is not None
    welcome(visitor, email)
    return visitor


def enter(base_url: str, host: str, email: str, password: str, *, trusted: Path | None = None) -> Visitor:
    """Log in, once what was restarted answers."""

    def attempt() -> Visitor | None:
        try:
            return login(base_url, host, email, password, trusted=trusted)
        except AssertionError:
            return None

    found = eventually(attempt)
    assert found is not None
    return found


def welcome(visitor: Visitor, email: str) -> dict[str, Any]:
    """See that somebody is in, and known to what is behind; returns what that got."""
    answer = visitor.get("/", headers={"Accept": "application/json"})
    assert answer.status_code == 200, _said(answer)
    told: dict[str, Any] = answer.json()
    headers = {name.lower(): value for name, value in told["headers"].items()}
    assert headers["kubeflow-userid"] == email
    assert headers["x-auth-request-email"] == email
    assert "authorization" in headers
    return told


def refused(base_url: str, host: str, email: str, password: str, *, trusted: Path | None = None) -> bool:
    """Tell whether Dex refuses a password, with the form once more."""
    visitor = Visitor(base_url, host, trusted=trusted)
    answer = visitor.ask("POST", start(visitor), data={"login": email, "password": password})
    assert answer.status_code in {303, 401}, _said(answer)
    return answer.status_code == 401 and 'name="password"' in answer.text


def _said(answer: requests.Response) -> str:
    return f"{answer.request.method} {answer.request.path_url}: {answer.status_code} {answer.text[:300]}"
