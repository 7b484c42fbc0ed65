"""A Kubernetes API server, spoken to in raw JSON.

The kubernetes package reads the kubeconfig and opens the connections; its generated models, which cost more
time than the server takes to answer (kubernetes-client/python#1921), are left aside.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

import urllib3
import yaml
from kubernetes import client as upstream
from kubernetes import config as upstream_config

from tideflow import __version__
from tideflow.clients.refusals import refusal
from tideflow.clients.resources import DISCOVERY, Resources, away, from_discovery
from tideflow.clients.streams import Watch, decoded
from tideflow.errors import KubernetesError, SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tideflow.clients.resources import Resource

JSON = "application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Asks a LIST for metadata only: a tenth of the size, and no Secret's data on the wire."""
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""Asks for the metadata of one object: a write of a definition is otherwise answered with all of it."""
APPLY_PATCH = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

USER_AGENT = f"tideflow/{__version__}"

_UNREADABLE = (
    upstream_config.ConfigException,
    yaml.YAMLError,
    AttributeError,
    KeyError,
    OSError,
    TypeError,
    ValueError,
)
"""What the kubernetes package lets through for one or the other damaged kubeconfig."""

_UNAUTHORIZED = 401
# Reading once more does no harm; writes are tried again by who knows what they are for.
_READS = urllib3.Retry(
    total=5,
    allowed_methods={"GET"},
    status_forcelist={429, 500, 502, 503, 504},
    backoff_factor=0.2,
    backoff_jitter=0.2,
    backoff_max=5,
    raise_on_status=False,
)
_WHY = (
    (urllib3.exceptions.SSLError, "its certificate is not the one the kubeconfig expects"),
    (urllib3.exceptions.NameResolutionError, "its name cannot be resolved"),
    # A kind of ConnectTimeoutError, of all things.
    (urllib3.exceptions.NewConnectionError, "the connection was refused or cut"),
    (urllib3.exceptions.ProtocolError, "the connection was refused or cut"),
    (urllib3.exceptions.TimeoutError, "no answer in time"),
)
"""What connections fail by, in our words; the first that fits holds."""

_TIMEOUT = 60.0  # seconds; the API server itself gives up on a request after 60
_CONNECT_TIMEOUT = 10.0  # seconds


class Kubernetes:
    """One API server over a pool of connections; safe to use from several threads.

    ``renew`` is called when the server does not accept the credentials, or no longer does, and returns a
    configuration with new ones; whatever was refused is then asked again, once. Every method raises
    ``KubernetesError``: with the status and reason of the server's answer, or with status 0 when there was no
    answer.
    """

    def __init__(
        self,
        configuration: upstream.Configuration,
        *,
        connections: int = 16,
        renew: Callable[[], upstream.Configuration] | None = None,
    ) -> None:
        configuration.connection_pool_maxsize = connections
        configuration.retries = None
        self.host: str = configuration.host.rstrip("/")
        self._configuration = configuration
        self._renew = renew
        self._renewing = threading.Lock()
        self._renewed = False
        self._accepted: Mapping[str, str] = {}
        self._pool: urllib3.PoolManager = upstream.rest.RESTClientObject(configuration).pool_manager
        self._core: tuple[Resource, ...] = ()
        self._resources: Resources | None = None

    def __repr__(self) -> str:
        """Name the server, and nothing of its credentials."""
        return f"Kubernetes({self.host!r})"

    @classmethod
    def from_kubeconfig(
        cls,
        path: Path,
        *,
        context: str | None = None,
        connections: int = 16,
        renew: Callable[[], None] | None = None,
    ) -> Self:
        """Return the cluster of a kubeconfig's context, the current one unless named.

        ``renew`` writes the file anew, with credentials that hold again. Raises ``SettingError`` when the
        file cannot be read or has no such context.
        """

        def renewed() -> upstream.Configuration:
            if renew is not None:
                renew()
            return _configuration(path, context)

        return cls(_configuration(path, context), connections=connections, renew=renewed if renew else None)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: float = _TIMEOUT,
    ) -> Any:
        """Return the JSON answered; ``timeout`` is in seconds, for each read."""
        response = self._send(
            method, path, query=query, body=body, content_type=content_type, accept=accept, timeout=timeout
        )
        return decoded(response.data, f"{method} {path}")

    def get(self, path: str, *, query: Mapping[str, str] | None = None, accept: str = JSON) -> Any:
        """Return the object, or whatever else is at the path."""
        return self.request("GET", path, query=query, accept=accept)

    def text(self, path: str, *, query: Mapping[str, str] | None = None, timeout: float = _TIMEOUT) -> str:
        """Return the text at the path, such as a log; a refusal is final, for its node may be gone."""
        response = self._send("GET", path, query=query, accept="*/*", timeout=timeout, retries=False)
        return response.data.decode(errors="replace")

    def post(self, path: str, body: Any, *, query: Mapping[str, str] | None = None) -> Any:
        """Create an object in the collection at the path."""
        return self.request("POST", path, body=body, query=query)

    def put(self, path: str, body: Any, *, query: Mapping[str, str] | None = None) -> Any:
        """Replace the object at the path."""
        return self.request("PUT", path, body=body, query=query)

    def delete(self, path: str, body: Any = None, *, query: Mapping[str, str] | None = None) -> Any:
        """Delete the object at the path; ``body`` may be DeleteOptions, such as preconditions."""
        return self.request("DELETE", path, body=body, query=query)

    def patch(
        self,
        path: str,
        body: Any,
        *,
        content_type: str = MERGE_PATCH,
        query: Mapping[str, str] | None = None,
    ) -> Any:
        """Change the object at the path."""
        return self.request("PATCH", path, body=body, content_type=content_type, query=query)

    def apply(
        self,
        path: str,
        obj: Any,
        *,
        field_manager: str,
        force: bool = True,
        dry_run: bool = False,
        accept: str = JSON,
    ) -> Any:
        """Apply an object server-side (KEP-555); JSON is YAML, so JSON is what is sent."""
        query = {"fieldManager": field_manager, "force": "true" if force else "false"}
        if dry_run:
            query["dryRun"] = "All"
        return self.request("PATCH", path, body=obj, content_type=APPLY_PATCH, query=query, accept=accept)

    def pages(
        self, path: str, *, accept: str = JSON, limit: int = 500, query: Mapping[str, str] | None = None
    ) -> Iterator[Any]:
        """Yield the list at the path in pieces of at most ``limit`` objects, one request for each."""
        asked = {**(query or {}), "limit": str(limit)}
        while True:
            page = self.get(path, query=asked, accept=accept)
            yield page
            token = page["metadata"].get("continue")
            if not token:
                return
            asked["continue"] = token

    def watch(
        self,
        path: str,
        *,
        resource_version: str,
        accept: str = JSON,
        timeout_seconds: int = 300,
        silent_seconds: float | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Watch:
        """Open a watch on the collection at the path, from a list's resourceVersion on, with bookmarks.

        The server ends it after ``timeout_seconds``; whoever iterates then opens the next. It counts as
        broken when nothing comes for ``silent_seconds``; a server sends a bookmark about every minute.
        """
        asked = {
            **(query or {}),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_seconds),
        }
        response = self._send(
            "GET",
            path,
            query=asked,
            accept=accept,
            timeout=silent_seconds or timeout_seconds + _TIMEOUT,
            stream=True,
        )
        return Watch(response, path)

    def resources(self, *, refresh: bool = False) -> Resources:
        """Return the types the server has; they are read once, and again only to ``refresh``."""
        if not self._core:
            self._core = tuple(from_discovery(self.get("/api", accept=DISCOVERY)))  # no definition adds to it
        if self._resources is None or refresh:
            answer = self.get("/apis", accept=DISCOVERY)
            self._resources = Resources([*self._core, *from_discovery(answer)], away=set(away(answer)))
        return self._resources

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: float,
        stream: bool = False,
        retries: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        """Return the answer if it is a success."""
        headers = {"accept": accept, "user-agent": USER_AGENT}
        data = None
        if body is not None:
            headers["content-type"] = content_type
            data = json.dumps(body, separators=(",", ":")).encode()
        url = f"{self.host}{path}?{urlencode(query)}" if query else self.host + path

        def ask(credentials: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
            return self._pool.request(
                method,
                url,
                body=data,
                headers={**headers, **credentials},
                timeout=urllib3.Timeout(connect=_CONNECT_TIMEOUT, read=timeout),
                retries=_READS if retries and not stream else False,
                preload_content=not stream,
            )

        try:
            credentials = self._credentials()
            response = ask(credentials)
            if response.status == _UNAUTHORIZED and self._has_renewed(credentials):
                response.drain_conn()
                credentials = self._credentials()
                response = ask(credentials)
            if response.status != _UNAUTHORIZED:
                self._accepted = credentials
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(method, path, error) from None
        if response.status >= 400:  # noqa: PLR2004 - HTTP's own border between success and failure
            raise refusal(response, method, path, credentials=credentials.values())
        return response

    def _credentials(self) -> dict[str, str]:
        """Return the headers that say who asks; anew each time, since a kubeconfig may name a program."""
        return {
            str(setting["key"]): str(setting["value"])  # type: ignore[index]
            for setting in self._configuration.auth_settings().values()
        }

    def _has_renewed(self, refused: Mapping[str, str]) -> bool:
        """Tell whether there are other credentials by now than those that were refused."""
        with self._renewing:
            # New ones that were never accepted are refused for another reason than their age.
            aged = not self._renewed or self._accepted == refused
            if self._renew is not None and aged and self._credentials() == refused:
                self._configuration = self._renew()
                self._renewed = True
            return self._credentials() != refused

    def _unreachable(self, method: str, path: str, error: Exception) -> KubernetesError:
        """Translate a failed connection; urllib3's own text repeats the URL and an object's address."""
        if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason is not None:
            return self._unreachable(method, path, error.reason)  # what the last of the tries failed by
        why = next((why for kind, why in _WHY if isinstance(error, kind)), type(error).__name__)
        return KubernetesError(
            f"the Kubernetes API server {self.host} cannot be reached for {method} {path}: {why}",
            reason="Unreachable",
            hint="check that the cluster runs, and its address in the kubeconfig",
        )


def _why_unreadable(error: Exception) -> str:
    """Say what is wrong with a kubeconfig, without a word of what is in it."""
    if isinstance(error, upstream_config.ConfigException):
        return "it is not there, or lacks a part, such as the context, its cluster or its user"
    if isinstance(error, yaml.YAMLError):
        return "it is no YAML"
    return f"a part of it is not as it should be ({type(error).__name__})"


def _configuration(path: Path, context: str | None) -> upstream.Configuration:
    """Return what a kubeconfig says; raises ``SettingError``."""
    configuration = upstream.Configuration()
    try:
        upstream_config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=str(path),
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
    except _UNREADABLE as error:
        # The cause is left out: it may quote the file.
        which = f"context {context} of the kubeconfig {path}" if context else f"the kubeconfig {path}"
        raise SettingError(
            f"{which} is not usable: {_why_unreadable(error)}",
            hint=f"check it with: KUBECONFIG={path} kubectl config get-contexts",
        ) from None
    return configuration
