"""Domains of the twin are served over DNS, as their records are at the moment."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from dnslib import RCODE, DNSRecord

from tideflow.errors import RehearsalError
from tideflow.rehearsal.addresses import free_port
from tideflow.rehearsal.twin.nameserver import answering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tideflow.rehearsal.twin.state import State

RECORDS = "/v2/domains/example.com/records"
RECORDED: list[dict[str, Any]] = [
    {"type": "A", "name": "ml", "data": "203.0.113.7", "ttl": 60},
    {"type": "A", "name": "ml", "data": "203.0.113.8", "ttl": 60},
    {"type": "A", "name": "*.ml", "data": "203.0.113.9"},
    {"type": "AAAA", "name": "@", "data": "2001:db8::1"},
    {"type": "CNAME", "name": "alias", "data": "ml.example.com."},
    {"type": "TXT", "name": "text", "data": 'say "hello"', "flags": None, "tag": None},
    {"type": "MX", "name": "@", "data": "mail.example.com.", "priority": 10},
    {"type": "CAA", "name": "@", "data": "letsencrypt.org", "flags": 0, "tag": "issue"},
    {
        "type": "SRV",
        "name": "_sip._tcp",
        "data": "sip.example.com.",
        "priority": 1,
        "weight": 2,
        "port": 3,
        "flags": None,
        "tag": None,
    },
]


@pytest.fixture
def ask(api: Any, state: State) -> Iterator[Callable[[str, str], DNSRecord]]:
    """Yield what asks a name server about a name and a type."""
    for domain in ("example.com", "sub.example.com"):
        assert api.post("/v2/domains", json={"name": domain}).status_code == 201
    for record in RECORDED:
        assert api.post(RECORDS, json=record).status_code == 201
    port = free_port()

    def question(name: str, kind: str) -> DNSRecord:
        return DNSRecord.parse(DNSRecord.question(name, kind).send("127.0.0.1", port, timeout=30))

    with answering(state, "127.0.0.1", port):
        yield question


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("ml.example.com", "A", ["203.0.113.7", "203.0.113.8"]),
        ("ML.Example.Com", "A", ["203.0.113.7", "203.0.113.8"]),
        ("any.ml.example.com", "A", ["203.0.113.9"]),
        ("very.deep.ml.example.com", "A", ["203.0.113.9"]),
        ("example.com", "AAAA", ["2001:db8::1"]),
        ("example.com", "NS", [f"ns{number}.digitalocean.com." for number in (1, 2, 3)]),
        ("example.com", "MX", ["10 mail.example.com."]),
        ("example.com", "CAA", ['0 issue "letsencrypt.org"']),
        ("alias.example.com", "A", ["ml.example.com."]),
        ("text.example.com", "TXT", ['"say "hello""']),
        ("_sip._tcp.example.com", "SRV", ["1 2 3 sip.example.com."]),
        ("sub.example.com", "NS", [f"ns{number}.digitalocean.com." for number in (1, 2, 3)]),
    ],
)
def test_records_are_answered(
    ask: Callable[[str, str], DNSRecord], name: str, kind: str, told: list[str]
) -> None:
    """With authority, by name and type; a wildcard stands for all names below that have none."""
    reply = ask(name, kind)
    assert [str(answer.rdata) for answer in reply.rr] == told
    assert reply.header.aa
    assert reply.header.rcode == RCODE.NOERROR


def test_what_is_not_there_is_told_by_the_zone(ask: Callable[[str, str], DNSRecord]) -> None:
    """No such name, no such type of it, or no zone of ours at all."""
    for name, kind, code in (
        ("none.example.com", "A", RCODE.NXDOMAIN),
        ("any.sub.example.com", "A", RCODE.NXDOMAIN),
        ("ml.example.com", "AAAA", RCODE.NOERROR),
        ("example.com", "A", RCODE.NOERROR),
    ):
        reply = ask(name, kind)
        assert (reply.rr, reply.header.rcode) == ([], code)
        assert str(reply.auth[0].rdata).startswith("ns1.digitalocean.com. hostmaster.")
    refused = ask("example.org", "A")
    assert (refused.rr, refused.auth, refused.header.rcode) == ([], [], RCODE.REFUSED)
    assert str(ask("example.com", "SOA").rr[0].rdata).startswith("ns1.digitalocean.com. ")


def test_a_wildcard_ends_at_names_that_are_there(api: Any, ask: Callable[[str, str], DNSRecord]) -> None:
    """It stands for all names that are in none of them."""
    for name in ("*", "there"):
        api.post("/v2/domains/sub.example.com/records", json={"type": "A", "name": name, "data": "192.0.2.1"})
    assert len(ask("any.sub.example.com", "A").rr) == len(ask("very.deep.sub.example.com", "A").rr) == 1
    assert ask("any.there.sub.example.com", "A").header.rcode == RCODE.NXDOMAIN


def test_a_change_is_told_at_once(api: Any, ask: Callable[[str, str], DNSRecord]) -> None:
    """With its time to live."""
    (record,) = api.get(f"{RECORDS}?name=*.ml.example.com").json["domain_records"]
    api.put(f"{RECORDS}/{record['id']}", json={"type": "A", "data": "203.0.113.10", "ttl": 30})
    (answer,) = ask("x.ml.example.com", "A").rr
    assert (str(answer.rdata), answer.ttl) == ("203.0.113.10", 30)
    api.delete(f"{RECORDS}/{record['id']}")
    assert ask("x.ml.example.com", "A").header.rcode == RCODE.NXDOMAIN


def test_a_port_that_is_taken_is_one_clear_line(state: State) -> None:
    """As it is for the API."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        with pytest.raises(RehearsalError, match=f"port {port} cannot be had over UDP"):
            answering(state, "127.0.0.1", port).__enter__()
