"""Everything that answers, put together: the way in, and the way from oauth2-proxy into the cluster."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tideflow.rehearsal.gateway.edge import Edge
from tideflow.rehearsal.gateway.firewall import OUTSIDE, Party
from tideflow.rehearsal.gateway.ingressgateway import CONNECTING, IngressGateway
from tideflow.rehearsal.gateway.listening import Calls, Front, Loop
from tideflow.rehearsal.gateway.messages import NoAnswerError, NoConnectionError, text
from tideflow.rehearsal.gateway.workloads import Workloads

if TYPE_CHECKING:
    from tideflow.rehearsal.gateway.messages import Answer, Request
    from tideflow.rehearsal.gateway.places import Places
    from tideflow.rehearsal.gateway.programs import Programs
    from tideflow.rehearsal.standins.world import World

_LOG = logging.getLogger(__name__)


class Answering:
    """``front`` is where people come in, ``calls`` where oauth2-proxy does."""

    def __init__(self, world: World, places: Places, programs: Programs) -> None:
        self._places = places
        self._programs = programs
        self._workloads = Workloads(world, places, programs)
        self._edge = Edge(
            world, places, self._workloads, IngressGateway(world, places, self._workloads, programs)
        )
        loop = Loop()
        self.front = Front(loop, self._come_in, self._edge.context)
        self.calls = Calls(loop, self._call)

    async def _come_in(self, request: Request) -> Answer:
        try:
            return await self._edge.answer(request)
        except NoAnswerError:
            raise
        except Exception:  # noqa: BLE001 - what people wrote into an object may be anything
            _LOG.exception("%s %s", request.method, request.path)
            return text(500, "the rehearsal's gateway has a defect; stand-ins.log has it")

    async def _call(self, request: Request) -> Answer:
        """Bring a request of oauth2-proxy's to a Service of the cluster."""
        port = request.authority.rpartition(":")[2]
        place = self._places.named(request.host, "", int(port) if port.isdecimal() else 80)
        if place is None:
            raise NoAnswerError(f"no such host: {request.host}")
        caller = self._programs.caller
        source = Party.of(caller) if caller is not None else OUTSIDE
        try:
            return await self._workloads.answer(request, place, source=source, patience=CONNECTING)
        except NoConnectionError as error:
            raise NoAnswerError(error.reason) from error
