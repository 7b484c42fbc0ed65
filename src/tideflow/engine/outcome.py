"""How a run over a set is to go, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from tideflow.engine.lease import Busy
    from tideflow.engine.manifests import Key
    from tideflow.engine.prune import Prune
    from tideflow.engine.records import Record
    from tideflow.engine.writing import Conflicts


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a set is released.

    ``create_once`` are objects that are created when they are missing and left alone afterwards. ``timeout``
    is in seconds, over everything. With ``wait`` off, nothing but gates is waited for. ``replace`` are kinds
    that may be deleted and made again where a field cannot be changed. ``prune`` says what to delete of what
    the set no longer has, ``busy`` whether to wait, for as long as ``timeout``, or to fail while another run
    is at work on the set. ``elsewhere`` returns what other sets are about to have, by their names, and is
    asked only when the set no longer has something. ``stopped`` tells, whenever it is asked, why the run has
    to end early, and nothing while there is no reason.
    """

    create_once: Collection[Key] = frozenset()
    timeout: float = 1800.0
    wait: bool = True
    conflicts: Conflicts = "own"
    replace: Collection[str] = ()
    prune: Prune = "off"
    busy: Busy = "wait"
    elsewhere: Callable[[], Mapping[str, Collection[Key]]] = dict
    stopped: Callable[[], str] = str  # which returns nothing


@dataclass
class Outcome:
    """What became of each object of a run; ``held`` are those that were not written, and why not yet.

    ``notes`` are what a person should know of what was written; ``stopped`` is why the run ended early.
    """

    written: dict[Key, Record] = field(default_factory=dict)
    created: int = 0
    changed: int = 0
    failed: dict[Key, str] = field(default_factory=dict)
    skipped: dict[Key, Key] = field(default_factory=dict)
    not_ready: dict[Key, str] = field(default_factory=dict)
    held: dict[Key, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    stopped: str = ""
    elapsed: float = 0.0
