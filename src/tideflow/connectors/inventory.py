"""Which platform a run is about: a real one only for who names it and holds a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tideflow.connectors.settings import TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping

PLATFORM = "TIDEFLOW_PLATFORM"
DEFAULT_PLATFORM = "ml-platform"


def platform(environment: Mapping[str, str]) -> str:
    """Return pyinfra's name of the host for this environment, and say on stderr which it is and why.

    The token alone is not enough: it is doctl's variable too, and may be there for another reason.
    """
    name = environment.get(PLATFORM, "").strip()
    token = bool(environment.get(TOKEN, "").strip())
    if name and token:
        click.secho(
            f"--> Platform {name} on DigitalOcean: what is made there costs money", bold=True, err=True
        )
        return f"@doks/{name}"
    if name:
        why = f"{PLATFORM} is set, but {TOKEN} is not"
    elif token:
        why = f"{TOKEN} is set but not used, since {PLATFORM} is not set"
    else:
        why = f"{PLATFORM} and {TOKEN} are not set"
    click.secho(f"--> A rehearsal on this machine, which costs nothing ({why})", bold=True, err=True)
    return f"@rehearsal/{name or DEFAULT_PLATFORM}"
