"""``@rehearsal/<name>``: the same as ``@doks``, against a twin of DigitalOcean's API on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tideflow.connectors.doks import DoksConnector
from tideflow.connectors.platform import given
from tideflow.connectors.progress import LiveLine

if TYPE_CHECKING:
    from collections.abc import Iterator


class RehearsalConnector(DoksConnector):
    """Starts the twin if it is not running; it outlives the run, and the next one finds it again."""

    rehearsal = True

    @override
    @staticmethod
    def make_names_data(name: str | None = None) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        """Yield the platform; ``group_data/<name>.py`` may hold its own settings."""
        named = given(name, "@rehearsal/<name>")
        yield f"@rehearsal/{named}", {}, ["rehearsal", named]

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
        self._use(rehearsal.token, rehearsal.endpoint)
