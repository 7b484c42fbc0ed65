"""Reading requests about domains and their records."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from tideflow.rehearsal.twin import queries, reading

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"({_LABEL}\.)+{_LABEL}")
_RECORD = re.compile(rf"@|(\*|{_LABEL})(\.{_LABEL})*")
_LONGEST = 253  # characters of a name
_SHORTEST_TTL = 30  # seconds

Type = Literal["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"]


def _domain(name: str) -> str:
    if not _DOMAIN.fullmatch(name) or len(name) > _LONGEST:
        raise reading.refused("is not the name of a domain")
    return name


def _record(name: str) -> str:
    if not _RECORD.fullmatch(name):
        raise reading.refused("is not a name below the domain, nor @ for the domain's own")
    return name


def _v4(address: str) -> str:
    try:
        return str(ipaddress.IPv4Address(address))
    except ValueError:
        raise reading.refused("is not an IPv4 address") from None


class Domain(reading.Body):
    """A new domain, and whether it has an address."""

    name: Annotated[str, AfterValidator(_domain)]
    ip_address: Annotated[str, AfterValidator(_v4)] | None = None


class RecordChange(reading.Body):
    """What a record is to be; only what was given changes, and the type is said and does not."""

    type: Type
    name: Annotated[str, AfterValidator(_record)] = "@"
    data: Annotated[str, Field(min_length=1)] = "@"
    priority: Annotated[int, Field(ge=0, le=65535)] | None = None
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    ttl: Annotated[int, Field(ge=_SHORTEST_TTL)] = 1800
    weight: Annotated[int, Field(ge=0, le=65535)] | None = None
    flags: Annotated[int, Field(ge=0, le=255)] | None = None
    tag: str | None = None

    @model_validator(mode="after")
    def _address(self) -> Self:
        address: Any = {"A": ipaddress.IPv4Address, "AAAA": ipaddress.IPv6Address}.get(self.type)
        if address is not None and "data" in self.model_fields_set:
            try:
                address(self.data)
            except ValueError:
                raise reading.refused(f"data is not an address as {self.type} records have it") from None
        return self


class Record(RecordChange):
    """A new record."""

    name: Annotated[str, AfterValidator(_record)]
    data: Annotated[str, Field(min_length=1)]


class Records(queries.Page):
    """Which records, if not all; the name is a whole one."""

    type: Type | Literal["SOA"] | None = None
    name: str | None = None
