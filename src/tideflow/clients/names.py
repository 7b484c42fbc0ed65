"""Names of DNS, each written in one way, so that two of them can be compared as texts.

That is in lower case, without the dot at the end, and in IDNA's form of what is not ASCII.
"""

from __future__ import annotations

import dns.exception
import dns.name

_CODEC = dns.name.IDNA_2008_Practical  # as browsers have it


def plain(name: str, zone: str = "") -> str:
    """Return a name in that form; one without a dot at its end is below the ``zone``, which is ``@`` itself.

    Raises ``ValueError`` for what can be no name.
    """
    try:
        origin = dns.name.from_text(zone, idna_codec=_CODEC) if zone else dns.name.root
        found = dns.name.from_text(name, origin, idna_codec=_CODEC)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise ValueError(f"{name!r} is no name of DNS") from error
    return found.canonicalize().to_text(omit_final_dot=True)


def is_within(name: str, zone: str) -> bool:
    """Tell whether a name is a zone's own or below it."""
    return f".{name}".endswith(f".{zone}")


def relative(name: str, zone: str) -> str:
    """Return what a zone calls one of its names: ``@`` for its own, others without the zone's."""
    return "@" if name == zone else name.removesuffix(f".{zone}")
