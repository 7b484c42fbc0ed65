"""Domains of DigitalOcean's, and their records."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

from tideflow.clients.requesting import Requesting, nothing
from tideflow.errors import DigitalOceanError

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOOKS_AFTER = (1.0, 2.0, 5.0)  # seconds; a new record may take a moment to be listed
_OF_NAMES = {"CNAME", "NS"}


@dataclass(frozen=True, kw_only=True)
class Record:
    """A record, with its whole name, as ``tideflow.clients.names`` writes it; so is data that is a name.

    ``id`` is 0 while it is not there.
    """

    type: str
    name: str
    data: str
    ttl: int
    id: int = 0

    def __str__(self) -> str:
        """Return it as a line of a zone file."""
        data = {"CNAME": f"{self.data}.", "TXT": f'"{self.data}"'}.get(self.type, self.data)
        return f"{self.name}. {self.ttl} IN {self.type} {data}"

    @classmethod
    def from_response(cls, found: Mapping[str, Any], zone: str) -> Self:
        """Read a record of a zone."""
        data = str(found.get("data") or "")
        return cls(
            type=found["type"],
            name=_written(found.get("name") or "@", zone),
            data=_target(data, zone) if found["type"] in _OF_NAMES else data,
            ttl=int(found.get("ttl") or 0),
            id=int(found["id"]),
        )


class Domains(Requesting):
    """What the API knows of an account's domains. Every method raises ``DigitalOceanError``."""

    def domains(self) -> list[str]:
        """Return the names of all domains of the account."""
        return self._listed("domains", "domains", lambda found: _written(found["name"], ""), "domain:read")

    def create_domain(self, zone: str) -> None:
        """Have a domain; nothing is registered, DigitalOcean's name servers answer for it from now on."""
        self._call("POST", "domains", nothing, ["domain:create"], {"name": zone})

    def records(self, zone: str) -> list[Record] | None:
        """Return all records of a domain, None if the account has no such domain."""
        try:
            return self._listed(
                f"domains/{zone}/records",
                "domain_records",
                lambda found: Record.from_response(found, zone),
                "domain:read",
            )
        except DigitalOceanError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def create_record(self, zone: str, record: Record) -> None:
        """Have one more record.

        Nothing keeps a zone from having the same record twice, so when it is not known whether it was made,
        it is looked for before another is asked for.
        """
        body = {**_body(record, zone), "flags": None, "tag": None}  # the last two are for CAA, and required
        lost: DigitalOceanError | None = None
        for pause in _LOOKS_AFTER:
            try:
                path = f"domains/{zone}/records"
                return self._call("POST", path, nothing, ["domain:create"], body)
            except DigitalOceanError as error:
                if not error.unsure:
                    raise
                lost = error
            time.sleep(pause)
            if any(_is_same(found, record) for found in self.records(zone) or ()):
                return None
        assert lost is not None, "each time round it returns, raises or is lost"  # noqa: S101
        raise lost

    def change_record(self, zone: str, record: Record) -> None:
        """Have the record of that id with this data and time to live."""
        path = f"domains/{zone}/records/{record.id}"
        self._call("PUT", path, nothing, ["domain:update"], _body(record, zone))

    def delete_record(self, zone: str, record: Record) -> None:
        """Have a record no more; one that is gone already will do."""
        self._delete(f"domains/{zone}/records/{record.id}", "domain:delete")


def _written(name: str, zone: str) -> str:
    """Return a name in one form; others have made records of all kinds, and none must be in our way."""
    from tideflow.clients import names  # noqa: PLC0415 - only those who ask about records need dnspython

    try:
        return names.plain(name, zone)
    except ValueError:
        return name.lower()


def _target(data: str, zone: str) -> str:
    """Return the name that a record leads to, which is a whole one with and without its dot."""
    return _written(data if data == "@" else f"{data.rstrip('.')}.", zone)


def _body(record: Record, zone: str) -> dict[str, Any]:
    from tideflow.clients import names  # noqa: PLC0415 - the same

    data = f"{record.data}." if record.type in _OF_NAMES else record.data
    name = names.relative(record.name, zone)
    return {"type": record.type, "name": name, "data": data, "ttl": record.ttl}


def _is_same(found: Record, asked: Record) -> bool:
    return (found.type, found.name, found.data) == (asked.type, asked.name, asked.data)
