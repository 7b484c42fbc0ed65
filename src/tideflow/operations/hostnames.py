"""What the hostname's record is to be: by the settings, and by the load balancer it leads to."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tideflow.clients.domains import Record
from tideflow.connectors.encryption import OF_THIS_MACHINE
from tideflow.operations import balancers
from tideflow.operations.zones import TTL

if TYPE_CHECKING:
    from tideflow.clients.nameservers import NameServers
    from tideflow.connectors.platform import PlatformConnector
    from tideflow.connectors.settings import Settings

_UNKNOWN = "<the load balancer's address>"
_PATIENCE = 300  # seconds


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the settings say of the name; ``patience`` is in seconds, ``zone`` None if others keep it."""

    hostname: str
    zone: str | None
    wildcard: bool
    overwrite: bool
    patience: float

    @classmethod
    def of(cls, settings: Settings, *, rehearsal: bool) -> Asked:
        """Return it; nobody makes records for a rehearsal, so it does not wait for them unless it is told."""
        patience = settings.dns_wait_seconds
        if patience is None:
            patience = 0 if rehearsal and settings.dns_zone is None else _PATIENCE
        return cls(
            hostname=settings.hostname,
            zone=settings.dns_zone,
            wildcard=settings.dns_wildcard,
            overwrite=settings.dns_overwrite,
            patience=patience,
        )

    @property
    def needs_none(self) -> bool:
        """Whether the name leads where it should without any record."""
        return self.hostname.endswith(OF_THIS_MACHINE)

    def records(self, goal: str | None) -> list[Record]:
        """Return the records that lead to an address, or to a name; None for one that is not known yet."""
        names = [self.hostname, f"*.{self.hostname}"] if self.wildcard else [self.hostname]
        kind = "A" if goal is None else _kind(goal)
        data = str(ipaddress.ip_address(goal)) if goal and kind != "CNAME" else goal or _UNKNOWN
        return [Record(type=kind, name=name, data=data, ttl=TTL) for name in names]


def nameservers(target: PlatformConnector) -> NameServers:
    """Return what asks DNS about the platform's names."""
    from tideflow.clients.nameservers import NameServers  # noqa: PLC0415 - dnspython is slow to import

    return NameServers(target.nameserver)


def goal_of(target: PlatformConnector, asked: Asked) -> str | None:
    """Return the address or the name of the load balancer, None while it has none.

    A Service may be told to give the hostname itself for the load balancer's name, so that pods take the way
    through it; a record cannot lead to itself, and the address is the API's to tell then.
    """
    from tideflow.clients import names  # noqa: PLC0415 - the same

    found = balancers.told(target)
    if found is None or _kind(found) != "CNAME":
        return found
    found = names.plain(found)
    return balancers.address(target) if names.is_within(found, asked.hostname) else found


def _kind(goal: str) -> str:
    """Return the type of the record that leads to an address or a name."""
    try:
        return "A" if ipaddress.ip_address(goal).version == 4 else "AAAA"  # noqa: PLR2004 - IP's versions
    except ValueError:
        return "CNAME"
