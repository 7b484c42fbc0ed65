"""The rehearsal of a platform in the background: found again by the next run, mended if a part of it died."""

from __future__ import annotations

import http.client
import json
import secrets
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tideflow.errors import RehearsalError
from tideflow.files import locked, private_folder, write_private
from tideflow.rehearsal import clusters
from tideflow.rehearsal.addresses import free_port, port_is_free
from tideflow.rehearsal.building import binaries
from tideflow.rehearsal.pace import Pace
from tideflow.rehearsal.processes import Background

if TYPE_CHECKING:
    from collections.abc import Callable

    from tideflow.rehearsal.control_plane import Component, ControlPlane

__all__ = ["Pace", "Rehearsal", "Status"]

_HOST = "127.0.0.1"
_PATIENCE = 30.0  # seconds for the twin to answer
_INTERVAL = 0.1
_TOKEN_BYTES = 32


@dataclass(frozen=True)
class Status:
    """The twin's address and process, and the components of each cluster by its name."""

    endpoint: str
    pid: int | None
    clusters: dict[str, list[Component]]


class Rehearsal:
    """The twin and the clusters of one platform, with all they have in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def __repr__(self) -> str:
        """Name the folder, and not the token."""
        return f"Rehearsal({str(self.folder)!r})"

    def start(self, *, pace: Pace, progress: Callable[[str], None]) -> None:
        """Have the twin answer and its clusters run; ``progress`` is told what takes long.

        Raises ``RehearsalError``.
        """
        private_folder(self.folder)
        with locked(
            self.folder / "lock", lambda: progress("somebody else is starting the rehearsal; waiting")
        ):
            settings = {
                "port": self._port(),
                "binaries": str(binaries(progress)),
                "pod_ready_seconds": list(pace.pod_ready_seconds),
                "speed": pace.speed,
                "realistic": pace.realistic,
            }
            if not self._process.running or settings != self._settings():
                self._process.stop()
                self._token()
                write_private(self.folder / "settings.json", json.dumps(settings))
                progress("starting the twin of DigitalOcean's API")
                self._process.start([sys.executable, "-m", "tideflow.rehearsal.twin", str(self.folder)])
            self._wait(pace, progress)

    def stop(self) -> bool:
        """Stop the twin and all control planes, and tell whether any of it ran; what they have stays."""
        if not self.folder.is_dir():
            return False
        with locked(self.folder / "lock"):
            planes = list(clusters.control_planes(self.folder))
            ran = self._process.running or any(
                component.running for plane in planes for component in plane.components()
            )
            self._process.stop()
            for plane in planes:
                plane.stop()
        return ran

    def status(self) -> Status:
        """Return what there is and what of it runs."""
        names = self._names()
        found = {
            names.get(plane.folder.name, plane.folder.name): plane.components()
            for plane in clusters.control_planes(self.folder)
        }
        return Status(self.endpoint if self._settings() else "", self._process.pid, found)

    @property
    def endpoint(self) -> str:
        """Where the API is, as python-digitalocean wants it."""
        return f"http://{_HOST}:{(self._settings() or {}).get('port', 0)}/v2/"

    @property
    def token(self) -> str:
        """The token of the API, made when it is needed first and kept with mode 0600."""
        return self._token()

    @property
    def _process(self) -> Background:
        return Background(self.folder, "twin")

    def _port(self) -> int:
        """Return the port that the twin has, had, or can have."""
        port = (self._settings() or {}).get("port")
        if isinstance(port, int) and (self._process.running or port_is_free(port, patience=2.0)):
            return port
        return free_port()

    def _settings(self) -> dict[str, Any] | None:
        """Return what the twin was started with; what cannot be read is as good as none."""
        try:
            settings = json.loads((self.folder / "settings.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return settings if isinstance(settings, dict) else None

    def _token(self) -> str:
        file = self.folder / "token"
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            token = ""
        if not token:
            token = f"dop_v1_{secrets.token_hex(_TOKEN_BYTES)}"
            private_folder(self.folder)
            write_private(file, token + "\n")
        return token

    def _names(self) -> dict[str, str]:
        try:
            known = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))["clusters"]
            return {found["id"]: found["name"] for found in known}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _wait(self, pace: Pace, progress: Callable[[str], None]) -> None:
        """Wait until the twin answers, and have the control planes of its running clusters run."""
        deadline = time.monotonic() + _PATIENCE
        while (found := self._clusters()) is None:
            if not self._process.running or time.monotonic() > deadline:
                raise self._failure()
            time.sleep(_INTERVAL)
        settings = self._settings() or {}
        for cluster in found:
            plane = clusters.control_plane(self.folder, cluster["id"])
            if cluster["status"]["state"] == "running" and not _is_up(plane):
                progress(f"starting the cluster {cluster['name']} of the rehearsal again")
                clusters.start(
                    self.folder,
                    cluster["id"],
                    twin=f"http://{_HOST}:{settings['port']}",
                    binaries=Path(settings["binaries"]),
                    pace=pace,
                    progress=progress,
                )

    def _clusters(self) -> list[dict[str, Any]] | None:
        """Return the clusters that the twin has, None while it does not answer."""
        settings = self._settings() or {}
        connection = http.client.HTTPConnection(_HOST, settings.get("port", 0), timeout=10)
        try:
            headers = {"Authorization": f"Bearer {self._token()}"}
            connection.request("GET", "/v2/kubernetes/clusters?per_page=200", headers=headers)
            response = connection.getresponse()
            if response.status != http.client.OK:
                return None
            found: list[dict[str, Any]] = json.loads(response.read())["kubernetes_clusters"]
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return None
        finally:
            connection.close()
        return found

    def _failure(self) -> RehearsalError:
        lines = [line for line in self._process.tail(5).splitlines() if line.strip()]
        last = lines[-1][:300] if lines else "it said nothing"
        return RehearsalError(
            f"the twin of DigitalOcean's API does not run: {last}",
            hint=f"see {self.folder / 'twin.log'}; `make clean` begins anew",
        )


def _is_up(plane: ControlPlane) -> bool:
    components = plane.components()
    return bool(components) and all(component.running for component in components)
