"""What keeps DigitalOcean's API from doing what it was asked, as an error of ours.

No text of requests or urllib3 is repeated, and no cause kept: they carry the request, and with it the token.
"""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import requests
from urllib3.exceptions import (
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from tideflow.clients.patience import told_to_wait
from tideflow.errors import DigitalOceanError

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST_MESSAGE = 400  # characters
_WHY = (
    # What connections fail by, in our words; the first that fits holds.
    (SSLError, "its certificate is not to be trusted, or it speaks no TLS"),
    (NameResolutionError, "its name cannot be resolved"),
    (NewConnectionError, "the connection was refused"),
    (ProtocolError, "the connection was cut"),
    (requests.exceptions.ChunkedEncodingError, "the connection was cut"),
)


def refusal(
    response: requests.Response, what: str, scopes: Sequence[str], *, token: str
) -> DigitalOceanError:
    """Translate an answer of 400 or more, whose body is ``{id, message, request_id?}`` as a rule.

    Whoever answers may quote the request, and with it the ``token``, which is left out.
    """

    def said(text: Any) -> str:
        return str(text or "").replace(token, "***")

    try:
        body = response.json()
    except ValueError:
        body = None
    body = body if isinstance(body, dict) else {}
    status, identity = response.status_code, said(body.get("id"))
    message = said(body.get("message") or response.reason or "no reason given")[:_LONGEST_MESSAGE]
    request_id = said(body.get("request_id"))
    asked = f" (request {request_id})" if request_id else ""
    wait = told_to_wait(response.headers)
    return DigitalOceanError(
        f"DigitalOcean answered {' '.join(filter(None, (str(status), identity)))} to {what}: "
        f"{message.rstrip('.')}{asked}",
        status=status,
        id=identity,
        request_id=request_id,
        retry_after=wait,
        unsure=status >= HTTPStatus.INTERNAL_SERVER_ERROR,
        hint=_hint(status, what, scopes, wait),
    )


def unanswered(error: Exception, what: str) -> DigitalOceanError:
    """Translate what requests raised in the place of an answer."""
    # What the last of the tries failed by, if there were several.
    reason = getattr(error.args[0] if error.args else None, "reason", None) or error
    if isinstance(error, requests.exceptions.InvalidHeader | UnicodeError):
        return DigitalOceanError(
            f"the token cannot be sent with {what}",
            hint="check DIGITALOCEAN_ACCESS_TOKEN: it has characters that no header can hold",
        )
    if isinstance(error, requests.Timeout) or isinstance(reason, ReadTimeoutError):
        return DigitalOceanError(
            f"DigitalOcean did not answer {what} in time",
            hint="try again",
            unsure=not isinstance(error, requests.ConnectTimeout),
        )
    why = next((why for kind, why in _WHY if isinstance(reason, kind)), type(reason).__name__)
    return DigitalOceanError(
        f"DigitalOcean cannot be reached for {what} ({why})",
        hint="check the network, and try again",
        unsure=not isinstance(reason, NewConnectionError),
    )


def unreadable(status: int, what: str) -> DigitalOceanError:
    """Return the error for a success that says something else than described."""
    return DigitalOceanError(
        f"DigitalOcean's answer to {what} is not the JSON that its API describes", status=status, unsure=True
    )


def _hint(status: int, what: str, scopes: Sequence[str], wait: float | None) -> str:
    if status == HTTPStatus.UNAUTHORIZED:
        return "check the token in DIGITALOCEAN_ACCESS_TOKEN: it may be wrong or revoked"
    if status == HTTPStatus.FORBIDDEN and scopes:
        needed = f"the scope{'s' if len(scopes) > 1 else ''} {' and '.join(scopes)}"
        return f"{what} needs {needed}: give the token that in the control panel, or use another token"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        limits = "a token may make 250 requests a minute, 5,000 an hour"
        if wait is None:
            return f"wait a while: {limits}"
        at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=wait)
        return f"run again after {at:%H:%M:%S} UTC, in {_duration(wait)}: {limits}"
    return ""


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes > 1 else f"{seconds:.0f} seconds"
