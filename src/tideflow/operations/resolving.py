"""Waiting until name servers tell what they are to tell, by asking them again and again: none would call."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tideflow.errors import ApplyError, DNSError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tideflow.clients.domains import Record
    from tideflow.clients.nameservers import NameServers, Told

_POLL = 5.0  # seconds between two looks; those who answer are not ours
_POLL_REHEARSAL = 0.5
_MOST_NAMED = 2


@dataclass(frozen=True)
class Sight:
    """Whether every server that answers tells what is wanted, and in words what they tell."""

    is_right: bool
    words: str


def look(servers: NameServers, wanted: Sequence[Record]) -> Sight:
    """Return what is told of the records: of the first that is not as wanted, or else of the first."""
    sights: list[Sight] = []
    for record in wanted:
        try:
            sights.append(_sight(record, servers.told(record.name, record.type)))
        except DNSError as error:
            sights.append(Sight(is_right=False, words=str(error)))
        if not sights[-1].is_right:
            return sights[-1]
    return sights[0]


def strays(servers: NameServers, wanted: Record) -> str:
    """Return, in words, which addresses of the other version of IP a record of addresses stands beside.

    Browsers that can use these go there. It is empty if there are none, or none are told.
    """
    other = {"A": "AAAA", "AAAA": "A"}.get(wanted.type)
    try:
        told = servers.told(wanted.name, other) if other else []
    except DNSError:
        return ""
    found = [each for each in told if each.data]
    return f"{wanted.name} {_grouped(found)}" if found else ""


def wait(
    servers: NameServers,
    wanted: Sequence[Record],
    *,
    patience: float,
    rehearsal: bool,
    live: Callable[[str], None],
    hint: str,
) -> str:
    """Return in words what is told, once that is what is wanted; raise ``ApplyError`` after the ``patience``.

    It is in seconds, and ``hint`` says what to do then.
    """
    what = f"the record {wanted[0].name} {wanted[0].type} {wanted[0].data}"
    start = time.monotonic()
    while not (sight := look(servers, wanted)).is_right:
        elapsed = time.monotonic() - start
        if elapsed >= patience:
            raise ApplyError(f"waited {elapsed:.0f} s for {what}: {sight.words}", hint=hint)
        live(f"waiting {elapsed:.0f} s for {what}: {sight.words}")
        time.sleep(min(_POLL_REHEARSAL if rehearsal else _POLL, max(0.0, patience - elapsed)))
    return sight.words


def _sight(record: Record, told: Sequence[Told]) -> Sight:
    answers = [found for found in told if found.answers]
    wrong = [found for found in answers if found.data != (record.data,)]
    shown = wrong or answers
    if not shown:
        return Sight(is_right=False, words=f"{record.name} {_grouped(told)}")
    return Sight(is_right=not wrong, words=f"{record.name} {_grouped(shown)}")


def _grouped(told: Sequence[Told]) -> str:
    """Return what servers tell, those together that tell the same."""
    groups: dict[str, list[str]] = {}
    for found in told:
        groups.setdefault(found.why or f"is {', '.join(found.data)}", []).append(found.server)
    return "; ".join(f"{what} ({_few(servers)})" for what, servers in groups.items())


def _few(servers: Sequence[str]) -> str:
    more = f" and {len(servers) - _MOST_NAMED} more" if len(servers) > _MOST_NAMED else ""
    return f"{', '.join(servers[:_MOST_NAMED])}{more}"
