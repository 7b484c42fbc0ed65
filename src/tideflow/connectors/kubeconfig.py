"""``@kubeconfig/<context>``: a cluster of any kind that exists already, as kubectl would reach it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tideflow.connectors.platform import PlatformConnector, given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyinfra.api.host import Host
    from pyinfra.api.state import State

    from tideflow.clients.kubernetes import Kubernetes


class KubeconfigConnector(PlatformConnector):
    """Reaches the cluster by a context of ``KUBECONFIG`` or ``~/.kube/config``; makes and bills nothing."""

    def __init__(self, state: State, host: Host) -> None:
        super().__init__(state, host)
        # Contexts may be named like arn:aws:eks:eu-west-1:123456789012:cluster/mine.
        self.folder = self.folder.parent / re.sub(r"[^A-Za-z0-9.-]+", "-", self.platform)

    @override
    @staticmethod
    def make_names_data(name: str | None = None) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        """Yield the platform; ``group_data/kubeconfig.py`` may hold settings for all of its kind."""
        yield f"@kubeconfig/{given(name, '@kubeconfig/<context>')}", {}, ["kubeconfig"]

    @property
    @override
    def kubeconfig(self) -> Path:
        named = os.environ.get("KUBECONFIG")  # may list several files, which the client merges
        return Path(named) if named else Path.home() / ".kube" / "config"

    @override
    def check(self) -> None:
        self.kubernetes()

    @override
    def prepare(self) -> None:
        self.host.log(f"an existing cluster, by the context {self.platform} of {self.kubeconfig}")
        cluster = self.kubernetes()
        assert cluster is not None, "a kubeconfig's cluster exists"  # noqa: S101 - of _open below
        cluster.resources()

    @override
    def _open(self) -> Kubernetes | None:
        return self._client_of(self.kubeconfig, context=self.platform)
