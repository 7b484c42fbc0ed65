"""What is looked at from outside on a platform, and what people are told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyinfra import host

from tideflow.connectors.progress import LiveLine
from tideflow.engine.manifests import Key
from tideflow.engine.records import Records
from tideflow.errors import ApplyError, SettingError
from tideflow.facts.credentials import value
from tideflow.operations import balancers, certificates, edges, hostnames, renewing, resolving, sessions
from tideflow.operations.bases import SET, foreseen
from tideflow.operations.commands import to_run
from tideflow.operations.issuers import PRODUCTION, SPACE
from tideflow.operations.live import annotations_of, secret, shown
from tideflow.operations.logins import PASSWORDS
from tideflow.operations.running import settings
from tideflow.operations.ways import Trouble, Way
from tideflow.rehearsal.gateway.places import LISTENS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from tideflow.connectors.platform import PlatformConnector
    from tideflow.operations.outside import Sight
    from tideflow.operations.renewing import Stated

    Live = Mapping[Key, Mapping[str, Any]]

_PATIENCE = 120.0  # seconds; a load balancer that was just made looks at what is behind it for a minute
_PATIENCE_REHEARSAL = 10.0


def reach(target: PlatformConnector, *, timeout: float) -> None:
    """Look whether strangers get to the login; raises ``ApplyError`` for what a step can put right.

    What only people can do (a record that is theirs to make, a look from a network that is let in) is said,
    and no error. ``timeout`` is in seconds.
    """
    from tideflow.operations import outside  # noqa: PLC0415 - requests is slow to import

    asked = hostnames.Asked.of(settings(), rehearsal=target.rehearsal)
    goal = hostnames.goal_of(target, asked)
    named = _named(target, asked, goal)
    way = _way(target, goal)
    patience = min(timeout, _PATIENCE_REHEARSAL if target.rehearsal else _PATIENCE)
    live = LiveLine(target.host)
    try:
        sight = outside.wait(way, patience=patience, rehearsal=target.rehearsal, live=live)
    finally:
        live.close()
    for note in sight.notes:
        host.log_styled(note, fg="yellow")
    troubles = [found for found in (named, _in_the_way(target, sight)) if found is not None]
    errors = [found for found in troubles if not found.theirs]
    if errors:
        raise ApplyError(
            f"{way.url} is not as it should be: {'; '.join(found.what for found in errors)}",
            hint="; ".join(dict.fromkeys(map(_hint, errors))),
        )
    for found in troubles:
        host.log_styled(f"what is left to do: {found.what}; {_hint(found)}", fg="yellow")
    if sight.trouble is None:
        # Last, since it is what people want.
        through = f", at {way.address}" if named is not None else ""
        host.log(f"{way.url} leads to Kubeflow's login{through}")


def _hint(found: Trouble) -> str:
    verb = "look again" if found.step == "reachable" else "run"
    parts = (found.first, f"{verb}: {to_run(found.step)}", found.otherwise)
    return "; ".join(part for part in parts if part)


def _named(target: PlatformConnector, asked: hostnames.Asked, goal: str | None) -> Trouble | None:
    """Return what is wrong with what the servers of its zone tell of the hostname."""
    if asked.needs_none or goal is None:
        return None
    servers, wanted = hostnames.nameservers(target), asked.records(goal)
    sight = resolving.look(servers, wanted)
    if not sight.is_right and asked.zone is None:
        return Trouble(f"make the record {wanted[0]} ({sight.words})", "reachable", theirs=True)
    if not sight.is_right:
        return Trouble(f"the name does not lead here: {sight.words}", "dns")
    if strays := resolving.strays(servers, wanted[0]):
        what = f"the name leads elsewhere too: {strays}"
        if asked.zone is None:
            return Trouble(f"delete the other record, as {what}", "reachable", theirs=True)
        return Trouble(what, "dns")
    return None


def _way(target: PlatformConnector, goal: str | None) -> Way:
    chosen, mode = settings(), settings().encryption.mode
    listens = annotations_of(shown(edges.balanced())).get(LISTENS, "")
    address, _, port = listens.rpartition(":")
    if port.isdecimal():
        ports = {"http": int(port), "https": int(port)}
    elif target.rehearsal or (goal is None and target.digitalocean is not None):
        step = "load_balancer" if edges.edge() == "nginx" else "kubeflow_base"
        raise SettingError(f"{balancers.LOAD_BALANCER} has no address yet", hint=f"run first: {to_run(step)}")
    else:
        # Where the load balancer is others' business, its address may be known by the hostname only.
        address, ports = balancers.address(target) or goal or chosen.hostname, {"http": 80, "https": 443}
    return Way(
        hostname=chosen.hostname,
        address=address,
        ports=ports,
        mode=mode,
        edge=edges.edge(),
        authority=_authority(target, rehearsed=port.isdecimal()),
        secret=_certificate(target, Key("", "Secret", SPACE, chosen.encryption.secret_name)),
        sources=chosen.balancing.sources or (),
    )


def _authority(target: PlatformConnector, *, rehearsed: bool) -> str:
    """Return the CA that the certificate is of, if it is none that browsers trust by themselves.

    Who stands in for Let's Encrypt in a rehearsal has a CA in the Secret of its account.
    """
    mode = settings().encryption.mode
    if mode == "self-signed":
        return _certificate(target, certificates.AUTHORITY)
    if mode == "acme" and rehearsed:
        return _certificate(target, Key("", "Secret", certificates.AUTHORITY.namespace, PRODUCTION))
    return ""


def _certificate(target: PlatformConnector, key: Key) -> str:
    return (value(secret(target, key) or {}, "tls.crt") or b"").decode(errors="replace")


def _unfinished(target: PlatformConnector) -> Trouble | None:
    """Return that the base is not wholly there, which explains whatever else is in the way."""
    cluster = target.kubernetes()
    if cluster is None or Records(cluster, SET).read():
        return None
    return Trouble("the Kubeflow base is not there, or not wholly", "kubeflow_base")


def _in_the_way(target: PlatformConnector, sight: Sight) -> Trouble | None:
    """Return what is, by what was seen from outside and by what only the cluster tells."""
    if sight.trouble is not None:
        return _unfinished(target) or sight.trouble
    stated = foreseen().credentials.stated
    live = renewing.live(target, stated)
    return _apart(stated, live) or _stale(target, stated, live)


def _apart(stated: Sequence[Stated], live: Live) -> Trouble | None:
    """Return which credentials would fail a login after the password: no stranger sees that.

    A Secret that is not there is another release's, or what needs it does not run.
    """
    for group in dict.fromkeys(each.group for _, each in stated if each.group):
        halves = [(key, each.key) for key, each in stated if each.group == group]
        if len({value(live[key], name) for key, name in halves if key in live}) > 1:
            where = " and ".join(f"{key.namespace}/{key.name}" for key, _ in halves)
            return Trouble(f"the Secrets {where} do not have the same {group}", "credentials")
    return None


def _stale(target: PlatformConnector, stated: Sequence[Stated], live: Live) -> Trouble | None:
    """Return what still runs with credentials of before: who logs in would be sent back, or be refused."""
    stamps = renewing.stamps(live)
    reading = {key: readers for key, readers in renewing.readers(stated).items() if key in stamps}
    if stale := renewing.stale(stamps, reading, renewing.deployments(reading)):
        names = ", ".join(f"{key.namespace}/{key.name}" for key in stale)
        return Trouble(f"{names} did not start with the credentials that there are now", "credentials")
    if sessions.begun(target, live.get(PASSWORDS, {})):
        return Trouble("Dex did not start with the passwords that there are now", "auth")
    return None
