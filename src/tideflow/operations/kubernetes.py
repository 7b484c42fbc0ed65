"""Applying a set of objects to the platform's cluster."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from pyinfra import host

from tideflow.connectors.interrupts import Interrupt
from tideflow.connectors.platform import CLUSTER
from tideflow.connectors.progress import LiveLine
from tideflow.engine import announcement, templates
from tideflow.engine.applying import Application, Options
from tideflow.engine.lease import Busy
from tideflow.engine.manifests import load
from tideflow.engine.prune import Prune, told
from tideflow.engine.writing import REPLACEABLE, Conflicts
from tideflow.errors import SettingError
from tideflow.operations.running import (
    announce,
    change,
    executing,
    of_set,
    operation,
    platform,
    promised,
    refusing,
    to_run,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator

    from pyinfra.api import FunctionCommand

    from tideflow.engine.applying import Plan, StatedGate
    from tideflow.engine.manifests import Key, Manifest

_SET_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?")  # part of names, and of a label's value
_COLOURS = {"+": "green", "-": "red"}


def _loaded(source: Path | Sequence[Mapping[str, Any]]) -> list[Manifest]:
    return load(source, cache=platform().folder / "cache")


@of_set(lambda *, set_name, source, **_: (set_name, functools.partial(_loaded, source)))
@operation
def apply(
    *,
    source: Path | Sequence[Mapping[str, Any]],
    set_name: str,
    timeout: float = 1800,
    wait: bool = True,
    conflicts: Conflicts = "own",
    replace: Sequence[str] = (),
    prune: Prune = "off",
    busy: Busy = "wait",
) -> Generator[FunctionCommand]:
    """Have all objects of ``source`` in the cluster, as they are there, and ready.

    ``source`` is a folder, a file, or the objects themselves. ``set_name`` says whose they are: writes are
    made under the field manager ``tideflow-<set_name>``. ``timeout`` is in seconds; with ``wait`` off,
    objects need not get ready. Objects whose every field is proven to be what is asked for are not written.

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
    _check_kinds(set_name, source, timeout, replace)
    _check_choices(conflicts=(conflicts, Conflicts), prune=(prune, Prune), busy=(busy, Busy))
    options = Options(
        timeout=timeout, wait=wait, conflicts=conflicts, replace=replace, prune=prune, busy=busy
    )
    yield from application(_loaded(source), set_name=set_name, options=options)


def _check_kinds(set_name: object, source: object, timeout: object, replace: object) -> None:
    """Raise ``SettingError`` for arguments that ``apply`` cannot work with."""
    if not isinstance(set_name, str) or not _SET_NAME.fullmatch(set_name):
        raise SettingError(
            f"the set_name {set_name!r} cannot be part of a Kubernetes name",
            hint="use lower-case letters, digits and '-', 50 at most",
        )
    if not isinstance(source, Path) and not _is_list_of(Mapping, source):
        raise SettingError(
            f"source is {source!r}", hint='it is a Path, as in source=Path("folder"), or a list of objects'
        )
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise SettingError(f"timeout is {timeout!r}", hint="it is a number of seconds, more than 0")
    if not _is_list_of(str, replace):
        raise SettingError(f"replace is {replace!r}", hint='it is a list of kinds, such as ["Job"]')
    for kind in cast("Sequence[str]", replace):
        if kind not in REPLACEABLE:
            raise SettingError(
                f"replace has {kind!r}, which is never deleted to be changed",
                hint="it may have: " + ", ".join(REPLACEABLE),
            )


def _is_list_of(wanted: type, value: object) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and all(isinstance(item, wanted) for item in value)
    )


def _check_choices(**chosen: tuple[object, object]) -> None:
    """Raise ``SettingError`` for a value that is none of its choices."""
    for name, (value, choices) in chosen.items():
        if value not in get_args(choices):
            raise SettingError(f"{name} is {value!r}", hint="it is one of: " + ", ".join(get_args(choices)))


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
    cluster = platform().kubernetes()
    if cluster is None and (executing() or not promised(CLUSTER)):
        raise SettingError(
            f"{CLUSTER} {platform().platform} does not run",
            hint=f"run first: {to_run('cluster')}",
        )
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
    if executing():
        plan = applying.plan()
    else:
        earlier = [found for other, found in platform().sets.items() if other != set_name]
        plan = applying.plan(
            earlier=[manifest for objects in earlier for manifest in objects()],
            foreseen=bool(platform().promised),
        )
    for line in told(plan, set_name):
        host.log(line if executing() else f"would {line}")
    if plan.writes:
        _announce(applying, plan)

        def run(live: Callable[[str], None]) -> None:
            with interrupt:
                summary = applying.run(plan, progress=live, before=before)
            for note in summary.notes:
                host.log(note)
            host.log(str(summary))

        yield change(run)
    elif plan.waiting and not executing():
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


def _elsewhere(set_name: str) -> dict[str, Collection[Key]]:
    """Return what the other sets of this run have, by their names."""
    return {
        other: [manifest.key for manifest in objects()]
        for other, objects in platform().sets.items()
        if other != set_name
    }


def _announce(applying: Application, plan: Plan) -> None:
    """Say what a plan would write; with ``--diff`` by field, and again just before it is written."""
    full = bool(host.state.config.DIFF)
    if executing() and not full:
        return
    live = LiveLine(host)
    try:
        differences = applying.differences(plan, created=not executing(), progress=live)
    finally:
        live.close()
    word = "will" if executing() else "would"
    for line in announcement.lines(plan, differences, full=full, word=word):
        host.log_styled(line.text, fg=_COLOURS.get(line.sign))


@refusing
def render(template: Path, **values: object) -> Sequence[Mapping[str, Any]]:
    """Return the objects of a Jinja2 template of YAML, for a deploy file to apply.

    The run ends with one line if a value that the template wants is not given, or no objects come out.
    """
    return templates.render(template, values)
