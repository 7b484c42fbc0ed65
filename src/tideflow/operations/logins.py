"""What a base has for people beside the owner: Dex's configuration, and hashes until there are passwords."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

import yaml

from tideflow.engine.manifests import Key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tideflow.connectors.people import Person
    from tideflow.vendoring.pins import Credential

CONFIGURATION = Key(group="", kind="ConfigMap", namespace="auth", name="dex")
"""What Dex knows people from."""

PASSWORDS = Key(group="", kind="Secret", namespace="auth", name="dex-passwords")
"""The Secret with the hashes, in upstream's own place."""


def credentials(people: Sequence[Person]) -> list[Credential]:
    """Return what is generated for them: Dex does not start without a hash for each."""
    if not people:
        return []
    from tideflow.vendoring.pins import Credential  # noqa: PLC0415 - pydantic is slow to import

    where = {"kind": "Secret", "namespace": "auth", "name": "dex-passwords"}
    return [Credential(**where, key=person.key, form="bcrypt", readers=("auth/dex",)) for person in people]


def configured(bodies: Sequence[dict[str, Any]], people: Sequence[Person]) -> None:
    """Have Dex's configuration know them, and its pods be others when they are others."""
    if not people:
        return
    for body in bodies:
        where = (body["kind"], body["metadata"].get("namespace"), body["metadata"]["name"])
        if where == ("ConfigMap", CONFIGURATION.namespace, CONFIGURATION.name):
            config = yaml.safe_load(body["data"]["config.yaml"])
            config["staticPasswords"] += [
                {
                    "email": person.email,
                    "hashFromEnv": person.key,
                    "username": person.email.partition("@")[0],
                    "userID": str(uuid.uuid5(uuid.NAMESPACE_URL, f"mailto:{person.email}")),
                }
                for person in people
            ]
            body["data"]["config.yaml"] = yaml.safe_dump(config, sort_keys=False)
        elif where == ("Deployment", CONFIGURATION.namespace, "dex"):
            listed = json.dumps(sorted(person.email for person in people))
            notes = body["spec"]["template"]["metadata"].setdefault("annotations", {})
            notes["tideflow.dev/users"] = hashlib.sha256(listed.encode()).hexdigest()[:16]
