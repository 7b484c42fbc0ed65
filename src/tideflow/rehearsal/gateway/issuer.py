"""Dex, as far as logging in with a password goes: OpenID Connect's code flow, with its pages and errors.

Who logs in is asked by a form; the program that they log in to gets a code, and for that a token.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit

from multidict import CIMultiDict

from tideflow.rehearsal.gateway.messages import Answer, moved, page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tideflow.rehearsal.gateway.accounts import Accounts, Client, User
    from tideflow.rehearsal.gateway.keys import Keys
    from tideflow.rehearsal.gateway.messages import Request

_MOST = 1000  # logins that are under way; older ones are forgotten
_LONGEST_CODE = 60.0  # seconds until a code is no good any more; Dex's are good for longer
_CONNECTOR = "local"


@dataclass(frozen=True)
class _Login:
    """A login that is under way: what was asked for and, with a code, who it is."""

    asked: Mapping[str, str]
    since: float
    user: User | None = None


class Issuer:
    """Answers below the path of its URL."""

    def __init__(self, accounts: Accounts, keys: Keys) -> None:
        self.accounts = accounts
        self.keys = keys
        self._path = urlsplit(accounts.issuer).path
        self._logins: OrderedDict[str, _Login] = OrderedDict()
        self._codes: OrderedDict[str, _Login] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """Answer a request; takes a quarter of a second for a password."""
        path = request.path.removeprefix(self._path) if request.path.startswith(self._path) else ""
        answers = {
            "/.well-known/openid-configuration": self._discovery,
            "/keys": self._published,
            "/auth": self._auth,
            f"/auth/{_CONNECTOR}": self._begin,
            f"/auth/{_CONNECTOR}/login": self._login,
            "/token": self._token,
            "/userinfo": self._userinfo,
            "/healthz": self._health,
        }
        return answers[path](request) if path in answers else page(404, "404 page not found")

    def _discovery(self, _: Request) -> Answer:
        issuer = self.accounts.issuer
        return _json(
            200,
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/auth",
                "token_endpoint": f"{issuer}/token",
                "jwks_uri": f"{issuer}/keys",
                "userinfo_endpoint": f"{issuer}/userinfo",
                "grant_types_supported": ["authorization_code"],
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256", "plain"],
                "scopes_supported": ["openid", "email", "groups", "profile"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "claims_supported": ["iss", "sub", "aud", "iat", "exp", "email", "email_verified", "name"],
            },
        )

    def _published(self, _: Request) -> Answer:
        return _json(200, self.keys.public)

    def _health(self, _: Request) -> Answer:
        return page(200, "Health check passed")

    def _auth(self, request: Request) -> Answer:
        """Send people on to the only way there is to log in; what they ask for is looked at there."""
        return moved(302, f"{self._path}/auth/{_CONNECTOR}?{request.target.partition('?')[2]}")

    def _begin(self, request: Request) -> Answer:
        asked = _query(request)
        if refusal := self._refusal(asked):
            return refusal
        state = secrets.token_hex(16)
        self._keep(self._logins, state, _Login(asked, time.monotonic()))
        return moved(302, f"{self._path}/auth/{_CONNECTOR}/login?back=&state={state}")

    def _refusal(self, asked: Mapping[str, str]) -> Answer | None:
        client = self.accounts.clients.get(asked.get("client_id", ""))
        if client is None:
            return page(404, "Bad Request", f"Invalid client_id ({html.escape(asked.get('client_id', ''))}).")
        if asked.get("redirect_uri") not in client.redirects:
            return page(
                400,
                "Bad Request",
                f"Unregistered redirect_uri ({html.escape(asked.get('redirect_uri', ''))}).",
            )
        if asked.get("response_type") != "code":
            return page(400, "Bad Request", "No response_type that is supported.")
        return None

    def _login(self, request: Request) -> Answer:
        state = _query(request).get("state", "")
        with self._lock:
            login = self._logins.get(state)
        if login is None:
            return page(400, "Bad Request", "User session error.")
        if request.method != "POST":
            return _form(200)
        form = parse_qs(request.body.decode(errors="replace"), keep_blank_values=True)
        name, password = (form.get(field, [""])[0] for field in ("login", "password"))
        user = self.accounts.users.get(name.lower())
        if user is not None and not user.is_hashed_well:
            return page(500, "Internal Server Error", "Login error: the cost of the hash will not do.")
        if user is None or not user.has(password):
            return _form(401, name)
        code = secrets.token_hex(16)
        with self._lock:
            self._logins.pop(state, None)
        self._keep(self._codes, code, _Login(login.asked, time.monotonic(), user))
        uri = login.asked["redirect_uri"]
        back = urlencode({"code": code, "state": login.asked.get("state", "")})
        return moved(303, f"{uri}{'&' if '?' in uri else '?'}{back}")

    def _token(self, request: Request) -> Answer:
        form = dict(parse_qsl(request.body.decode(errors="replace")))
        client = self._client(request, form)
        if client is None:
            return _error(401, "invalid_client", "Invalid client credentials.")
        if form.get("grant_type") != "authorization_code":
            return _error(400, "unsupported_grant_type", "")
        with self._lock:
            login = self._codes.pop(form.get("code", ""), None)
        if (
            login is None
            or login.user is None
            or login.asked["client_id"] != client.id
            or time.monotonic() > login.since + _LONGEST_CODE
        ):
            return _error(400, "invalid_grant", "Invalid or expired code parameter.")
        if login.asked["redirect_uri"] != form.get("redirect_uri"):
            return _error(400, "invalid_request", "redirect_uri did not match URI from initial request.")
        if not _is_proven(login.asked, form.get("code_verifier", "")):
            return _error(400, "invalid_grant", "Invalid code_verifier.")
        access = self._signed(client, login)
        hashed = hashlib.sha256(access.encode()).digest()[:16]
        identity = self._signed(client, login, at_hash=_encoded(hashed))
        lifetime = self.accounts.lifetime - 1
        granted = {
            "access_token": access,
            "token_type": "bearer",
            "expires_in": lifetime,
            "id_token": identity,
        }
        return _json(200, granted)

    def _userinfo(self, request: Request) -> Answer:
        claims = self.keys.claims(request.headers.get("Authorization", "").removeprefix("Bearer "))
        return _json(200, claims) if claims else _error(403, "access_denied", "Invalid bearer token.")

    def _client(self, request: Request, form: Mapping[str, str]) -> Client | None:
        name, secret = form.get("client_id", ""), form.get("client_secret", "")
        kind, _, encoded = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                name, _, secret = base64.b64decode(encoded).decode().partition(":")
            except ValueError:
                return None
            name, secret = unquote_plus(name), unquote_plus(secret)
        client = self.accounts.clients.get(name)
        is_right = client is not None and secrets.compare_digest(client.secret.encode(), secret.encode())
        return client if is_right else None

    def _signed(self, client: Client, login: _Login, **more: Any) -> str:
        assert login.user is not None  # noqa: S101 - for the types
        now = int(time.time())
        claims = {
            "iss": self.accounts.issuer,
            "sub": _subject(login.user.id),
            "aud": client.id,
            "iat": now,
            "exp": now + self.accounts.lifetime,
            "email": login.user.email,
            "email_verified": True,
            "name": login.user.name,
            **({"nonce": login.asked["nonce"]} if "nonce" in login.asked else {}),
            **more,
        }
        return self.keys.signed(claims)

    def _keep(self, where: OrderedDict[str, _Login], key: str, login: _Login) -> None:
        with self._lock:
            where[key] = login
            while len(where) > _MOST:
                where.popitem(last=False)


def _is_proven(asked: Mapping[str, str], verifier: str) -> bool:
    """Tell whether who brings the code is who asked for it (RFC 7636)."""
    challenge = asked.get("code_challenge", "")
    if not challenge:
        return not verifier
    if asked.get("code_challenge_method", "plain") == "S256":
        verifier = _encoded(hashlib.sha256(verifier.encode()).digest())
    return secrets.compare_digest(challenge.encode(), verifier.encode())


def _subject(user: str) -> str:
    """Return how Dex names a user: a protobuf message of the id and the connector's."""
    parts = (user.encode(), _CONNECTOR.encode())
    return _encoded(b"".join(bytes((8 * at + 2, len(part))) + part for at, part in enumerate(parts, 1)))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _query(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.target.partition("?")[2], keep_blank_values=True))


def _form(status: int, name: str = "") -> Answer:
    """Return the form; it goes to the address that it came from."""
    wrong = "<p>Invalid Email Address and password.</p>" if status != 200 else ""  # noqa: PLR2004 - HTTP's
    fields = (
        f'<input name="login" required placeholder="email address" value="{html.escape(name)}">'
        '<input name="password" type="password" required placeholder="password">'
    )
    return page(
        status, "Log in to Your Account", f'{wrong}<form method="post">{fields}<button>Login</button></form>'
    )


def _json(status: int, body: Any) -> Answer:
    return Answer(status, CIMultiDict({"Content-Type": "application/json"}), json.dumps(body).encode())


def _error(status: int, error: str, description: str) -> Answer:
    return _json(status, {"error": error, "error_description": description})
