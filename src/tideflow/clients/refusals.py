"""What an API server answers when it refuses, as an error of ours.

An answer may quote what was sent, so of a Secret that was sent only the names of fields are repeated.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tideflow.errors import Cause, KubernetesError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import urllib3

_LONGEST_MESSAGE = 600  # characters; an API server can quote a whole schema back
_UNAUTHORIZED = 401
_SENDING = frozenset({"PATCH", "POST", "PUT"})
_OF_SECRETS = re.compile(r"/api/v1/namespaces/[^/]+/secrets(/|$)")
# Answers whose words are about who asks, when, and for what, and never about what an object holds.
_QUOTES_NOTHING = frozenset({_UNAUTHORIZED, 404, 409, 429})
_WEBHOOK_AWAY = "Internal error occurred: failed calling webhook"


def refusal(response: urllib3.BaseHTTPResponse, method: str, path: str) -> KubernetesError:
    """Translate an answer of 400 or more, which is a Status object unless something stood between."""
    try:
        status = json.loads(response.data)
        if not isinstance(status, dict):
            status = {}
    except ValueError:
        status = {}
    causes = _causes(status.get("details"))
    message = str(status.get("message") or response.data[:200].decode(errors="replace").strip())
    if len(message) > _LONGEST_MESSAGE:
        # What is wrong stands at the end of it, after the value that is.
        message = f"{message[: _LONGEST_MESSAGE // 2]} … {message[-_LONGEST_MESSAGE // 2 :]}"
    quotes = method in _SENDING and _OF_SECRETS.match(path)
    if quotes and response.status not in _QUOTES_NOTHING and not message.startswith(_WEBHOOK_AWAY):
        message = _without_values(status, causes)
    after = response.headers.get("retry-after", "")
    hint = ""
    if response.status == _UNAUTHORIZED:
        hint = "the credentials in the kubeconfig are wrong or have expired"
    return KubernetesError(
        f"{method} {path} was answered {response.status}: {message}",
        status=response.status,
        reason=str(status.get("reason") or ""),
        causes=causes,
        retry_after=float(after) if after.isdigit() else None,
        hint=hint,
    )


def _without_values(status: Mapping[str, Any], causes: Iterable[Cause]) -> str:
    """Say why a Secret was refused in none of the server's own words: they quote values it cannot take."""
    fields = ", ".join(sorted({cause.field for cause in causes if cause.field}))
    about = f", because of {fields}" if fields else ""
    reason = status.get("reason") or "refused"
    return f"{reason}{about} (the server's words are left out, since they may quote the Secret's data)"


def _causes(details: Any) -> tuple[Cause, ...]:
    """Return the causes in the details of a Status object, none if they are of another shape."""
    found = details.get("causes") if isinstance(details, dict) else None
    return tuple(
        Cause(*(str(cause.get(part) or "") for part in ("reason", "field", "message")))
        for cause in found or ()
        if isinstance(cause, dict)
    )
