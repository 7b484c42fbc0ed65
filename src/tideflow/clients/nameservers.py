"""What the name servers of a zone tell of a name: those that have authority, and not a cache between.

A cache goes on telling what was, that there is no such name above all, so it is no use to who waits for a
record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
from dns.message import QueryMessage

from tideflow.clients import names
from tideflow.errors import DNSError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dns.rrset import RRset

_PORT = 53
_FAILURES = (dns.exception.DNSException, OSError)
_OWN_RESOLVER = "this machine's resolver"
_MISSING = "does not exist"


@dataclass(frozen=True)
class Server:
    """A name server, and where it is asked: at the first of its addresses that answers."""

    name: str
    addresses: tuple[str, ...]
    port: int


@dataclass(frozen=True)
class Told:
    """What a server tells of a name: its ``data`` of the type asked for, or ``why`` there are none.

    That goes on where the name ends: "does not exist". One that ``answers`` not is away, or has no authority.
    """

    server: str
    data: tuple[str, ...] = ()
    why: str = ""
    answers: bool = True


class NameServers:
    """Finds and asks the name servers of zones; ``timeout`` is in seconds, for each answer.

    With ``at``, an address and a port, that one server is asked about everything; without it they are found
    as resolvers find them, by this machine's own resolver.
    """

    def __init__(self, at: tuple[str, int] | None = None, *, timeout: float = 3.0) -> None:
        self._at = at
        self._timeout = timeout
        try:
            self._resolver = dns.resolver.Resolver(configure=at is None)
        except dns.resolver.NoResolverConfiguration:
            self._resolver = dns.resolver.Resolver(configure=False)
        if at is not None:
            address, self._resolver.port = at
            self._resolver.nameservers = [address]
        self._resolver.timeout, self._resolver.lifetime = timeout, 2 * timeout

    def zone(self, name: str) -> str:
        """Return the zone that a name is in. Raises ``DNSError``."""
        try:
            found = dns.resolver.zone_for_name(
                dns.name.from_text(name), resolver=self._resolver, lifetime=3 * self._timeout
            )
        except _FAILURES as error:
            raise DNSError(f"no name server is known for {name}, which {_words(error)}") from None
        return names.plain(found.to_text())

    def delegated(self, zone: str) -> list[str]:
        """Return the name servers that a zone is delegated to, by those of the zone above it.

        There are none where the zone is not delegated. Raises ``DNSError`` if nobody tells.
        """
        name = dns.name.from_text(zone)
        above = zone if self._at is not None else self.zone(names.plain(name.parent().to_text()))
        for server in self._servers(above):
            reply = self._ask(server, name, dns.rdatatype.NS)
            if reply is not None and reply.rcode() in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
                return _named([*reply.answer, *reply.authority], name)
        raise DNSError(f"no name server of {above} answers")

    def told(self, name: str, kind: str) -> list[Told]:
        """Return what each server of the name's zone tells of its records of a type, aliases followed.

        Where none of them can be reached, as behind some firewalls, it is what this machine's own resolver
        tells. Raises ``DNSError``.
        """
        asked, wanted = dns.name.from_text(name), dns.rdatatype.from_text(kind)
        found = [self._told(server, asked, wanted) for server in self._servers(self.zone(name))]
        if any(told.answers for told in found):
            return found
        return [*found, Told(_OWN_RESOLVER, *self._resolved(asked, wanted))]

    def _servers(self, zone: str) -> Iterator[Server]:
        """Yield the servers of a zone, each found when it is needed."""
        try:
            found = _named([self._rrset(zone)], dns.name.from_text(zone))
        except _FAILURES as error:
            raise DNSError(f"no name server is known for {zone}, which {_words(error)}") from None
        if self._at is not None:
            address, port = self._at
            yield Server(found[0] if found else address, (address,), port)
            return
        for server in found:
            name = dns.name.from_text(server)
            both = (self._resolved(name, kind)[0][:1] for kind in (dns.rdatatype.A, dns.rdatatype.AAAA))
            yield Server(server, tuple(address for found in both for address in found), _PORT)

    def _rrset(self, zone: str) -> RRset:
        found = self._resolver.resolve(dns.name.from_text(zone), dns.rdatatype.NS).rrset
        assert found is not None, "the resolver raises NoAnswer"  # noqa: S101
        return found

    def _ask(self, server: Server, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> QueryMessage | None:
        query = dns.message.make_query(name, kind, flags=0)  # of what it knows itself
        for address in server.addresses:
            try:
                reply, _ = dns.query.udp_with_fallback(
                    query, address, self._timeout, server.port, ignore_errors=True
                )
            except _FAILURES:
                continue
            if isinstance(reply, QueryMessage):
                return reply
        return None

    def _told(self, server: Server, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Told:
        reply = self._ask(server, name, kind)
        away = "gets no answer" if reply is None else _not_answered(reply)
        if reply is None or away:
            return Told(server.name, why=away, answers=False)
        try:
            chain = reply.resolve_chaining()
        except _FAILURES as error:
            return Told(server.name, why=_words(error))
        if chain.answer is not None:
            return Told(server.name, _data(chain.answer))
        if chain.cnames:
            data, why = self._resolved(chain.canonical_name, kind)
            alias = names.plain(chain.canonical_name.to_text())
            return Told(server.name, data, why and f"is an alias of {alias}, which {why}")
        missing = reply.rcode() == dns.rcode.NXDOMAIN
        return Told(server.name, why=_MISSING if missing else _without(kind))

    def _resolved(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> tuple[tuple[str, ...], str]:
        """Return what the resolver tells, and why it is nothing."""
        try:
            found = self._resolver.resolve(name, kind).rrset
        except dns.resolver.NXDOMAIN:
            return (), _MISSING
        except dns.resolver.NoAnswer:
            return (), _without(kind)
        except _FAILURES as error:
            return (), _words(error)
        return _data(found) if found is not None else (), ""


def _named(found: list[RRset], name: dns.name.Name) -> list[str]:
    """Return the name servers that are named for a zone."""
    return sorted(
        names.plain(rdata.target.to_text())
        for rrset in found
        if rrset.rdtype == dns.rdatatype.NS and rrset.name == name
        for rdata in rrset
    )


def _not_answered(reply: QueryMessage) -> str:
    """Return why a reply is no answer of a server with authority; empty if it is one."""
    code = reply.rcode()
    if code not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        return f"is answered {dns.rcode.to_text(code)}"
    return "" if reply.flags & dns.flags.AA else "is answered without authority"


def _without(kind: dns.rdatatype.RdataType) -> str:
    return f"has no {dns.rdatatype.to_text(kind)} record"


def _data(found: RRset) -> tuple[str, ...]:
    is_name = found.rdtype == dns.rdatatype.CNAME
    return tuple(sorted(names.plain(str(rdata)) if is_name else str(rdata) for rdata in found))


def _words(error: BaseException) -> str:
    """Return why, without the library's long account of each try."""
    match error:
        case dns.exception.Timeout():
            return "gets no answer in time"
        case dns.resolver.NoNameservers():
            return "is refused, or fails"
        case dns.resolver.NoRootSOA():
            return "is in no zone"
        case _:
            return f"cannot be asked about: {type(error).__name__}"
