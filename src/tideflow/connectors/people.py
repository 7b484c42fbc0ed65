"""Who logs in beside the owner: the setting ``users``, read and checked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tideflow.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tideflow.connectors.reading import Data

PREFIX = "DEX_USER_PASSWORD_"
"""Before what is of one person, a key of the Secret that Dex reads."""

# bcrypt's form; Dex takes these costs.
_HASH = re.compile(r"\$2[aby]\$1[0-6]\$[./A-Za-z0-9]{53}", re.ASCII)
_LONGEST = 63  # characters of a namespace's name


@dataclass(frozen=True)
class Person:
    """Somebody with a Profile. Without a ``hash`` the password is asked for."""

    email: str
    hash: str | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """The key of the Secret, and variable of Dex, that has the hash."""
        return PREFIX + hashlib.sha256(self.email.encode()).hexdigest()[:12].upper()

    @property
    def profile(self) -> str:
        """The name of the Profile, and so of its namespace."""
        return re.sub(r"[^a-z0-9]+", "-", self.email.lower()).strip("-")[:_LONGEST].strip("-")


def read(data: Data, owner: str, form: re.Pattern[str]) -> tuple[Person, ...]:
    """Return who is in the setting ``users``, but for the ``owner``; raises ``SettingError``."""
    value = data.get("users")
    if not isinstance(value, list | tuple):
        raise SettingError("the setting users is not a list of e-mail addresses", hint='such as ["a@b.org"]')
    people = [_person(each, form) for each in value]
    others = [person for person in people if person.email.lower() != owner.lower()]
    if any(person.hash for person in people if person not in others):
        raise SettingError(
            f"the setting users has a hash for {owner}, who is the owner",
            hint="the owner's password is asked for, or in TIDEFLOW_PASSWORD: leave it out of users",
        )
    names = [person.profile for person in others]
    for person in others:
        if names.count(person.profile) > 1:
            raise SettingError(
                f"two of the setting users have the Profile {person.profile}, {person.email} one of them",
                hint="each e-mail stands there once, and differs from others in letters or digits",
            )
    return tuple(others)


def whose(data: Data, setting: str, owner: str, others: Sequence[Person]) -> tuple[str, ...]:
    """Return the e-mails of whose password is to be chosen anew: the owner's for true, or those of a list."""
    value = data.get(setting)
    if isinstance(value, bool):
        return (owner,) if value else ()
    known = [owner, *(person.email for person in others if person.hash is None)]
    if not isinstance(value, list | tuple) or not all(each in known for each in value):
        raise SettingError(
            # Somebody may have written a password there, so it is not repeated.
            f"the setting {setting} is neither true nor false, nor a list of who chooses a password",
            hint=f"those are {', '.join(known)}; a hash is changed in the setting users, and a password is "
            "asked for",
        )
    return tuple(value)


def _person(given: object, form: re.Pattern[str]) -> Person:
    fields = given if isinstance(given, Mapping) else {"email": given}
    email, hashed = fields.get("email"), fields.get("hash")
    if not isinstance(email, str) or not form.fullmatch(email) or fields.keys() - {"email", "hash"}:
        raise SettingError(
            "the setting users has what is no e-mail address, and no mapping of email and hash",
            hint='write "ada@example.org", or {"email": "ada@example.org", "hash": "$2b$12$…"}',
        )
    if hashed is not None and not (isinstance(hashed, str) and _HASH.fullmatch(hashed)):
        raise SettingError(
            f"the hash of {email} in the setting users is not bcrypt's, of a cost from 10 to 16",
            hint="make one with: htpasswd -nBC 12 ''",
        )
    return Person(email, hashed)
