"""Requests of DigitalOcean's API.

python-digitalocean knows no Kubernetes, so this builds on its ``BaseAPI``: the session, the end point and the
environment variables are its own. Requests are made here, since it has no time-outs, forgets statuses, raises
IndexError for an error body of another shape, and logs its headers, the token among them.
"""

from __future__ import annotations

import ipaddress
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import requests
from digitalocean.baseapi import BaseAPI, EndPointError
from requests.adapters import HTTPAdapter

from tideflow.clients.declined import refusal, unanswered, unreadable
from tideflow.clients.patience import PATIENCE
from tideflow.errors import DigitalOceanError, SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Answer = TypeVar("Answer")
Seen = TypeVar("Seen")

LOOKS_AFTER = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between looks for what a request has made that was not answered; lists may be behind."""

PER_PAGE = 200
"""The most that the API gives at once."""

_CONNECT_TIMEOUT = 10.0  # seconds
_TRIES = 3  # of what must not be made twice
_TLS = "set it to https://…/v2/"


class Requesting(BaseAPI):  # type: ignore[misc] # the library has no types
    """One account's token, and where it is used."""

    def __init__(
        self,
        token: str,
        *,
        endpoint: str | None = None,
        timeout: float = 30.0,
        looks_after: Sequence[float] = LOOKS_AFTER,
    ) -> None:
        try:
            super().__init__(token=token, **({"end_point": endpoint} if endpoint else {}))
            _refuse_in_clear(self.end_point)
        except (EndPointError, ValueError):
            raise SettingError("DIGITALOCEAN_END_POINT is not a URL", hint=f"unset it, or {_TLS}") from None
        self._looks_after = looks_after
        self._timeout = (min(_CONNECT_TIMEOUT, timeout), timeout)
        self._impatient = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=PATIENCE))
            self._impatient.mount(scheme, HTTPAdapter(max_retries=PATIENCE.new(total=0)))

    def __repr__(self) -> str:
        """Name the end point, and not the token."""
        return f"DigitalOcean({self.end_point!r})"

    def _call(
        self,
        method: str,
        path: str,
        read: Callable[[Any], Answer],
        scopes: Sequence[str],
        body: Any = None,
        *,
        once: bool = False,
    ) -> Answer:
        """Return what is read from the JSON answered; every request of this client is made here.

        ``scopes`` are those that the description of the API says the token needs for the call. What is to be
        sent ``once`` is not sent again, whatever becomes of it.
        """
        session = self._impatient if once else self._session
        what = f"{method} /v2/{path.partition('?')[0]}"
        cut = False
        try:
            try:
                response = self._send(session, method, path, body)
            except requests.exceptions.ChunkedEncodingError:
                # Cut in its midst: urllib3 has handed it over by then, and tries no more.
                if once or method not in (PATIENCE.allowed_methods or ()):
                    raise
                cut = True
                response = self._send(session, method, path, body)
        except (requests.RequestException, ValueError) as error:
            raise unanswered(error, what) from None
        status = response.status_code
        lost = cut or response.raw.retries.may_have_happened
        if method == "DELETE" and status == HTTPStatus.NOT_FOUND and lost:
            return read(None)  # an earlier try has deleted it, and its answer was lost
        if status >= HTTPStatus.BAD_REQUEST:
            raise refusal(response, what, scopes, token=self.token)
        try:
            return read(response.json() if response.content else None)
        except (AttributeError, LookupError, TypeError, ValueError):
            raise unreadable(status, what) from None

    def _listed(self, path: str, kind: str, read: Callable[[Any], Answer], scope: str) -> list[Answer]:
        """Return what all pages of a list have under ``kind``; ``path`` may have a query."""

        def page(found: Any) -> tuple[list[Answer], bool]:
            more = ((found.get("links") or {}).get("pages") or {}).get("next")
            return [read(thing) for thing in found[kind] or ()], bool(more)

        things: list[Answer] = []
        more, number = True, 1
        while more:
            here = f"{path}{'&' if '?' in path else '?'}page={number}&per_page={PER_PAGE}"
            found, more = self._call("GET", here, page, [scope])
            things += found
            number += 1
        return things

    def _once(
        self,
        ask: Callable[[], Answer],
        look: Callable[[], Seen],
        made: Callable[[Seen], Answer | None],
        hint: str = "",
    ) -> Answer:
        """Ask for what must not be made twice, and again only if several looks do not show it.

        The ``hint`` is what to do when it is not known in the end.
        """
        lost: DigitalOceanError | None = None
        for _ in range(_TRIES):
            try:
                return ask()
            except DigitalOceanError as error:
                # A refusal is final, unless what a lost request has made is the reason for it.
                if not (error.unsure or lost):
                    raise
                error.hint = hint or error.hint
                lost = error
            for pause in self._looks_after:
                time.sleep(pause)
                try:
                    seen = look()
                except DigitalOceanError:
                    raise lost from None
                if (found := made(seen)) is not None:
                    return found
            if not lost.unsure:
                break
        assert lost is not None, "each time round it returns, raises or is lost"  # noqa: S101
        raise lost

    def _delete(self, path: str, scope: str) -> None:
        """Delete what is gone afterwards, whether it was there or not."""
        try:
            self._call("DELETE", path, nothing, [scope])
        except DigitalOceanError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def _send(self, session: requests.Session, method: str, path: str, body: Any) -> Any:
        """Return requests' response, which has what urllib3 knows of the tries before."""
        return session.request(
            method,
            f"{self.end_point.rstrip('/')}/{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.token}"},
            auth=lambda request: request,  # else a .netrc would replace the token
            timeout=self._timeout,
            allow_redirects=False,
        )


def _refuse_in_clear(endpoint: str) -> None:
    """Raise ``SettingError`` if the token would leave this machine without TLS; ``ValueError`` for no URL."""
    at = urlsplit(endpoint)
    host = at.hostname or ""
    if at.scheme not in {"http", "https"} or not host:
        raise ValueError
    if at.scheme == "http" and not _is_here(host):
        raise SettingError(f"DIGITALOCEAN_END_POINT would send the token in clear to {host}", hint=_TLS)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def nothing(_: Any) -> None:
    """Want nothing of an answer but that it is a success."""
