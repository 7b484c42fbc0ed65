"""What an API server answers when it refuses, as an error of ours.

An answer may quote what was sent, so of a Secret that was sent only the names of fields are repeated, and
nothing of the credentials.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tideflow.errors import Cause, KubernetesError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import urllib3

_LONGEST_MESSAGE = 600  # characters; an API server can quote a whole schema back
_UNAUTHORIZED = 401
_FORBIDDEN = 403
_SENDING = frozenset({"PATCH", "POST", "PUT"})
_OF_SECRETS = re.compile(r"/api/v1/namespaces/[^/]+/secrets(/|$)")
# Answers whose words are about who asks, when, and for what, and never about what an object holds.
_QUOTES_NOTHING = frozenset({_UNAUTHORIZED, 404, 409, 429})
# What server-side apply says of an object that its type has no place for; it says so as 500.
_MISFIT = re.compile(
    r"failed to (?:create typed patch object|convert new object) \([^)]*\)[^:]*: (?P<why>.*)", re.DOTALL
)
_MISFIT_VALUE = re.compile(r", got &.*")  # how the server's program holds the value
_TYPE_ONLY = re.compile(r"there is no such field|expected [a-z ()]+")
_FIELD = re.compile(r"(?P<field>\.\S+): (?P<why>.*)")
_LACKED = re.compile(r'(?:\S+(?: "[^"]*")? is )?forbidden: User "[^"]*" cannot ')
"""What the API server says of a right that is not there; quotas and policies answer 403 as well."""

_WEBHOOK_AWAY = "Internal error occurred: failed calling webhook"


MISFIT = "Misfit"
"""The reason in the error of an apply whose object has a field or a value that its type does not know."""


def refusal(
    response: urllib3.BaseHTTPResponse, method: str, path: str, *, credentials: Iterable[str] = ()
) -> KubernetesError:
    """Translate an answer of 400 or more, which is a Status object unless something stood between.

    ``credentials`` are what was sent in headers to say who asks, such as ``Bearer …``.
    """
    data = response.data
    for secret in filter(None, (sent.rpartition(" ")[2].encode() for sent in credentials)):
        data = data.replace(secret, b"***")
    try:
        status = json.loads(data)
        if not isinstance(status, dict):
            status = {}
    except ValueError:
        status = {}
    causes = _causes(status.get("details"))
    message = str(status.get("message") or data[:200].decode(errors="replace").strip())
    reason = str(status.get("reason") or "")
    if method == "PATCH" and (misfit := _MISFIT.search(message)):
        reason = MISFIT
        causes = tuple(_misfits(misfit["why"]))
        message = "; ".join(f"{cause.field}: {cause.message}" for cause in causes) or misfit["why"]
    if len(message) > _LONGEST_MESSAGE:
        # What is wrong stands at the end of it, after the value that is.
        message = f"{message[: _LONGEST_MESSAGE // 2]} … {message[-_LONGEST_MESSAGE // 2 :]}"
    lacking = response.status == _FORBIDDEN and bool(_LACKED.match(message))
    quotes = response.status not in _QUOTES_NOTHING and not (message.startswith(_WEBHOOK_AWAY) or lacking)
    if reason == MISFIT and causes:
        quotes = not all(_TYPE_ONLY.fullmatch(cause.message) for cause in causes)
    if quotes and method in _SENDING and _OF_SECRETS.match(path):
        message = _without_values(reason, causes)
    after = response.headers.get("retry-after", "")
    hint = ""
    if response.status == _UNAUTHORIZED:
        hint = "the credentials in the kubeconfig are wrong or have expired"
    if lacking:
        hint = "the user of the kubeconfig lacks that right: docs/applying.md lists what is needed"
    return KubernetesError(
        f"{method} {path} was answered {response.status}: {message}",
        status=response.status,
        reason=reason,
        causes=causes,
        retry_after=float(after) if after.isdigit() else None,
        hint=hint,
    )


def _without_values(reason: str, causes: Iterable[Cause]) -> str:
    """Say why a Secret was refused in none of the server's own words: they quote values it cannot take."""
    fields = ", ".join(sorted({cause.field for cause in causes if cause.field}))
    about = f"{reason or 'refused'}{f', because of {fields}' if fields else ''}"
    return f"{about} (the server's words are left out, since they may quote the Secret's data)"


def _misfits(why: str) -> Iterator[Cause]:
    """Yield what does not fit, field by field, from one line or from several below the word ``errors:``."""
    for line in why.splitlines():
        if found := _FIELD.fullmatch(_MISFIT_VALUE.sub("", line.strip())):
            what = found["why"].replace("field not declared in schema", "there is no such field")
            yield Cause(MISFIT, found["field"], what)


def _causes(details: Any) -> tuple[Cause, ...]:
    """Return the causes in the details of a Status object, none if they are of another shape."""
    found = details.get("causes") if isinstance(details, dict) else None
    return tuple(
        Cause(*(str(cause.get(part) or "") for part in ("reason", "field", "message")))
        for cause in found or ()
        if isinstance(cause, dict)
    )
