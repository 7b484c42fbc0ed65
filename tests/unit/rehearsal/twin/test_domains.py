"""Domains and records are kept as DigitalOcean keeps them."""

from __future__ import annotations

from typing import Any

import pytest

from tideflow.rehearsal.twin.state import State

DOMAINS = "/v2/domains"
RECORDS = f"{DOMAINS}/example.com/records"


@pytest.fixture
def zone(api: Any) -> Any:
    """Return a client of a twin that has a domain."""
    assert api.post(DOMAINS, json={"name": "example.com"}).status_code == 201
    return api


def add(zone: Any, **record: Any) -> Any:
    """Return the answer to a new record; the description requires flags and tag of types without any."""
    nothing = {"flags": None, "tag": None}
    return zone.post(RECORDS, json={"type": "A", "name": "ml", "data": "203.0.113.7"} | nothing | record)


def listed(zone: Any, query: str = "") -> list[tuple[str, str, str]]:
    """Return type, name and data of records."""
    found = zone.get(RECORDS + query).json["domain_records"]
    return [(record["type"], record["name"], record["data"]) for record in found]


def test_a_new_domain_has_name_servers(zone: Any) -> None:
    """And an address if one was given; its zone file tells all."""
    servers = [("NS", "@", f"ns{number}.digitalocean.com") for number in (1, 2, 3)]
    assert listed(zone) == servers
    assert zone.post(DOMAINS, json={"name": "example.com"}).status_code == 422
    made = zone.post(DOMAINS, json={"name": "a.example.org", "ip_address": "192.0.2.1"}).json["domain"]
    assert "a.example.org. 1800 IN A 192.0.2.1\n" in made["zone_file"]
    assert "a.example.org. 1800 IN NS ns1.digitalocean.com.\n" in made["zone_file"]
    assert zone.get(DOMAINS).json["meta"]["total"] == 2


def test_records_are_found_by_type_and_whole_name(zone: Any) -> None:
    """As clients look before they create one."""
    add(zone)
    add(zone, data="203.0.113.8")
    add(zone, name="*.ml")
    add(zone, type="TXT", data="hello")
    add(zone, name="@")
    assert listed(zone, "?type=A&name=ml.example.com") == [
        ("A", "ml", "203.0.113.7"),
        ("A", "ml", "203.0.113.8"),
    ]
    assert listed(zone, "?name=*.ml.example.com") == [("A", "*.ml", "203.0.113.7")]
    assert listed(zone, "?type=A&name=example.com") == [("A", "@", "203.0.113.7")]
    assert listed(zone, "?name=ml") == []
    assert zone.get(f"{RECORDS}?type=WKS").status_code == 422
    assert zone.get(f"{RECORDS}?per_page=2&page=2").json["meta"]["total"] == 8
    first = zone.get(f"{RECORDS}?type=A&per_page=3").json
    following = zone.get(first["links"]["pages"]["next"]).json["domain_records"]
    assert [record["name"] for record in following] == ["@"]  # the link keeps to what was asked for
    assert zone.get(f"{DOMAINS}/example.org/records").status_code == 404


def test_a_record_is_changed(zone: Any, state: State) -> None:
    """In what was given; its type stays. All of it survives a restart."""
    record = add(zone, ttl=60).json["domain_record"]
    path = f"{RECORDS}/{record['id']}"
    changed = zone.put(path, json={"type": "A", "data": "203.0.113.9"}).json["domain_record"]
    assert changed == record | {"data": "203.0.113.9"}
    assert zone.patch(path, json={"type": "AAAA", "data": "2001:db8::1"}).status_code == 422
    assert State(state._file).domains == state.domains
    assert zone.delete(path).status_code == 204
    assert zone.get(path).status_code == zone.delete(path).status_code == 404


@pytest.mark.parametrize(
    ("record", "named"),
    [
        ({"data": "203.0.113"}, "data is not an address"),
        ({"type": "AAAA"}, "data is not an address"),
        ({"type": "SOA"}, "type"),
        ({"name": "not a name"}, "name is not a name"),
        ({"name": None}, "name"),
        ({"ttl": 29}, "ttl"),
        ({"type": "CNAME", "name": "taken", "data": "other.example.com."}, "CNAME"),
        ({"name": "alias"}, "CNAME"),
    ],
)
def test_a_record_cannot_be_everything(zone: Any, record: dict[str, Any], named: str) -> None:
    """It is refused by field, and nothing is made."""
    add(zone, name="taken")
    assert add(zone, type="CNAME", name="alias", data="other.example.com.").status_code == 201
    before = listed(zone)
    answer = add(zone, **record)
    assert answer.status_code == 422
    assert answer.json["message"].startswith(named)
    assert listed(zone) == before


@pytest.mark.parametrize(
    "name", ["", "com", "-a.com", "a..com", "A.com", f"{'a' * 64}.com", "a." * 127 + "com"]
)
def test_a_domain_has_a_name(api: Any, name: str) -> None:
    """One that can be."""
    assert api.post(DOMAINS, json={"name": name}).status_code == 422
    assert api.post(DOMAINS, json={"name": "example.com", "ip_address": "none"}).status_code == 422
    assert api.get(DOMAINS).json["domains"] == []


def test_every_type_is_in_the_zone_file(zone: Any) -> None:
    """As name servers read it."""
    kinds: list[tuple[dict[str, Any], str]] = [
        ({"type": "MX", "data": "mail.example.com.", "priority": 10}, "MX 10 mail.example.com."),
        ({"type": "TXT", "data": "v=spf1 -all"}, 'TXT "v=spf1 -all"'),
        (
            {"type": "CAA", "data": "letsencrypt.org", "flags": 0, "tag": "issue"},
            'CAA 0 issue "letsencrypt.org"',
        ),
        (
            {"type": "SRV", "name": "_sip._tcp", "data": "a", "priority": 1, "weight": 2, "port": 3},
            "SRV 1 2 3 a.",
        ),
        ({"type": "AAAA", "data": "2001:db8::1"}, "AAAA 2001:db8::1"),
    ]
    for record, _ in kinds:
        assert add(zone, **record).status_code == 201
    text = zone.get(f"{DOMAINS}/example.com").json["domain"]["zone_file"]
    for _, line in kinds:
        assert f" 1800 IN {line}\n" in text
