"""The name server of all domains, as DigitalOcean's are for its users' domains.

It answers over UDP, at the port at which the API answers over TCP: who knows the one knows the other.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dnslib import AAAA, CAA, CNAME, MX, NS, QTYPE, RCODE, RR, SOA, SRV, TXT, A
from dnslib.server import BaseResolver, DNSLogger, DNSServer
from typing_extensions import override

from tideflow.errors import RehearsalError
from tideflow.rehearsal.twin.zones import SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnslib import DNSRecord

    from tideflow.rehearsal.twin.state import State
    from tideflow.rehearsal.twin.zones import Domain, Record

_TIMES = (
    1,
    10800,
    3600,
    604800,
)  # of a zone: its serial number, and how often other servers look, in seconds


@contextmanager
def answering(state: State, host: str, port: int) -> Iterator[None]:
    """Answer for the domains of a state meanwhile. Raises ``RehearsalError`` if the port cannot be had."""
    try:
        server = DNSServer(_Resolver(state), address=host, port=port, logger=DNSLogger("-request,-reply"))
    except OSError as error:
        raise RehearsalError(
            f"port {port} cannot be had over UDP: {error.strerror}", hint="choose another one with --port"
        ) from None
    server.start_thread()
    try:
        yield
    finally:
        server.stop()
        server.server.server_close()


class _Resolver(BaseResolver):  # type: ignore[misc] # the library has no types
    def __init__(self, state: State) -> None:
        self._state = state

    @override
    def resolve(self, request: DNSRecord, handler: Any) -> DNSRecord:
        reply = request.reply(ra=0)
        name, kind = str(request.q.qname).rstrip(".").lower(), QTYPE[request.q.qtype]
        with self._state.lock:
            domain = _domain(self._state, name)
            if domain is None:
                reply.header.rcode = RCODE.REFUSED
                return reply
            found = _at(domain, name)
            answers = [record for record in found if kind in {record.type, "ANY"} or record.type == "CNAME"]
            for record in answers:
                reply.add_answer(
                    RR(request.q.qname, getattr(QTYPE, record.type), ttl=record.ttl, rdata=_data(record))
                )
            soa = RR(domain.name, QTYPE.SOA, ttl=domain.ttl, rdata=_soa(domain))
        reply.header.aa = 1
        if kind == "SOA" and name == domain.name:
            reply.add_answer(soa)
        elif not answers:
            reply.add_auth(soa)
            if not found and name != domain.name:
                reply.header.rcode = RCODE.NXDOMAIN
        return reply


def _domain(state: State, name: str) -> Domain | None:
    """Return the domain that a name is in, the longest of them; None if it is in no domain of ours."""
    held = [found for found in state.domains.values() if f".{name}".endswith(f".{found.name}")]
    return max(held, key=lambda found: len(found.name), default=None)


def _at(domain: Domain, name: str) -> list[Record]:
    """Return the records of a name, or else those of a wildcard at the nearest name above that there is."""

    def held(wanted: str) -> list[Record]:
        return [record for record in domain.records if domain.full_name(record) == wanted]

    found, above = held(name), name
    while not found and above != domain.name:
        _, _, above = above.partition(".")
        found = held(f"*.{above}")
        if held(above):
            break
    return found


def _data(record: Record) -> Any:
    makers: dict[str, Any] = {
        "A": lambda: A(record.data),
        "AAAA": lambda: AAAA(record.data),
        "CAA": lambda: CAA(record.flags or 0, record.tag or "issue", record.data),
        "CNAME": lambda: CNAME(record.data),
        "MX": lambda: MX(record.data, record.priority or 0),
        "NS": lambda: NS(record.data),
        "SRV": lambda: SRV(record.priority or 0, record.weight or 0, record.port or 0, record.data),
        "TXT": lambda: TXT(record.data),
    }
    return makers[record.type]()


def _soa(domain: Domain) -> Any:
    return SOA(SERVERS[0], f"hostmaster.{domain.name}", (*_TIMES, domain.ttl))
