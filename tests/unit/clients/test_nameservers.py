"""Name servers are found and asked as they are in the world, with small ones on loopback in their place."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import dns.resolver
import pytest
from dnslib import QTYPE, RCODE, RR
from dnslib.server import BaseResolver, DNSLogger, DNSServer

from tideflow.clients import nameservers
from tideflow.clients.nameservers import NameServers, Told
from tideflow.errors import DNSError
from tideflow.rehearsal.addresses import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dnslib import DNSRecord

NAME = "ml.example.test"
SOA = "example.test. 60 IN SOA ns1.example.test. hostmaster.example.test. 1 2 3 4 60"
SERVERS = ["example.test. 60 IN NS ns2.example.test.", "example.test. 60 IN NS ns1.example.test."]
ADDRESSES = ["ns1.example.test. 60 IN A 127.0.0.2", "ns2.example.test. 60 IN A 127.0.0.3"]
ABOVE = [
    "test. 60 IN SOA a.test. b.test. 1 2 3 4 60",
    "test. 60 IN NS ns.test.",
    "ns.test. 60 IN A 127.0.0.4",
]
AWAY = "ns2.example.test. 60 IN A 127.0.0.9"  # where nobody answers
RESOLVER, FIRST, SECOND, PARENT = "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"


class Zone(BaseResolver):  # type: ignore[misc] # the library has no types
    """Tells what it holds; what it does not hold is not there, with its SOA."""

    def __init__(
        self, lines: Sequence[str], *, authority: bool = True, code: int = 0, cut: bool = False
    ) -> None:
        self.held = [record for line in lines for record in RR.fromZone(line)]
        self.authority, self.code, self.cut = authority, code, cut

    def resolve(self, request: DNSRecord, handler: Any) -> DNSRecord:
        """Answer, following aliases."""
        reply = request.reply(aa=int(self.authority), ra=0)
        if self.cut and handler.protocol == "udp":
            reply.header.tc = 1
            return reply
        wanted, name = QTYPE[request.q.qtype], str(request.q.qname).lower()
        while name:
            at = [record for record in self.held if str(record.rname).lower() == name]
            found = [record for record in at if QTYPE[record.rtype] in {wanted, "CNAME"}]
            reply.add_answer(*found)
            alias = [str(record.rdata) for record in found if QTYPE[record.rtype] == "CNAME" != wanted]
            name = alias[0] if alias else ""
        if not reply.rr:
            reply.add_auth(*(record for record in self.held if QTYPE[record.rtype] == "SOA"))
            reply.header.rcode = RCODE.NOERROR if at else RCODE.NXDOMAIN
        reply.header.rcode = self.code or reply.header.rcode
        return reply


@contextmanager
def serving(zone: Zone, address: str, port: int) -> Iterator[None]:
    """Serve a zone over UDP and TCP."""
    with ExitStack() as running:
        for tcp in (False, True):
            server = DNSServer(zone, address=address, port=port, tcp=tcp, logger=DNSLogger("-request,-reply"))
            threading.Thread(target=server.server.serve_forever, args=[0.02]).start()
            running.callback(server.server.server_close)
            running.callback(server.server.shutdown)
        yield


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., NameServers]]:
    """Yield what starts servers at addresses of loopback, and returns who asks them."""
    port = free_port()
    monkeypatch.setattr(nameservers, "_PORT", port)
    with ExitStack() as running:

        def begin(**zones: Zone) -> NameServers:
            for address, zone in zones.items():
                running.enter_context(serving(zone, globals()[address], port))
            asking = NameServers(timeout=0.5)
            asking._resolver = dns.resolver.Resolver(configure=False)
            asking._resolver.nameservers, asking._resolver.port = [RESOLVER], port
            asking._resolver.timeout = asking._resolver.lifetime = 0.5
            return asking

        yield begin


def resolver(*more: str) -> Zone:
    """Return this machine's resolver, which knows the servers and what else is given."""
    return Zone([SOA, *SERVERS, *(more or ADDRESSES), *ABOVE], authority=False)


def test_every_server_is_asked_and_not_a_cache(world: Callable[..., NameServers]) -> None:
    """What the resolver remembers does not count; names are compared in whatever case."""
    asking = world(
        RESOLVER=resolver(*ADDRESSES, f"{NAME}. 60 IN A 198.51.100.1"),
        FIRST=Zone([SOA, f"{NAME}. 60 IN A 203.0.113.7"]),
        SECOND=Zone([SOA, f"{NAME}. 60 IN A 203.0.113.8", f"{NAME}. 60 IN A 203.0.113.7"]),
    )
    assert asking.zone("ML.Example.Test") == "example.test"
    assert asking.told("ML.Example.Test", "A") == [
        Told("ns1.example.test", ("203.0.113.7",)),
        Told("ns2.example.test", ("203.0.113.7", "203.0.113.8")),
    ]


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        (Zone([SOA]), Told("ns1.example.test", why="does not exist")),
        (Zone([SOA, f"{NAME}. 60 IN TXT x"]), Told("ns1.example.test", why="has no A record")),
        (
            Zone([SOA, f"{NAME}. 60 IN CNAME lb.example.test.", "lb.example.test. 60 IN A 203.0.113.7"]),
            Told("ns1.example.test", ("203.0.113.7",)),
        ),
        (
            Zone([SOA, f"{NAME}. 60 IN CNAME there.test."]),
            Told("ns1.example.test", ("203.0.113.9",)),
        ),
        (
            Zone([SOA, f"{NAME}. 60 IN CNAME Gone.test."]),
            Told("ns1.example.test", why="is an alias of gone.test, which does not exist"),
        ),
        (Zone([SOA, f"{NAME}. 60 IN A 203.0.113.7"], cut=True), Told("ns1.example.test", ("203.0.113.7",))),
    ],
)
def test_what_a_server_tells_is_understood(world: Callable[..., NameServers], zone: Zone, told: Told) -> None:
    """Aliases within the zone and beyond, answers that are too long for UDP, and that there is none."""
    asking = world(RESOLVER=resolver(ADDRESSES[0], "there.test. 60 IN A 203.0.113.9"), FIRST=zone)
    assert asking.told(NAME, "A")[0] == told


def test_an_alias_is_told_as_one(world: Callable[..., NameServers]) -> None:
    """Where the record itself is asked for."""
    asking = world(RESOLVER=resolver(), FIRST=Zone([SOA, f"{NAME}. 60 IN CNAME LB.example.org."]))
    assert asking.told(NAME, "CNAME")[0] == Told("ns1.example.test", ("lb.example.org",))


def test_a_server_that_is_away_or_does_not_know_is_none(world: Callable[..., NameServers]) -> None:
    """As long as another answers."""
    asking = world(RESOLVER=resolver(ADDRESSES[0], AWAY), FIRST=Zone([SOA, f"{NAME}. 60 IN A 203.0.113.7"]))
    assert asking.told(NAME, "A")[1] == Told("ns2.example.test", why="gets no answer", answers=False)


@pytest.mark.parametrize(
    ("zone", "why"),
    [
        (Zone([], code=RCODE.REFUSED), "is answered REFUSED"),
        (Zone([SOA, f"{NAME}. 60 IN A 203.0.113.8"], authority=False), "is answered without authority"),
    ],
)
def test_behind_a_firewall_the_resolver_is_asked(
    world: Callable[..., NameServers], zone: Zone, why: str
) -> None:
    """Which is said; it is better than nothing."""
    asking = world(RESOLVER=resolver(ADDRESSES[0], f"{NAME}. 60 IN A 203.0.113.7"), FIRST=zone)
    assert asking.told(NAME, "A") == [
        Told("ns1.example.test", why=why, answers=False),
        Told("ns2.example.test", why="gets no answer", answers=False),
        Told("this machine's resolver", ("203.0.113.7",)),
    ]


def test_the_zone_above_tells_whom_a_zone_is_delegated_to(world: Callable[..., NameServers]) -> None:
    """And not the zone itself, which may say what it likes."""
    given = ["example.test. 60 IN NS Ns1.registrar.test.", "example.test. 60 IN NS ns0.registrar.test."]
    asking = world(RESOLVER=resolver(), PARENT=Zone([*ABOVE, *given]))
    assert asking.delegated("example.test") == ["ns0.registrar.test", "ns1.registrar.test"]
    assert asking.delegated("other.test") == []


def test_what_is_above_everything_is_a_zone_too(world: Callable[..., NameServers]) -> None:
    """Its name is a dot."""
    root = [". 60 IN SOA a. b. 1 2 3 4 60", ". 60 IN NS ns.test.", ABOVE[2]]
    asking = world(RESOLVER=Zone(root, authority=False), PARENT=Zone([*root, ABOVE[1]]))
    assert asking.zone("none.of.these") == "."
    assert asking.delegated("test") == ["ns.test"]


def test_nobody_who_knows_is_one_clear_line(world: Callable[..., NameServers]) -> None:
    """And takes a moment only."""
    asking = world(RESOLVER=Zone([], code=RCODE.SERVFAIL))
    with pytest.raises(DNSError, match=rf"no name server is known for {NAME}, which is refused, or fails"):
        asking.told(NAME, "A")
    with pytest.raises(DNSError, match="no name server is known for test"):
        asking.delegated("example.test")


def test_a_resolver_that_is_away_takes_no_longer_than_it_may(world: Callable[..., NameServers]) -> None:
    """However often it is asked."""
    asking, start = world(), time.monotonic()
    with pytest.raises(DNSError, match=r"which (gets no answer in time|is refused, or fails)"):
        asking.told(NAME, "A")
    assert time.monotonic() - start < 5
