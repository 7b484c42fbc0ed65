"""``@rehearsal/<name>``: the same as ``@doks``, against a twin of DigitalOcean's API on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from typing_extensions import override

from tideflow.connectors import access
from tideflow.connectors.doks import DoksConnector
from tideflow.connectors.inventory import PLATFORM
from tideflow.connectors.platform import given
from tideflow.connectors.progress import LiveLine
from tideflow.connectors.settings import TOKEN
from tideflow.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator

_HASTE = 10.0  # how much faster the twin is looked at than DigitalOcean


class RehearsalConnector(DoksConnector):
    """Starts the twin if it is not running; it outlives the run, and the next one finds it again."""

    rehearsal = True
    _nameserver: tuple[str, int] | None = None

    @override
    @staticmethod
    def make_names_data(name: str | None = None) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        """Yield the platform; ``group_data/<name>.py`` may hold its own settings."""
        named = given(name, "@rehearsal/<name>")
        yield f"@rehearsal/{named}", {}, ["rehearsal", named]

    @override
    def check(self) -> None:
        super().check()
        for file in (self.kubeconfig, self.folder / "access"):
            if access.leads_away(file):
                raise SettingError(
                    f"{file} leads to a real platform, and a rehearsal of {self.platform} would overwrite it",
                    hint=f"for that platform, set {PLATFORM} and {TOKEN}; to rehearse, give the rehearsal "
                    f"another name: {PLATFORM}={self.platform}-rehearsal, without the token",
                )

    @override
    def prepare(self) -> None:
        from tideflow.rehearsal.background import Pace, Rehearsal  # noqa: PLC0415 - no other platform needs it

        rehearsal = Rehearsal(self.folder / "rehearsal")
        live = LiveLine(self.host)
        try:
            rehearsal.start(
                pace=Pace.named(
                    self.settings.pace,
                    pod_ready_seconds=self.settings.pod_ready_seconds,
                    speed=self.settings.speed,
                ),
                progress=live,
            )
        finally:
            live.close()
        self._use(rehearsal.token, rehearsal.endpoint, haste=_HASTE)
        at = urlsplit(rehearsal.endpoint)
        self._nameserver = (at.hostname or "", at.port or 0)
        self._have_zone()

    def _have_zone(self) -> None:
        """Have the twin's account own the domain that the real one has to, or nothing could be rehearsed."""
        api, zone = self.digitalocean, self.settings.dns_zone
        if api is not None and zone is not None and zone not in api.domains():
            api.create_domain(zone)
            self.host.log(f"the rehearsal's account has the domain {zone} now; yours has to have it")

    @property
    @override
    def nameserver(self) -> tuple[str, int] | None:
        return self._nameserver
