"""What pods answer: oauth2-proxy and the issuer as they do, Kubeflow Pipelines in small part as its API does.

All others answer with a page that says who they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import json
from typing import TYPE_CHECKING

import aiohttp
from multidict import CIMultiDict

from tideflow.rehearsal.control_plane import AUTH_PROXY
from tideflow.rehearsal.gateway import pipelines, programs
from tideflow.rehearsal.gateway.authorization import Facts, about, allows
from tideflow.rehearsal.gateway.messages import Answer, NoConnectionError, page, text

if TYPE_CHECKING:
    from tideflow.rehearsal.gateway.firewall import Party
    from tideflow.rehearsal.gateway.messages import Request
    from tideflow.rehearsal.gateway.places import Backend, Place, Places
    from tideflow.rehearsal.gateway.programs import Programs
    from tideflow.rehearsal.standins.world import World

POLICIES = ("security.istio.io", "AuthorizationPolicy")

_PATIENCE = aiohttp.ClientTimeout(total=60)
_TRIES = 30
_PAUSE = 0.1  # seconds
_PRIVATE = {"authorization", "cookie", "proxy-authorization"}
_HOPS = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "upgrade",
    "proxy-authorization",
    "proxy-connection",
    "te",
}
"""Headers that are about one connection, and do not go on."""


class Workloads:
    """All pods that requests are sent to."""

    def __init__(self, world: World, places: Places, running: Programs) -> None:
        self._world = world
        self._places = places
        self._programs = running

    async def answer(self, request: Request, place: Place, *, source: Party, patience: float) -> Answer:
        """Have a ready pod behind a Service answer.

        Raises `NoConnectionError`: at once, or after ``patience`` seconds if no NetworkPolicy lets it pass.
        """
        backend = await self.reached(place, source=source, patience=patience)
        if backend.pod.in_mesh:
            facts = Facts(request, backend.port, source)
            if not allows(about(self._policies(), backend.pod), facts):
                return text(403, "RBAC: access denied")
        program = self._programs.which(backend.pod.namespace, backend.pod.name)
        if program == programs.DEX:
            issuer = self._programs.issuer
            if issuer is None:
                raise NoConnectionError("refused")
            return await asyncio.to_thread(issuer.answer, request)
        if program == programs.AUTH_PROXY:
            return await self._ask_proxy(request)
        if (place.namespace, place.name) == pipelines.API:
            return await asyncio.to_thread(pipelines.answer, self._world.cluster, request)
        if (place.namespace, place.name) == pipelines.WEB_APP and (onward := pipelines.passed_on(request)):
            return await self._ask_pipelines(onward, source=backend.pod, patience=patience)
        return _answer(request, place)

    async def reached(self, place: Place, *, source: Party, patience: float) -> Backend:
        """Return a ready pod that can be reached."""
        if not place.backends:
            raise NoConnectionError("nothing ready")
        for backend in place.backends:
            if self._places.reaches(source, backend):
                return backend
        await asyncio.sleep(patience)
        raise NoConnectionError("timed out")

    def _policies(self) -> list[dict[str, object]]:
        return self._world.all(*POLICIES)

    async def _ask_pipelines(self, request: Request, *, source: Party, patience: float) -> Answer:
        """Have the API of Kubeflow Pipelines answer its web app."""
        place = self._places.find(*pipelines.API, pipelines.API_PORT)
        if place is not None:
            with contextlib.suppress(NoConnectionError):
                return await self.answer(request, place, source=source, patience=patience)
        return text(504, "Error occurred while trying to proxy to the API of Kubeflow Pipelines")

    async def _ask_proxy(self, request: Request) -> Answer:
        """Have oauth2-proxy answer; one that is being replaced is waited for, as others would be there."""
        for _ in range(_TRIES):
            try:
                return await self._ask_process(request)
            except (aiohttp.ClientConnectorError, FileNotFoundError):
                await asyncio.sleep(_PAUSE)
            except (aiohttp.ClientError, OSError) as error:
                raise NoConnectionError("refused") from error
        raise NoConnectionError("refused")

    async def _ask_process(self, request: Request) -> Answer:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(self._programs.socket)),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=_PATIENCE,
            ) as session,
            session.request(
                request.method,
                f"http://{AUTH_PROXY}{request.target}",
                headers=forwarded(request.headers),
                data=request.body or None,
                allow_redirects=False,
            ) as answer,
        ):
            return Answer(answer.status, forwarded(CIMultiDict(answer.headers)), await answer.read())


def forwarded(headers: CIMultiDict[str]) -> CIMultiDict[str]:
    """Return headers without those that are about one connection."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HOPS)


def _answer(request: Request, place: Place) -> Answer:
    """Say which Service it is and what it got; of secrets, only that they came."""
    service = f"{place.name}.{place.namespace}"
    got = {
        name: f"({len(value)} characters)" if name.lower() in _PRIVATE else value
        for name, value in request.headers.items()
    }
    if "/apis/" in request.path or "application/json" in request.headers.get("Accept", ""):
        body = {"service": service, "method": request.method, "path": request.target, "headers": got}
        return Answer(200, CIMultiDict({"Content-Type": "application/json"}), json.dumps(body).encode())
    rows = "".join(f"<li>{html.escape(name)}: {html.escape(value)}</li>" for name, value in got.items())
    told = f"<p>{html.escape(request.method)} {html.escape(request.target)}</p><ul>{rows}</ul>"
    return page(200, f"{service}, as far as a rehearsal has it", told)
