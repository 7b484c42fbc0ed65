"""From the hostname to Kubeflow's login page, as a browser follows it.

Of what is followed only paths are told: queries carry what is for the browser alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from tideflow.operations.blaming import AWAY, FORBIDDEN, MISSING, OPEN, SUCCESS, blame
from tideflow.operations.ways import BASE, Trouble

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from tideflow.clients.outside import Answer, Outside
    from tideflow.operations.ways import Way

_SIGN_IN = "/oauth2/start"
"""Where the button of oauth2-proxy's own page leads; to all that asks for a session it answers with that."""

_COOKIES = "oauth2_proxy"
_BACK = "?rd=%2F"
_CLOSED: tuple[tuple[str, dict[str, str]], ...] = (
    ("/", {"Authorization": "Basic eDp4"}),
    ("/jupyter/", {}),
    ("/pipeline/", {}),
)
"""What strangers may try, with headers; the first is no credential of anybody's."""
_MOST = 10  # redirects; a login has three
_SENT_ON = {301, 302, 303, 307, 308}


def to_login(outside: Outside, way: Way) -> Trouble | None:
    """Follow from the first page to the form that asks for a password; return what is in the way."""
    walk = _Walk(outside, way)
    try:
        answer = walk.to("/")
        if answer.status == FORBIDDEN and _SIGN_IN in answer.page:
            answer = walk.to(_SIGN_IN + _BACK)
    except _Stopped as stopped:
        return stopped.trouble
    if not (_is_form(answer) or _is_choice(answer, walk.path)):
        return blame(answer, walk.path, way)
    return _exposed(walk.cookies, way) or _open(outside, way)


def to_https(outside: Outside, way: Way) -> Trouble | None:
    """Return what is wrong with how a browser that comes over plain HTTP is sent to HTTPS.

    That is where a login begins: for other paths, Envoy asks oauth2-proxy before it sends anybody anywhere.
    """
    outside.connect("http")  # what is in the way of that is told best by itself
    answer = outside.get(urlsplit(f"http://{way.netloc('http')}{_SIGN_IN}"))
    if answer.status in _SENT_ON and answer.location.startswith(f"{way.url}/"):
        return None
    if answer.status in {MISSING, *AWAY}:
        return blame(answer, _SIGN_IN, way)
    return Trouble(
        f"who comes over plain HTTP is answered {answer.status}, and is not sent to {way.url}",
        "ingress" if way.edge == "nginx" else BASE,
        passes=True,
    )


class _Stopped(Exception):  # noqa: N818 - it is what is told
    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.what)
        self.trouble = trouble


class _Walk:
    """One browser on its way; ``cookies`` are those it got, and whether each is Secure."""

    def __init__(self, outside: Outside, way: Way) -> None:
        self._outside = outside
        self._way = way
        self.cookies: dict[str, bool] = {}
        self.path = "/"

    def to(self, target: str) -> Answer:
        """Return the first answer that sends nowhere. Raises ``_Stopped``."""
        url = urlsplit(self._way.url + target)
        seen: set[str] = set()
        while True:
            self.path = url.path
            answer = self._outside.get(url)
            self.cookies |= answer.cookies
            if answer.status not in _SENT_ON or not answer.location:
                return answer
            seen.add(url.geturl())
            url = self._next(url, answer.location)
            if url.geturl() in seen or len(seen) >= _MOST:
                raise _Stopped(self._loop())

    def _next(self, url: SplitResult, location: str) -> SplitResult:
        way = self._way
        found = urlsplit(urljoin(url.geturl(), location))
        if found.scheme not in way.ports or found.netloc.lower() != way.netloc(found.scheme):
            there = found.netloc.rpartition("@")[2] or found.scheme
            raise _Stopped(Trouble(f"{url.path} leads to another server, {there[:100]!r}", BASE))
        if found.scheme != way.scheme:
            step = BASE if way.scheme == "https" else "ingress"
            raise _Stopped(
                Trouble(f"{url.path} is sent from {way.scheme} to {found.scheme}", step, passes=True)
            )
        return found._replace(path=found.path or "/", fragment="")

    def _loop(self) -> Trouble:
        return Trouble(
            f"{self.path} is redirected without end: something before the cluster ends TLS and talks HTTP to "
            f"it, or FORCE_HTTPS of oauth2-proxy does not go with the setting tls, {self._way.mode}",
            BASE,
            passes=True,
            otherwise="if there is a proxy or a CDN before the load balancer, have it talk HTTPS to that",
        )


def _is_form(answer: Answer) -> bool:
    fields = ('name="login"', 'name="password"')
    return answer.status == SUCCESS and all(field in answer.page for field in fields)


def _open(outside: Outside, way: Way) -> Trouble | None:
    """Return that somebody who has not logged in gets to see more than the login.

    oauth2-proxy is not asked about who comes with credentials of their own: these have to be tokens then.
    """
    for path, headers in _CLOSED:
        if outside.get(urlsplit(way.url + path), headers).status == SUCCESS:
            return OPEN
    return None


def _is_choice(answer: Answer, path: str) -> bool:
    """Tell whether it is Dex's page that asks with which of several accounts to log in."""
    return answer.status == SUCCESS and path == "/dex/auth" and "/dex/auth/" in answer.page


def _exposed(cookies: dict[str, bool], way: Way) -> Trouble | None:
    """Return what is wrong with the cookies of oauth2-proxy's; that of a session is set as these are."""
    own = {name: is_secure for name, is_secure in cookies.items() if name.startswith(_COOKIES)}
    if not own:
        return Trouble("oauth2-proxy sets no cookie to know a browser again by", BASE)
    wrong = sorted(name for name, is_secure in own.items() if is_secure != (way.scheme == "https"))
    if not wrong:
        return None
    what = (
        "is not Secure, and browsers send it unencrypted too"
        if way.scheme == "https"
        else "is Secure, and browsers do not send it back over HTTP, so that nobody gets in"
    )
    return Trouble(
        f"the cookie {wrong[0][:100]} {what}: FORCE_HTTPS of oauth2-proxy does not go with the setting tls, "
        f"{way.mode}",
        BASE,
        passes=True,
        otherwise="if that does not help, restart what has been told otherwise: kubectl rollout restart -n "
        "oauth2-proxy deployment/oauth2-proxy",
    )
