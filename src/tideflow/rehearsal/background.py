"""The rehearsal of a platform in the background: found again by the next run, mended if a part of it died."""

from __future__ import annotations

import hashlib
import http.client
import json
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tideflow.errors import RehearsalError
from tideflow.files import locked, private_folder, write_private
from tideflow.rehearsal import clusters, tokens
from tideflow.rehearsal.addresses import free_port, port_is_free
from tideflow.rehearsal.building import auth_proxy, binaries
from tideflow.rehearsal.pace import Pace
from tideflow.rehearsal.processes import Background

if TYPE_CHECKING:
    from collections.abc import Callable

    from tideflow.rehearsal.control_plane import Component

__all__ = ["Pace", "Rehearsal", "Status"]

_HOST = "127.0.0.1"
_PATIENCE = 30.0  # seconds for the twin to answer
_INTERVAL = 0.1
_PORTS = range(1, 1 << 16)


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
            auth_proxy(progress)
            settings = {
                "port": self._port(),
                "binaries": str(binaries(progress)),
                "pod_ready_seconds": list(pace.pod_ready_seconds),
                "speed": pace.speed,
                "realistic": pace.realistic,
                # A twin with another token than the one that is kept has to be restarted.
                "token": hashlib.sha256(self.token.encode()).hexdigest()[:16],
            }
            if not self._process.running or settings != self._settings():
                self._process.stop()
                write_private(self.folder / "settings.json", json.dumps(settings))
                progress("starting the twin of DigitalOcean's API")
                self._process.start([sys.executable, "-m", "tideflow.rehearsal.twin", str(self.folder)])
            self._start_clusters(settings, pace, progress)

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
        return tokens.kept_or_new(self.folder)

    @property
    def _process(self) -> Background:
        return Background(self.folder, "twin")

    def _port(self) -> int:
        """Return the port that the twin has, had, or can have."""
        port: Any = (self._settings() or {}).get("port")
        if port in _PORTS and (self._process.running or port_is_free(port, patience=2.0)):
            return int(port)
        return free_port()

    def _settings(self) -> dict[str, Any] | None:
        """Return what the twin was started with; what cannot be read is as good as none."""
        try:
            settings = json.loads((self.folder / "settings.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return settings if isinstance(settings, dict) else None

    def _names(self) -> dict[str, str]:
        try:
            known = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))["clusters"]
            return {found["id"]: found["name"] for found in known}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _start_clusters(self, settings: dict[str, Any], pace: Pace, progress: Callable[[str], None]) -> None:
        """Have the control planes of the twin's running clusters run, as they would be started now.

        What they were started with may have changed although all of it runs, such as where the twin is.
        """
        for cluster in self._running(lambda _: True):
            clusters.start(
                self.folder,
                cluster["id"],
                twin=f"http://{_HOST}:{settings['port']}",
                binaries=Path(settings["binaries"]),
                pace=pace,
                progress=partial(_tell, progress, cluster["name"]),
            )
        # The twin looks a few times a second where they are.
        self._running(
            lambda cluster: cluster["endpoint"] == clusters.control_plane(self.folder, cluster["id"]).endpoint
        )

    def _running(self, accept: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Return the twin's running clusters once it answers, and all of them are acceptable."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            answer = self._clusters()
            found = [cluster for cluster in answer or () if cluster["status"]["state"] == "running"]
            if answer is not None and all(map(accept, found)):
                return found
            if not self._process.running or time.monotonic() > deadline:
                raise self._failure()
            time.sleep(_INTERVAL)

    def _clusters(self) -> list[dict[str, Any]] | None:
        """Return the clusters that the twin has, None while it does not answer.

        Raises ``RehearsalError`` if it does not take our token.
        """
        settings = self._settings() or {}
        connection = http.client.HTTPConnection(_HOST, settings.get("port", 0), timeout=10)
        try:
            headers = {"Authorization": f"Bearer {self.token}"}
            connection.request("GET", "/v2/kubernetes/clusters?per_page=200", headers=headers)
            response = connection.getresponse()
            if response.status == http.client.UNAUTHORIZED:
                raise RehearsalError(
                    f"what answers at {self.endpoint} does not take the token in {tokens.file(self.folder)}",
                    hint="run `tideflow rehearsal stop`, and try again",
                )
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
        what = "is not ready yet" if self._process.running else "does not run"
        return RehearsalError(
            f"the twin of DigitalOcean's API {what}: {last}",
            hint=f"see {self.folder / 'twin.log'}; `make clean` begins anew",
        )


def _tell(progress: Callable[[str], None], cluster: str, line: str) -> None:
    progress(f"cluster {cluster}: {line}")
