"""Which records a zone is to have for a platform, and what has to be done for it; decided without asking.

DigitalOcean's records carry no tags, so beside each of ours is a mark: a TXT record that tells the platform,
and which data was given to the record. It is in the zone itself, where it survives the cluster and this
machine, and where whoever looks at the zone can read it. A record that another has changed since is not ours
any more. A mark is made before its record, and goes after it, so that a run which is killed at any moment
leaves no record that the next one would not know for its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

from tideflow.clients.domains import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

TTL = 60
"""Seconds that others may remember a record. A load balancer that is made anew has another address, and
visitors should follow soon; it is asked for rarely enough that nobody feels the shorter memory."""

_ALONE, _WILDCARD = "_tideflow", "_tideflow-wildcard"
_MARK = re.compile(r"tideflow platform=(?P<platform>\S+) (?P<type>\S+) (?P<data>\S+)")
_ADDRESSING = ("A", "AAAA", "CNAME")


@dataclass(frozen=True)
class Mark:
    """That a platform has made a record."""

    platform: str
    name: str
    type: str
    data: str

    @classmethod
    def read(cls, record: Record) -> Self | None:
        """Return the mark that a record is; None if it is none."""
        first, _, rest = record.name.partition(".")
        found = _MARK.fullmatch(record.data.strip('"')) if record.type == "TXT" else None
        if found is None or first not in {_ALONE, _WILDCARD}:
            return None
        name = rest if first == _ALONE else f"*.{rest}"
        return cls(found["platform"], name, found["type"], found["data"])

    @property
    def record(self) -> Record:
        """The record that tells it."""
        name = (
            f"{_WILDCARD}.{self.name.removeprefix('*.')}"
            if self.name.startswith("*.")
            else f"{_ALONE}.{self.name}"
        )
        return Record(
            type="TXT",
            name=name,
            data=f"tideflow platform={self.platform} {self.type} {self.data}",
            ttl=TTL,
        )

    def is_of(self, record: Record) -> bool:
        """Tell whether a record is the one that was made."""
        return (self.name, self.type, self.data) == (record.name, record.type, record.data)


@dataclass(frozen=True)
class Step:
    """One thing to do with one record; ``was`` is what a record that is changed said before."""

    verb: Literal["create", "change", "delete"]
    record: Record
    was: Record | None = None

    def __str__(self) -> str:
        """Return it in words."""
        if self.was is None:
            return f"{self.verb} the record {self.record}"
        return f"change the record {self.was}, to {self.record.data} for {self.record.ttl} seconds"

    @property
    def done(self) -> str:
        """The same, once it has been done."""
        return str(self).replace(self.verb, f"{self.verb.removesuffix('e')}ed", 1)


@dataclass(frozen=True)
class Plan:
    """What to do, in this order, and the records of others that are ``foreign`` and in the way.

    Those that are ``fixed`` cannot be beside what is wanted, and are never replaced.
    """

    steps: tuple[Step, ...]
    foreign: tuple[Record, ...]
    fixed: tuple[Record, ...]


def plan(
    zone: str, found: Sequence[Record], wanted: Sequence[Record], *, platform: str, overwrite: bool
) -> Plan:
    """Return what a zone with these records lacks, or has too much of, for those that are wanted.

    What the platform has made and no longer wants goes, under whichever name. So does what is there twice: a
    request of a run that was killed may be carried out after the next one has looked. With ``overwrite`` the
    records of others that are in the way are replaced.
    """
    marks = [(record, mark) for record in found if (mark := Mark.read(record))]
    mine = [mark for _, mark in marks if mark.platform == platform]
    ours = {record.id for record in found if any(mark.is_of(record) for mark in mine)}
    names = {record.name for record in wanted}
    begun: list[Step] = []
    made: list[Step] = []
    foreign: list[Record] = []
    for asked in wanted:
        at = [there for there in found if there.name == asked.name and there.type in _ADDRESSING]
        right = [there for there in at if (there.type, there.data) == (asked.type, asked.data)]
        kept = next((there for there in right if there.id in ours), next(iter(right), None))
        others = [there for there in at if there.id not in ours and there not in right]
        foreign += others
        if kept is None:
            mark = Mark(platform, asked.name, asked.type, asked.data)
            begun += [] if mark in mine else [Step("create", mark.record)]
            reusable = [there for there in at if there.type == asked.type]
            reusable = [there for there in reusable if there.id in ours] or (reusable if overwrite else [])
            kept = reusable[0] if reusable else None
        gone = [
            there for there in at if there != kept and (there.id in ours or (overwrite and there in others))
        ]
        made += [Step("delete", there) for there in gone]
        made += _made(kept, asked, is_ours=kept is not None and kept.id in ours)
    stale = [there for there in found if there.id in ours and there.name not in names]
    made += [Step("delete", there) for there in stale]
    kept_marks: set[Mark] = set()
    ended: list[Step] = []
    for there, mark in marks:
        is_current = any(mark.is_of(asked) for asked in wanted) and mark not in kept_marks
        if mark.platform == platform and not is_current:
            ended.append(Step("delete", there))
        kept_marks.add(mark)
    return Plan((*begun, *made, *ended), tuple(foreign), tuple(_fixed(zone, found, wanted)))


def owned(found: Iterable[Record], *, platform: str) -> list[Record]:
    """Return what a platform has made in a zone: its records, and after them their marks."""
    found = list(found)
    marks = [(there, mark) for there in found if (mark := Mark.read(there)) and mark.platform == platform]
    records = [there for there in found if any(mark.is_of(there) for _, mark in marks)]
    return [*records, *(there for there, _ in marks)]


def maker(found: Iterable[Record], record: Record) -> str:
    """Return the platform that has made a record, empty if it was none."""
    marks = filter(None, map(Mark.read, found))
    return next((mark.platform for mark in marks if mark.is_of(record)), "")


def _made(kept: Record | None, asked: Record, *, is_ours: bool) -> list[Step]:
    """Return what makes the record that is kept the one asked for; one that others made so is theirs."""
    if kept is None:
        return [Step("create", asked)]
    if kept.data == asked.data and (kept.ttl == asked.ttl or not is_ours):
        return []
    return [Step("change", replace(asked, id=kept.id), kept)]


def _fixed(zone: str, found: Sequence[Record], wanted: Sequence[Record]) -> Iterator[Record]:
    """Yield what rules a wanted record out: a name that is delegated, or that is to be an alias and more."""
    for asked in wanted:
        for there in found:
            if there.name == asked.name and there.type not in _ADDRESSING:
                is_delegated = there.type == "NS" and there.name != zone
                if asked.type == "CNAME" or is_delegated:
                    yield there
