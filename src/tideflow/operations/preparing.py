"""What has to be right before the base is written: whose Profiles there are, and each credential.

All of it is looked at before the first write, so that what is refused has changed nothing.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from tideflow.engine.manifests import Key
from tideflow.errors import SettingError
from tideflow.facts.credentials import value
from tideflow.operations import edges, people, renewing
from tideflow.operations.commands import to_run
from tideflow.operations.live import secret, shown
from tideflow.operations.logins import CONFIGURATION, PASSWORDS
from tideflow.operations.restarting import path_of, stamp
from tideflow.operations.running import needed_cluster, platform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tideflow.connectors.platform import PlatformConnector
    from tideflow.engine.plan import Plan
    from tideflow.operations.bases import Base

_PROFILES = "kubeflow-users"
"""The set of people's Profiles, which ``deploys/auth.py`` applies after it has locked out who was removed."""


def prepare(base: Base, plan: Plan) -> None:
    """Have each credential before anything starts with it, and let no Profile change hands."""
    target = platform()
    for manifest in base.manifests:
        if manifest.key.kind == "Profile" and manifest.key in plan.changed:
            people.refuse_other_owner(manifest.key, manifest.body["spec"]["owner"]["name"])
    _refuse_lost_passwords(base, plan)
    _refuse_a_public_default(target, base, plan)
    live = functools.partial(secret, target)
    known = _made_again(base, plan)
    base.credentials.fill(plan.created, live, known=known)
    for key, data in base.credentials.lacking(plan.kept, live).items():
        cluster = needed_cluster(target)
        cluster.patch(path_of(cluster, key), {"data": data})
    for key in known:
        target.host.log(
            f"the Secret {key.namespace}/{key.name} was gone, and is made anew; "
            f"{to_run('credentials')} restarts what still has the old one"
        )
    if CONFIGURATION in plan.changed and _PROFILES not in target.sets:
        target.host.log(f"Dex is told anew who logs in, which is wholly so after: {to_run('auth')}")


def _refuse_lost_passwords(base: Base, plan: Plan) -> None:
    """Raise ``SettingError`` if a database has data under a password that would be made anew."""
    for key, credential in base.credentials.stated:
        if key in plan.created and credential.database and _staying(renewing.deployment(credential.database)):
            raise SettingError(
                f"the Secret {key.namespace}/{key.name} is gone, and {credential.database} has its data "
                "under the password that was in it",
                hint="make it again with that one, which is in the environment of the database's container; "
                "or, if there is no data yet, delete that Deployment",
            )


def _refuse_a_public_default(target: PlatformConnector, base: Base, plan: Plan) -> None:
    """Raise ``SettingError`` if the gateway would get an address while people log in with what all know."""
    if edges.edge() != "istio" or edges.GATEWAY not in {*plan.created, *plan.changed}:
        return
    found = secret(target, PASSWORDS) or {}
    for key, credential in base.credentials.stated:
        if key == PASSWORDS and credential.is_default(value(found, credential.key)):
            raise SettingError(
                "people log in with the password that upstream ships, and Istio's gateway would be public",
                hint=f"run first: {to_run('auth')}, then {to_run('credentials')}",
            )


def _made_again(base: Base, plan: Plan) -> dict[Key, str]:
    """Return a stamp for each Secret that is gone while pods run that were started with what was in it."""
    return {
        key: stamp()
        for key, readers in renewing.readers(base.credentials.stated).items()
        if key in plan.created
        # Of that name, since another release's may have another.
        and any(key.name in json.dumps(live) for live in map(_staying, readers) if live is not None)
    }


def _staying(deployment: Key) -> Mapping[str, Any] | None:
    """Return the template of a Deployment that is there to stay; with its namespace, it would go too."""
    live = shown(deployment)
    if live is None:
        return None
    space = shown(Key("", "Namespace", "", deployment.namespace or "")) or {}
    template: Mapping[str, Any] = live["spec"]["template"]
    return None if "deletionTimestamp" in space.get("metadata", {}) else template
