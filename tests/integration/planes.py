"""A control plane for tests, with the token webhook that it asks, and clients to speak to it."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import yaml
from tests.integration.reviewing import TokenReviews

from tideflow.clients.kubernetes import Kubernetes
from tideflow.rehearsal.control_plane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_PATIENCE = 60.0  # seconds; only how soon a test that fails says so


class Plane:
    """One control plane in ``folder``; leaving the context stops it and removes what it had."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder = folder
        self.binaries = binaries
        self.control_plane = ControlPlane(folder / "cluster")
        self.audit_log = folder / "audit.log"
        self.reviews = TokenReviews()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Answer token reviews; the control plane is started by `start`."""
        self._stack.enter_context(self.reviews)
        self._stack.callback(self.control_plane.delete)
        return self

    def __exit__(self, *args: object) -> None:
        """Stop all of it."""
        self._stack.close()

    def start(
        self,
        *,
        stand_ins: bool = False,
        pod_ready_seconds: tuple[float, float] = (0.5, 1.0),
        realistic: bool = False,
    ) -> None:
        """Start what does not run."""
        self.control_plane.start(
            binaries=self.binaries,
            token_review_url=self.reviews.url,
            audit_log=self.audit_log,
            pod_ready_seconds=pod_ready_seconds,
            realistic=realistic,
            stand_ins=stand_ins,
        )

    def client(self) -> Kubernetes:
        """Return a client with the rehearsal's own certificate; the caller closes it."""
        return Kubernetes.from_kubeconfig(self.control_plane.admin_kubeconfig)

    def platform_client(self, token: str) -> Kubernetes:
        """Return a client with a platform's token, whose requests are audited; the caller closes it."""
        kubeconfig = self.folder / "platform.kubeconfig"
        config: dict[str, Any] = yaml.safe_load(self.control_plane.admin_kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(yaml.safe_dump(config))
        return Kubernetes.from_kubeconfig(kubeconfig)

    def audited(self) -> list[dict[str, Any]]:
        """Return the requests in the audit log."""
        return [json.loads(line) for line in self.audit_log.read_text().splitlines()]


def eventually(look: Callable[[], T], accept: Callable[[T], bool] = bool) -> T:
    """Return what ``look`` returns once it is acceptable; fail with the last of it after a minute."""
    deadline = time.monotonic() + _PATIENCE
    while not accept(found := look()):
        assert time.monotonic() < deadline, f"still {found!r}"
        time.sleep(0.1)
    return found


def processes_that_mention(text: str) -> list[str]:
    """Return the command lines of all processes on this machine that mention ``text``."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended
            continue
        if text in line:
            found.append(line)
    return found
