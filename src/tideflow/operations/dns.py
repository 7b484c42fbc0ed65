"""The DNS record that leads the hostname to the load balancer: made, or waited for until others make it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pyinfra import host

from tideflow.errors import DigitalOceanError, DNSError, SettingError
from tideflow.operations import resolving, zones
from tideflow.operations.balancers import LOAD_BALANCER
from tideflow.operations.commands import to_run
from tideflow.operations.delegation import SERVERS, not_delegated, refuse_elsewhere
from tideflow.operations.hostnames import Asked, goal_of, nameservers
from tideflow.operations.running import (
    announce,
    change,
    executing,
    is_dry,
    operation,
    platform,
    promised,
    refusing,
    settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from pyinfra.api import FunctionCommand

    from tideflow.clients.digitalocean import DigitalOcean
    from tideflow.clients.domains import Record
    from tideflow.connectors.platform import PlatformConnector

_FORBIDDEN = 403


@refusing
def check(asked: Asked) -> None:
    """End the run for what would keep the record from being made, before anything is made that costs."""
    target = platform()
    if asked.zone is not None and records_to_make(asked):
        try:
            wrong = not_delegated(nameservers(target), asked.zone)
        except DNSError as error:
            wrong = f"not checked: whether {asked.zone} is delegated to DigitalOcean ({error})"
        if wrong:
            host.log_styled(wrong, fg="yellow")


def records_to_make(asked: Asked) -> bool:
    """Tell whether records are to be made in the zone of the settings, if there is one.

    Raises ``SettingError`` if it is not there, or others are in the way.
    """
    target = platform()
    api = target.digitalocean
    if api is None or asked.zone is None or asked.needs_none:
        return False
    return bool(_planned(target, api, asked, goal_of(target, asked)).steps)


@operation
def record(*, asked: Asked) -> Generator[FunctionCommand]:
    """Have the hostname lead to the load balancer, by the servers of its zone.

    With a zone of the account, its records are made or corrected; records of others are in the way unless
    they may be overwritten. Without one, the record to make is said, and waited for.
    """
    target = platform()
    api = target.digitalocean
    if asked.needs_none:
        host.noop(f"{asked.hostname} needs no record: it is a name of this machine")
        return
    if api is None:
        host.log(f"{target.platform} is not made by DigitalOcean's API: its records are yours to make")
        return
    goal = goal_of(target, asked)
    if goal is None and (executing() or not promised(LOAD_BALANCER)):
        raise SettingError(
            f"{LOAD_BALANCER} has no address yet", hint=f"run first: {to_run('load_balancer')}"
        )
    wanted = asked.records(goal)
    steps = () if asked.zone is None else _planned(target, api, asked, goal).steps
    for step in steps:
        announce(str(step))
    is_right = goal is not None and not steps and resolving.look(nameservers(target), wanted).is_right
    if asked.patience and not is_right:
        announce(f"wait up to {asked.patience / 60:g} minutes until name servers tell: {wanted[0]}")
    if steps or (asked.patience and not is_right):
        yield change(functools.partial(_work, target, asked, wanted, steps))
    elif is_right or asked.zone is not None:
        host.noop(f"{asked.hostname} has its record, {wanted[0]}")
    else:
        if executing() or is_dry():
            _say(target, wanted)
        host.noop(f"{asked.hostname} is not waited for")


def state(target: PlatformConnector) -> str:
    """Return in one line how the name is at the moment."""
    asked = Asked.of(settings(), rehearsal=target.rehearsal)
    if asked.needs_none:
        return f"none is needed for {asked.hostname}"
    if (goal := goal_of(target, asked)) is None:
        return f"not known what {asked.hostname} should be, without the load balancer's address"
    sight = resolving.look(nameservers(target), asked.records(goal))
    return sight.words if sight.is_right else f"{sight.words}; {to_run('dns')}"


def ours(target: PlatformConnector) -> list[tuple[str, Record]]:
    """Return the records that were made for the platform, with their zones; marks follow what they mark.

    They are found by the marks, in all zones of the account: settings that were given for one run, or that
    were others once, may be missing in this one. They need not lead anywhere any more.
    """
    api = target.digitalocean
    if api is None:
        return []
    try:
        return [
            (zone, found)
            for zone in api.domains()
            for found in zones.owned(api.records(zone) or (), platform=target.platform)
        ]
    except DigitalOceanError as error:
        if error.status == _FORBIDDEN and target.settings.dns_zone is None:
            return []  # a token that must not see records has made none
        raise


def remove(target: PlatformConnector, found: Sequence[tuple[str, Record]]) -> None:
    """Delete records that ``ours`` has returned, in that order: a rerun finds what a killed run has left."""
    api = target.digitalocean
    for zone, there in found:
        assert api is not None, "ours has found them"  # noqa: S101
        api.delete_record(zone, there)
        target.host.log(f"deleted the record {there}")


def _work(
    target: PlatformConnector,
    asked: Asked,
    wanted: Sequence[Record],
    steps: Sequence[zones.Step],
    live: Callable[[str], None],
) -> None:
    """Take the steps, then wait, unless it is in vain."""
    for step in steps:
        _take(target, asked.zone or "", step)
        target.host.log(step.done)
    if not asked.patience:
        return
    servers = nameservers(target)
    if asked.zone is None:
        _say(target, wanted)
        hint = f"make that record, then go on: {to_run('dns')}"
    else:
        hint = f"the records are there; go on waiting: {to_run('dns')}"
        if not resolving.look(servers, wanted).is_right:
            refuse_elsewhere(servers, asked.zone)
    words = resolving.wait(
        servers, wanted, patience=asked.patience, rehearsal=target.rehearsal, live=live, hint=hint
    )
    target.host.log(words)


def _take(target: PlatformConnector, zone: str, step: zones.Step) -> None:
    api = target.digitalocean
    assert api is not None, "there are steps where there is an API"  # noqa: S101
    match step.verb:
        case "create":
            api.create_record(zone, step.record)
        case "change":
            api.change_record(zone, step.record)
        case "delete":
            api.delete_record(zone, step.record)


def _say(target: PlatformConnector, wanted: Sequence[Record]) -> None:
    servers = nameservers(target)
    try:
        zone = servers.zone(wanted[0].name)
        where = f"at the name servers of {zone} ({', '.join(servers.delegated(zone)) or 'there are none'})"
    except DNSError:
        where = "at the name servers of its zone"
    target.host.log_styled(f"make this record {where}:", fg="yellow")
    for there in wanted:
        target.host.log_styled(f"    {there}", fg="yellow")


def _planned(target: PlatformConnector, api: DigitalOcean, asked: Asked, goal: str | None) -> zones.Plan:
    """Return what to do in the zone. Raises ``SettingError`` if it is not there, or others are in the way."""
    zone = asked.zone or ""
    found = api.records(zone)
    if found is None:
        raise SettingError(
            f"the account has no domain {zone}, which the setting dns_zone names",
            hint="add it in the control panel under Networking, Domains, or with doctl compute domain create "
            f"{zone}; at its registrar, set the name servers {', '.join(SERVERS)}; or unset dns_zone",
        )
    planned = zones.plan(
        zone, found, asked.records(goal), platform=target.platform, overwrite=asked.overwrite
    )
    if planned.fixed:
        raise SettingError(
            f"{asked.hostname} cannot have a record {asked.records(goal)[0].type} beside "
            + ", ".join(map(str, planned.fixed)),
            hint="delete these first, or choose another hostname; no record was changed",
        )
    if planned.foreign and not asked.overwrite:
        told = [f"{there}{_maker(found, there)}" for there in planned.foreign]
        raise SettingError(
            f"Tideflow did not make what {asked.hostname} has already: {', '.join(told)}",
            hint="delete it, or have it replaced, in one run, with --data dns_overwrite=true; "
            "no record was changed",
        )
    return planned


def _maker(found: Sequence[Record], there: Record) -> str:
    made_by = zones.maker(found, there)
    return f" (of the platform {made_by})" if made_by else ""
