"""Our client of domains and records against the twin, held against DigitalOcean's description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests
from tests import description
from tests.integration.twins import TOKEN

from tideflow.clients.digitalocean import DigitalOcean
from tideflow.clients.domains import Record
from tideflow.errors import DigitalOceanError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.twins import Twin

pytestmark = [pytest.mark.usefixtures("binaries"), description.needed]

ZONE = "example.com"
RECORDS = f"/v2/domains/{ZONE}/records"
ADDRESS = Record(type="A", name=f"ml.{ZONE}", data="203.0.113.7", ttl=60)
NAMES = [f"ns{number}.digitalocean.com" for number in (1, 2, 3)]


@pytest.fixture
def zone(ours: DigitalOcean) -> Iterator[DigitalOcean]:
    """Yield a client of an account with a new domain."""
    ours.create_domain(ZONE)
    yield ours
    requests.delete(f"{ours.end_point}domains/{ZONE}", headers=AUTHORIZED, timeout=30).raise_for_status()


AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


def fail(twin: Twin, **rule: Any) -> None:
    """Have the twin fail by a rule."""
    rules = {"rules": [{"path": f"{RECORDS}*", **rule}]}
    requests.put(
        f"{twin.endpoint}/rehearsal/faults", json=rules, headers=AUTHORIZED, timeout=30
    ).raise_for_status()


def held(client: DigitalOcean) -> list[Record]:
    """Return the records that are no name servers."""
    return [found for found in client.records(ZONE) or () if found.type != "NS"]


def test_records_are_made_changed_and_deleted(zone: DigitalOcean, calls: set[str]) -> None:
    """With whole names, whatever the zone calls them."""
    assert zone.domains() == [ZONE]
    assert [found.data for found in zone.records(ZONE) or ()] == NAMES
    assert zone.records("example.org") is None
    for record in (
        ADDRESS,
        Record(type="TXT", name=f"_tideflow.ml.{ZONE}", data="tideflow platform=a A 1", ttl=60),
        Record(type="CNAME", name=f"*.ml.{ZONE}", data=f"ml.{ZONE}", ttl=60),
        Record(type="A", name=ZONE, data="203.0.113.8", ttl=60),
    ):
        zone.create_record(ZONE, record)
        made = held(zone)[-1]
        assert made == Record(**{**vars(record), "id": made.id})
    first = held(zone)[0]
    changed = Record(**{**vars(first), "data": "203.0.113.9", "ttl": 30})
    zone.change_record(ZONE, changed)
    assert held(zone)[0] == changed
    zone.delete_record(ZONE, first)
    zone.delete_record(ZONE, first)
    assert first.id not in {found.id for found in held(zone)}
    assert calls == {
        "domains_create",
        "domains_list",
        "domains_list_records",
        "domains_create_record",
        "domains_update_record",
        "domains_delete_record",
    }


def test_all_pages_are_read(zone: DigitalOcean, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zone may have many records, and ours may be the last."""
    monkeypatch.setattr("tideflow.clients.requesting.PER_PAGE", 2)
    addresses = [f"203.0.113.{number}" for number in range(5)]
    for address in addresses:
        zone.create_record(ZONE, Record(type="A", name=f"ml.{ZONE}", data=address, ttl=60))
    assert [found.data for found in zone.records(ZONE) or ()] == [*NAMES, *addresses]


@pytest.mark.parametrize("carried_out", [True, False])
@pytest.mark.parametrize("how", [{"cut": True}, {"status": 500}])
def test_a_record_whose_making_was_not_answered_is_made_once(
    zone: DigitalOcean,
    twin: Twin,
    how: dict[str, Any],
    carried_out: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """It is looked for, and made again only if it is not there."""
    fail(twin, method="POST", carried_out=carried_out, **how)
    DigitalOcean(TOKEN, endpoint=f"{twin.endpoint}/v2/").create_record(ZONE, ADDRESS)  # which may fail
    assert [found.data for found in held(zone)] == [ADDRESS.data]


def test_what_fails_for_good_is_one_error(zone: DigitalOcean, twin: Twin) -> None:
    """A refusal at once, with the scope that the token lacks."""
    fail(twin, method="POST", status=403)
    with pytest.raises(DigitalOceanError, match="domain:create"):
        zone.create_record(ZONE, ADDRESS)
    assert held(zone) == []
    with pytest.raises(DigitalOceanError, match="404"):
        zone.change_record(ZONE, Record(**{**vars(ADDRESS), "id": 1}))
