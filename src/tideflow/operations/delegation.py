"""Whether a zone is delegated to DigitalOcean: only then does anybody ask its servers about records there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tideflow.errors import ApplyError, DNSError
from tideflow.operations.commands import to_run

if TYPE_CHECKING:
    from tideflow.clients.nameservers import NameServers

SERVERS = ("ns1.digitalocean.com", "ns2.digitalocean.com", "ns3.digitalocean.com")
"""The name servers of all domains at DigitalOcean."""

_OF_DIGITALOCEAN = ".digitalocean.com"


def refuse_elsewhere(servers: NameServers, zone: str) -> None:
    """Raise ``ApplyError`` if nobody will ever ask DigitalOcean's servers about the zone."""
    try:
        wrong = not_delegated(servers, zone)
    except DNSError:
        return  # then it is waited for: the servers may be out of reach from here for now
    if wrong:
        raise ApplyError(
            wrong, hint=f"the records are there: once it is delegated, go on with {to_run('dns')}"
        )


def not_delegated(servers: NameServers, zone: str) -> str:
    """Return in words that a zone is not delegated to DigitalOcean, empty if it is. Raises ``DNSError``."""
    found = servers.delegated(zone)
    if any(server.endswith(_OF_DIGITALOCEAN) for server in found):
        return ""
    to_whom = f"to {', '.join(found)}, and not to DigitalOcean" if found else "to nobody"
    return (
        f"{zone} is delegated {to_whom}, so that its records there are seen by nobody: "
        f"at its registrar, set the name servers {', '.join(SERVERS)}"
    )
