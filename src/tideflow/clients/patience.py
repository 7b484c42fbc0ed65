"""How long DigitalOcean is asked again, and when: urllib3's ``Retry`` with the API's own rules.

urllib3 tells apart what cannot have been sent, which it tries again for every method, and what may have been
carried out, which it does not for a POST. What it does not know: 429 means that a request was not carried
out, whatever its method; the end of a limit can stand in a header of DigitalOcean's own; waiting has an end.
"""

from __future__ import annotations

import random
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

import urllib3
from typing_extensions import override
from urllib3.exceptions import MaxRetryError, ResponseError

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 120.0
"""Seconds from a request's first failure until it is no longer tried; a burst's limit lasts one minute."""

_DAY = 86_400.0


def told_to_wait(headers: Mapping[str, str]) -> float | None:
    """Return for how many seconds an answer asks to wait, None if it does not say.

    ``retry-after`` comes with a burst only. ``ratelimit-reset``, in seconds since 1970, is when the
    limit of an hour lets the next request through, provided that none remains.
    """
    after, reset = headers.get("retry-after", ""), headers.get("ratelimit-reset", "")
    if after.isdecimal():
        return min(float(after), _DAY)
    if headers.get("ratelimit-remaining") == "0" and reset.isdecimal():
        return min(max(0.0, float(reset) - time.time()), _DAY)
    return None


class Patience(urllib3.Retry):
    """Tries again until ``LONGEST`` would be over; ``since`` is when the request failed first."""

    since: float | None = None

    @override
    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        refused = status_code == HTTPStatus.TOO_MANY_REQUESTS
        return refused or super().is_retry(method, status_code, has_retry_after)

    @override
    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: urllib3.BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: Any = None,
    ) -> Self:
        following = super().increment(method, url, response, error, _pool, _stacktrace)
        following.since = time.monotonic() if self.since is None else self.since
        if time.monotonic() + following.pause(response) > following.since + LONGEST:
            raise MaxRetryError(_pool, url or "", error or ResponseError("it would take too long"))
        return following

    @override
    def sleep(self, response: urllib3.BaseHTTPResponse | None = None) -> None:
        # Not at the same moment as others who were told the same.
        time.sleep(self.pause(response) + random.uniform(0, self.backoff_jitter))  # noqa: S311 - no secret

    def pause(self, response: urllib3.BaseHTTPResponse | None) -> float:
        """Return how many seconds to wait: as the answer says, else longer each time."""
        told = told_to_wait(response.headers) if response is not None else None
        if told is not None:
            return told
        return min(self.backoff_max, self.backoff_factor * 2.0 ** (len(self.history) - 1))

    @property
    def may_have_happened(self) -> bool:
        """Whether one of the tries that failed may have been carried out all the same."""
        return any(
            not self._is_connection_error(past.error)
            if past.error is not None
            else past.status != HTTPStatus.TOO_MANY_REQUESTS
            for past in self.history
        )


PATIENCE = Patience(
    total=6,
    connect=4,  # without a network, nobody wants to wait for long
    other=0,  # TLS, which does not get better
    allowed_methods={"DELETE", "GET", "PUT"},
    status_forcelist={500, 502, 503, 504},
    backoff_factor=0.5,
    backoff_jitter=0.5,
    backoff_max=20,
    raise_on_status=False,
)
