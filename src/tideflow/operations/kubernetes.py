"""Applying a set of objects to the platform's cluster."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyinfra import host

from tideflow.connectors.interrupts import Interrupt
from tideflow.connectors.progress import LiveLine
from tideflow.engine import announcement, templates
from tideflow.engine.applying import Application, Options, Others
from tideflow.engine.manifests import load
from tideflow.engine.prune import spared, told
from tideflow.errors import ManifestError
from tideflow.operations import arguments
from tideflow.operations.running import (
    announce,
    change,
    executing,
    of_set,
    operation,
    platform,
    present_cluster,
    refusing,
)
from tideflow.operations.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator

    from pyinfra.api import FunctionCommand

    from tideflow.engine.applying import Plan, StatedGate
    from tideflow.engine.lease import Busy
    from tideflow.engine.manifests import Key, Manifest
    from tideflow.engine.prune import Prune
    from tideflow.engine.writing import Conflicts

Source = Path | Sequence[Mapping[str, Any]] | None
_COLOURS = {"+": "green", "-": "red"}


def _loaded(source: Source) -> list[Manifest]:
    if source is None:
        return []
    found = load(source, cache=platform().folder / "cache")
    if not found:
        where = f"in {source}" if isinstance(source, Path) else "in the source"
        raise ManifestError(
            f"there is no object {where}",
            hint="if all that the set ever had is to go, write source=None",
        )
    return found


def _described(
    *, set_name: str, source: Source, conflicts: Conflicts, **others: Any
) -> tuple[str, Callable[[], Sequence[Manifest]]]:
    """Return what ``of_set`` wants; raises ``TideflowError`` before anything of the run is written."""
    arguments.check(set_name=set_name, source=source, conflicts=conflicts, **others)
    objects = functools.partial(_loaded, source)
    earlier = {other: found for other, found in platform().sets.items() if other != set_name}
    # What an earlier operation is to write into a file may not be there yet.
    if platform().sets and not (isinstance(source, Path) and not source.exists()):
        found = objects()
        if conflicts == "own":
            Others({other: _there(read) for other, read in earlier.items()}).refuse_differing(set_name, found)
    return set_name, objects


def _there(objects: Callable[[], Sequence[Manifest]]) -> Sequence[Manifest]:
    """Return the objects of a set, none where they cannot be read yet: its own turn tells why not."""
    try:
        return objects()
    except ManifestError:
        return ()


@of_set(_described)
@operation
def apply(
    *,
    source: Source,
    set_name: str,
    timeout: float = 1800,
    wait: bool = True,
    conflicts: Conflicts = "own",
    replace: Sequence[str] = (),
    prune: Prune = "off",
    busy: Busy = "wait",
) -> Generator[FunctionCommand]:
    """Have all objects of ``source`` in the cluster, as they are there, and ready.

    ``source`` is a folder, a file, or the objects themselves; None if there are to be none any more.
    ``set_name`` says whose they are: writes are made under the field manager ``tideflow-<set_name>``.
    ``timeout`` is in seconds; with ``wait`` off, objects need not get ready. Objects whose every field is
    proven to be what is asked for are not written.

    ``conflicts`` says what becomes of fields that another manager owns and that the source sets to another
    value: ``"own"`` takes them, ``"yield"`` leaves them to their owner and says so, ``"fail"`` writes nothing
    of such an object and names owner, field and both values. ``replace`` lists kinds (``"Job"``,
    ``"StatefulSet"``) that are deleted and made again where a field cannot be changed; the pods of a
    StatefulSet stay, those of a Job do not.

    What the set once had and no longer has stays with ``prune="off"``, and the run says so. ``"objects"``
    deletes it, but for what would take users' data with it: Namespaces, definitions, volumes and claims,
    whatever owns a claim, Profiles and credentials. ``"everything"`` deletes these too.

    One run at a time writes to a set. While another one does, this one waits, for up to ``timeout`` seconds;
    with ``busy="fail"`` it ends instead.
    """
    options = Options(
        timeout=timeout, wait=wait, conflicts=conflicts, replace=replace, prune=prune, busy=busy
    )
    yield from application(_loaded(source), set_name=set_name, options=options)


def application(
    manifests: Sequence[Manifest],
    *,
    set_name: str,
    options: Options,
    gates: Sequence[StatedGate] = (),
    before: Callable[[Plan], None] = lambda _: None,
) -> Generator[FunctionCommand]:
    """Do what ``apply`` does, for operations that make the manifests themselves.

    ``before`` is called with the plan just before it is carried out.
    """
    target = platform()
    cluster = present_cluster()
    interrupt = Interrupt()
    applying = Application(
        cluster,
        set_name=set_name,
        manifests=manifests,
        gates=gates,
        options=dataclasses.replace(
            options, stopped=interrupt.reason, elsewhere=functools.partial(_elsewhere, set_name)
        ),
    )
    plan = applying.plan(_others(set_name))
    for line in told(plan, set_name):
        host.log(line if executing() else f"would {line}")
    if not executing():
        _foretell(plan, set_name)
    if plan.writes:
        refused = _announce(applying, plan)
        if refused and target.dry:
            target.fail(f"{counted(refused, 'object')} of {set_name} would fail, so this dry run does too")

        def run(live: Callable[[str], None]) -> None:
            with interrupt:
                summary = applying.run(plan, progress=live, before=before)
            for note in summary.notes:
                host.log(note)
            host.log(str(summary))

        yield change(run)
    elif plan.waiting and options.wait and not executing():
        announce(f"wait for {len(plan.waiting)} objects that are not ready, without writing anything")
    elif plan.waiting and options.wait:
        # Waiting changes nothing, so nothing is yielded: pyinfra would count it as a change.
        live = LiveLine(host)
        try:
            with interrupt:
                applying.run(plan, progress=live)
        finally:
            live.close()
    else:
        host.noop(f"all {len(plan.unchanged) + len(plan.kept)} objects of {set_name} are as they should be")


def _others(set_name: str) -> Others:
    """Return the sets before this one in the same run."""
    before = itertools.takewhile(lambda found: found[0] != set_name, platform().sets.items())
    return Others(
        sets={other: objects() for other, objects in before},
        writing=() if executing() else tuple(platform().foretold),
        more=bool(platform().promised) and not executing(),
    )


def _foretell(plan: Plan, set_name: str) -> None:
    """Remember what a set would write and delete, and say what earlier ones will not delete after all."""
    target = platform()
    cluster = target.kubernetes()
    keys = [*plan.created, *plan.changed, *plan.unchanged, *plan.kept]
    for other, before in target.foretold.items():
        stays = spared(before.pruned, keys, cluster.resources(), f"the set {set_name}") if cluster else {}
        for key, why in stays.items():
            host.log(f"would not delete {key} of {other} after all: {why}")
    if plan.writes:
        target.foretold[set_name] = plan


def _elsewhere(set_name: str) -> dict[str, Collection[Key]]:
    """Return what the other sets of this run have, by their names."""
    return {
        other: [manifest.key for manifest in objects()]
        for other, objects in platform().sets.items()
        if other != set_name
    }


def _announce(applying: Application, plan: Plan) -> int:
    """Say what a plan would write; with ``--diff`` by field, and again just before it is written.

    Return how many objects the server would refuse.
    """
    full = bool(host.state.config.DIFF)
    if executing() and not full:
        return 0
    live = LiveLine(host)
    try:
        differences = applying.differences(plan, created=not executing(), progress=live)
    finally:
        live.close()
    word = "will" if executing() else "would"
    for line in announcement.lines(plan, differences, full=full, word=word):
        host.log_styled(line.text, fg=_COLOURS.get(line.sign))
    return sum(bool(difference.refused) for difference in differences.values())


@refusing
def render(template: Path | str, **values: object) -> Sequence[Mapping[str, Any]]:
    """Return the objects of a Jinja2 template of YAML, for a deploy file to apply.

    The run ends with one line if a value that the template wants is not given.
    """
    return templates.render(Path(template), values)
