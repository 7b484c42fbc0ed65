"""What a plan does, said before it is done: object by object, and in full also field by field."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tideflow.engine import showing
from tideflow.engine.showing import Line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from tideflow.engine.comparing import Difference
    from tideflow.engine.manifests import Key
    from tideflow.engine.plan import Plan

_LONGEST_LIST = 20  # objects named one by one where there is nothing more to say about each


def lines(plan: Plan, differences: Mapping[Key, Difference], *, full: bool, word: str) -> Iterator[Line]:
    """Yield one line for each object that a plan writes, and with ``full`` the fields below it.

    Objects of which there is nothing to say but that they come are counted by kind if there are many.
    ``word`` is ``would``, or ``will`` when it is about to be done.
    """
    again = [key for key in plan.changed if differences[key].nothing]
    verbs: dict[str, Collection[Key]] = {
        "create": plan.created,
        "change": [key for key in plan.changed if not differences[key].nothing],
    }
    if not full and len(plan.created) > _LONGEST_LIST:
        refused = {key: None for key in plan.created if key in differences and differences[key].refused}
        verbs["create"] = refused
        yield Line(f"{word} create {_counted([key for key in plan.created if key not in refused])}")
    for verb, keys in verbs.items():
        for key in keys:
            yield from _object(word, verb, key, differences.get(key), full=full)
    if len(again) > _LONGEST_LIST and not full:
        yield Line(f"{word} write again, without changing them, {_counted(again)}")
    else:
        for key in again:
            yield Line(
                f"{word} write {key} again, with the same fields: not all of them are known to be ours"
            )
            yield from _notes(differences[key])
    for key in plan.pruned:
        yield Line(f"{word} delete {key}", "-")
    if plan.unchanged or plan.kept:
        yield Line(f"{word} leave {len(plan.unchanged) + len(plan.kept)} objects as they are")


def _object(word: str, verb: str, key: Key, difference: Difference | None, *, full: bool) -> Iterator[Line]:
    line = f"{word} {verb} {key}"
    if difference is None:
        yield Line(line)
        return
    if difference.refused:
        why = showing.printable(difference.refused)
        yield Line(f"{word} fail to {verb} {key}, as things are now: {why}", "-")
        return
    if difference.replaced:
        line += f" by deleting it and making it anew: {difference.replaced}"
    elif difference.unknown:
        line += f" (cannot be told now: {showing.printable(difference.unknown)})"
    elif not full and verb == "change" and difference.changes:
        line += f": {showing.brief(difference.changes)}"
    yield Line(line)
    if full:
        show = showing.added if verb == "create" else showing.changed
        for below in show(difference.changes):
            yield Line(f"    {below.text}", below.sign)
    yield from _notes(difference)


def _notes(difference: Difference) -> Iterator[Line]:
    for note in difference.notes:
        yield Line(f"      {showing.printable(note)}")


def _counted(keys: Collection[Key]) -> str:
    kinds = Counter(key.kind for key in keys)
    listed = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    return f"{len(keys)} objects: {listed}"
