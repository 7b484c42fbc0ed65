"""DigitalOcean's API: the account, its Kubernetes clusters, and 1-click applications.

python-digitalocean knows no Kubernetes, so this builds on its ``BaseAPI``: the session, the end point and the
environment variables are its own. Requests are made here, since it has no time-outs, forgets statuses, raises
IndexError for an error body of another shape, and logs its headers, the token among them.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import requests
from digitalocean.baseapi import BaseAPI, EndPointError

from tideflow.clients.provided import Account, Cluster, Credentials, Options
from tideflow.errors import DigitalOceanError, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tideflow.clients.provided import NodePool

_PER_PAGE = 200  # the most that the API gives at once
_LONGEST_MESSAGE = 400  # characters


class DigitalOcean(BaseAPI):  # type: ignore[misc] # the library has no types
    """The API, with one account's token; ``timeout`` is in seconds, for each answer.

    Every method raises ``DigitalOceanError``.
    """

    def __init__(self, token: str, *, endpoint: str | None = None, timeout: float = 30.0) -> None:
        try:
            super().__init__(token=token, **({"end_point": endpoint} if endpoint else {}))
        except EndPointError:
            raise SettingError(
                "DIGITALOCEAN_END_POINT is not a URL", hint="unset it, or set it to https://…/v2/"
            ) from None
        self._timeout = timeout

    def __repr__(self) -> str:
        """Name the end point, and not the token."""
        return f"DigitalOcean({self.end_point!r})"

    def account(self) -> Account:
        """Return whose token it is."""
        return Account.from_response(self._call("GET", "account")["account"])

    def options(self) -> Options:
        """Return what clusters may be made of."""
        return Options.from_response(self._call("GET", "kubernetes/options")["options"])

    def clusters(self) -> list[Cluster]:
        """Return all clusters of the account."""
        return [
            Cluster.from_response(found)
            for page in self._pages("kubernetes/clusters")
            for found in page["kubernetes_clusters"] or ()
        ]

    def cluster(self, cluster_id: str) -> Cluster:
        """Return one cluster."""
        found = self._call("GET", f"kubernetes/clusters/{cluster_id}")
        return Cluster.from_response(found["kubernetes_cluster"])

    def create_cluster(
        self, *, name: str, region: str, version: str, size: str, count: int, tags: Sequence[str] = ()
    ) -> Cluster:
        """Have a cluster made, with one pool of ``count`` nodes of a ``size``; it takes minutes to run."""
        body = {
            "name": name,
            "region": region,
            "version": version,
            "ha": False,  # from 1.36 on the default is true, and costs extra
            "tags": list(tags),
            "node_pools": [{"name": f"{name}-pool", "size": size, "count": count}],
        }
        found = self._call("POST", "kubernetes/clusters", body)
        return Cluster.from_response(found["kubernetes_cluster"])

    def resize_node_pool(self, cluster_id: str, pool: NodePool, *, count: int) -> None:
        """Have a pool get or lose nodes until there are ``count``; new ones take minutes to run."""
        body = {"name": pool.name, "count": count}
        self._call("PUT", f"kubernetes/clusters/{cluster_id}/node_pools/{pool.id}", body)

    def delete_cluster(self, cluster_id: str) -> None:
        """Have a cluster deleted; volumes and load balancers it made stay, and are billed."""
        self._call("DELETE", f"kubernetes/clusters/{cluster_id}")

    def credentials(self, cluster_id: str, *, expiry_seconds: int) -> Credentials:
        """Return credentials of a cluster; each call makes new ones."""
        path = f"kubernetes/clusters/{cluster_id}/credentials?expiry_seconds={expiry_seconds}"
        return Credentials.from_response(self._call("GET", path))

    def one_clicks(self) -> list[str]:
        """Return the slugs of the 1-click applications for clusters."""
        found = self._call("GET", "1-clicks?type=kubernetes")["1_clicks"]
        return [offer["slug"] for offer in found if offer.get("type") == "kubernetes"]

    def install_one_clicks(self, cluster_id: str, slugs: Sequence[str]) -> None:
        """Have 1-click applications installed; that it has begun is all that the API tells."""
        body = {"addon_slugs": list(slugs), "cluster_uuid": cluster_id}
        self._call("POST", "1-clicks/kubernetes", body)

    def _pages(self, path: str) -> Iterator[Any]:
        number = 1
        while True:
            page = self._call("GET", f"{path}?page={number}&per_page={_PER_PAGE}")
            yield page
            if not ((page.get("links") or {}).get("pages") or {}).get("next"):
                return
            number += 1

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON answered; every request of this client is made here."""
        what = f"{method} /v2/{path.partition('?')[0]}"
        try:
            response = self._session.request(
                method,
                f"{self.end_point}{path}",
                json=body,
                headers={"Authorization": f"Bearer {self.token}"},
                timeout=self._timeout,
                allow_redirects=False,
            )
        except requests.Timeout:
            raise DigitalOceanError(
                f"DigitalOcean did not answer {what} within {self._timeout:.0f} seconds", hint="try again"
            ) from None
        except (requests.RequestException, ValueError) as error:
            # Its text and its cause carry the request, and with it the token.
            hint = "check the network, and try again"
            if isinstance(error, requests.exceptions.InvalidHeader | UnicodeError):
                hint = "check the token: it has characters that no header can hold"
            raise DigitalOceanError(
                f"DigitalOcean cannot be reached for {what} ({type(error).__name__})", hint=hint
            ) from None
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            raise _refusal(response, what)
        if response.status_code == HTTPStatus.NO_CONTENT or not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise DigitalOceanError(
                f"DigitalOcean's answer to {what} is not JSON", status=response.status_code
            ) from None


_HINTS = {
    HTTPStatus.UNAUTHORIZED: "check the token in DIGITALOCEAN_ACCESS_TOKEN: it may be wrong or revoked",
    HTTPStatus.FORBIDDEN: "the token lacks a scope that this call needs: give it one in the control panel",
    HTTPStatus.TOO_MANY_REQUESTS: "wait a while: a token may make 250 requests a minute, 5,000 an hour",
}


def _refusal(response: requests.Response, what: str) -> DigitalOceanError:
    """Translate an answer of 400 or more, whose body is ``{id, message, request_id?}`` as a rule."""
    try:
        body = response.json()
    except ValueError:
        body = None
    body = body if isinstance(body, dict) else {}
    status, identity = response.status_code, str(body.get("id") or "")
    message = str(body.get("message") or response.reason or "no reason given")[:_LONGEST_MESSAGE]
    request_id = str(body.get("request_id") or "")
    asked = f" (request {request_id})" if request_id else ""
    after = response.headers.get("retry-after", "")
    return DigitalOceanError(
        f"DigitalOcean answered {status} {identity} to {what}: {message.rstrip('.')}{asked}".replace(
            "  ", " "
        ),
        status=status,
        id=identity,
        request_id=request_id,
        retry_after=float(after) if after.isdigit() else None,
        hint=_HINTS.get(HTTPStatus(status), "") if status in set(HTTPStatus) else "",
    )
