"""Domains and their records, as DigitalOcean's name servers would tell them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVERS = ("ns1.digitalocean.com", "ns2.digitalocean.com", "ns3.digitalocean.com")

APEX = "@"
"""What a record of the domain's own name is called."""

_TTL = 1800  # seconds


def _id() -> int:
    return 10**8 + secrets.randbelow(9 * 10**8)


@dataclass
class Record:
    """One record; what a type has no use for is None."""

    type: str
    name: str
    data: str
    priority: int | None = None
    port: int | None = None
    ttl: int = _TTL
    weight: int | None = None
    flags: int | None = None
    tag: str | None = None
    id: int = field(default_factory=_id)

    def change(self, changes: Mapping[str, Any]) -> None:
        """Change fields."""
        for name, value in changes.items():
            setattr(self, name, value)

    @property
    def text(self) -> str:
        """What it says, as in a zone file."""
        numbers = [self.priority, self.weight, self.port] if self.type in {"MX", "SRV"} else [self.flags]
        data = f'"{self.data}"' if self.type in {"TXT", "CAA"} else self.data
        dot = "." if self.type in {"CNAME", "MX", "NS", "SRV"} and not data.endswith(".") else ""
        parts = [*(number for number in numbers if number is not None), self.tag, data + dot]
        return " ".join(str(part) for part in parts if part is not None)


@dataclass
class Domain:
    """A domain with its records; a new one has those of the name servers."""

    name: str
    ttl: int = _TTL
    records: list[Record] = field(default_factory=lambda: [Record("NS", APEX, server) for server in SERVERS])

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> Self:
        """Read what ``asdict`` made of one."""
        return cls(**{**saved, "records": [Record(**record) for record in saved["records"]]})

    def full_name(self, record: Record) -> str:
        """Return the whole name that a record is about."""
        return self.name if record.name == APEX else f"{record.name}.{self.name}"

    def conflicts(self, new: Record) -> bool:
        """Tell whether a record cannot be beside the others: an alias has its name for itself."""
        others = [found for found in self.records if found.name == new.name and found.id != new.id]
        return bool(others) and "CNAME" in {new.type, *(found.type for found in others)}

    @property
    def zone_file(self) -> str:
        """All of it, as name servers read it."""
        soa = f"{SERVERS[0]}. hostmaster.{self.name}. 1 10800 3600 604800 {self.ttl}"
        lines = [f"$ORIGIN {self.name}.", f"$TTL {self.ttl}", f"{self.name}. IN SOA {soa}"]
        lines += [
            f"{self.full_name(record)}. {record.ttl} IN {record.type} {record.text}"
            for record in self.records
        ]
        return "\n".join([*lines, ""])
