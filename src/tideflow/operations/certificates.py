"""The hostname's certificate: asked for from cert-manager, or taken from files, and presented by the edge."""

from __future__ import annotations

import datetime as dt
import functools
from typing import TYPE_CHECKING, Any

from pyinfra import host

from tideflow.connectors.encryption import MODES
from tideflow.engine.applying import Options
from tideflow.engine.manifests import Key, load
from tideflow.errors import ApplyError
from tideflow.facts.credentials import value
from tideflow.files import write_private
from tideflow.operations import hostnames, pairs, resolving
from tideflow.operations.commands import to_run
from tideflow.operations.credentials import encoded
from tideflow.operations.issuers import (
    ISSUERS,
    OWN,
    PRODUCTION,
    SPACE,
    STAGING,
    asked_of,
    forgotten,
    has_failed,
    is_asked_of,
    is_ready,
    issued,
)
from tideflow.operations.kubernetes import application
from tideflow.operations.live import annotations_of, secret, shown
from tideflow.operations.running import (
    announce,
    change,
    executing,
    needed_cluster,
    of_set,
    operation,
    platform,
    refusing,
    settings,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

    from pyinfra.api import FunctionCommand

    from tideflow.connectors.encryption import Mode
    from tideflow.connectors.platform import PlatformConnector
    from tideflow.engine.manifests import Manifest
    from tideflow.engine.prune import Prune
    from tideflow.operations.pairs import Pair

SET = "kubeflow-certificate"

AUTHORITY = Key("", "Secret", "cert-manager", "kubeflow-ca")
"""The Secret with the CA of the platform's own."""

_WRITTEN = "cert-manager.io/certificate-name"  # on Secrets that cert-manager wrote


@refusing
def wanted() -> Sequence[Manifest]:
    """Return the objects by which the hostname gets its certificate, of cert-manager or of the files.

    Ends the run, before anything is made, for files that would not serve the hostname.
    """
    encryption = settings().encryption
    match encryption.mode:
        case "off":
            host.log_styled(
                'tls is "off": passwords and sessions travel in clear, and where the hostname is not this '
                'machine, notebooks, volumes and tensorboards refuse forms ("Could not find CSRF cookie")',
                fg="yellow",
            )
            return []
        case "files":
            assert encryption.certificate, "the settings were checked"  # noqa: S101
            assert encryption.key, "the settings were checked"  # noqa: S101
            pair = pairs.read(
                encryption.certificate,
                encryption.key,
                hostname=settings().hostname,
                now=dt.datetime.now(dt.UTC),
            )
            for note in pair.notes:
                host.log_styled(note, fg="yellow")
            return load([_secret_of(pair)])
        case "self-signed":
            return asked_of(OWN)
        case "acme":
            return asked_of(PRODUCTION)


@of_set(lambda *, wanted, **_: (SET, lambda: wanted))
@operation
def certificate(*, wanted: Sequence[Manifest], timeout: float, prune: Prune) -> Generator[FunctionCommand]:
    """Have the certificate in its Secret, and nothing that another way to get one has left.

    ``timeout`` is in seconds; ``prune`` is what ``kubernetes.apply`` takes.
    """
    target, mode = platform(), settings().encryption.mode
    options = Options(timeout=timeout, prune=prune)
    if mode == "acme" and not is_ready(PRODUCTION):
        if executing():
            _require_dns(target)
        is_failure = has_failed()
        if is_failure:
            announce("ask for the certificate once more")
            yield forgotten()
        if is_failure or not is_asked_of(PRODUCTION):
            # What does not work is found out where it costs nothing: Let's Encrypt refuses for a week who has
            # asked its production server too often.
            yield from application(asked_of(STAGING), set_name=SET, options=options)
            yield from issued(STAGING, timeout)
            if not executing():
                announce("have the same certificate issued for browsers, once that has worked")
                return
    yield from application(wanted, set_name=SET, options=options)
    if mode in ISSUERS:
        yield from issued(ISSUERS[mode], timeout)
    if prune != "off":
        yield from _tidy()
    if executing():
        _keep_authority(target, mode)


def state(target: PlatformConnector) -> str:
    """Return in one line who issued the certificate, and until when it is good."""
    encryption = settings().encryption
    if not encryption.is_on:
        return 'none, as tls is "off": what people type is not encrypted'
    found = secret(target, Key("", "Secret", SPACE, encryption.secret_name))
    end = pairs.good_until(_text(found, "tls.crt"))
    if end is None or (encryption.mode == "acme" and not is_asked_of(PRODUCTION)):
        return f"none yet: {to_run('certificate' if encryption.mode == 'acme' else 'ingress')}"
    match encryption.mode:
        case "self-signed":
            return f"of the platform's own CA; to trust it, import {_authority_file(target)}"
        case "acme":
            return f"of Let's Encrypt, good until {end:%Y-%m-%d}, and renewed before"
        case _:
            return f"that of {encryption.certificate}, good until {end:%Y-%m-%d}"


def _secret_of(pair: Pair) -> dict[str, Any]:
    texts = {"tls.crt": pair.certificate, "tls.key": pair.key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": settings().encryption.secret_name, "namespace": SPACE},
        "data": {name: encoded(text) for name, text in texts.items()},
    }


def _require_dns(target: PlatformConnector) -> None:
    """Raise ``ApplyError`` unless the hostname leads here, as Let's Encrypt will ask."""
    asked = hostnames.Asked.of(settings(), rehearsal=target.rehearsal)
    if asked.needs_none:
        return
    goal = hostnames.goal_of(target, asked)
    sight = resolving.look(hostnames.nameservers(target), asked.records(goal)) if goal else None
    if sight is None or not sight.is_right:
        words = sight.words if sight else "the load balancer has no address yet"
        raise ApplyError(
            f"no certificate was asked for, as {asked.hostname} does not lead here: {words}",
            hint=f"run first: {to_run('dns')}; then {to_run('certificate')}",
        )


def _tidy() -> Generator[FunctionCommand]:
    """Delete the Secrets that cert-manager wrote for other modes: it leaves them to whoever asked.

    Among them are the keys of accounts at Let's Encrypt, another of which costs nothing.
    """
    mode = settings().encryption.mode
    doomed = [Key("", "Secret", SPACE, f"kubeflow-tls-{other}") for other in MODES if other != mode]
    if mode != "self-signed":
        doomed.append(AUTHORITY)
    accounts = [STAGING] if mode == "acme" else [STAGING, PRODUCTION]
    doomed += [Key("", "Secret", AUTHORITY.namespace, name) for name in accounts]
    for key in doomed:
        live = shown(key)
        if live is not None and (key.name in accounts or annotations_of(live).get(_WRITTEN)):
            announce(f"delete {key}, which nothing needs any more")
            yield change(functools.partial(_delete, platform(), key))


def _delete(target: PlatformConnector, key: Key, _: object) -> None:
    needed_cluster(target).delete(f"/api/v1/namespaces/{key.namespace}/secrets/{key.name}")
    target.host.log(f"deleted {key}")


def _keep_authority(target: PlatformConnector, mode: Mode) -> None:
    """Have the CA's certificate in a file for people to import; none where there is no such CA."""
    file = _authority_file(target)
    text = _text(secret(target, AUTHORITY), "tls.crt") if mode == "self-signed" else ""
    if not text:
        file.unlink(missing_ok=True)
    elif not file.exists() or file.read_text() != text:
        write_private(file, text)
        target.host.log(f"who trusts {file} trusts the certificate of {settings().hostname}")


def _authority_file(target: PlatformConnector) -> Path:
    return target.folder / "ca.crt"


def _text(found: Mapping[str, Any] | None, name: str) -> str:
    return (value(found or {}, name) or b"").decode(errors="replace")
