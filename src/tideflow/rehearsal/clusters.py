"""The control planes of a rehearsal's clusters: where each is, and how it is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tideflow.rehearsal.control_plane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tideflow.rehearsal.pace import Pace


def control_plane(folder: Path, cluster_id: str) -> ControlPlane:
    """Return the control plane of a cluster of the rehearsal in ``folder``."""
    return ControlPlane(folder / "clusters" / cluster_id)


def control_planes(folder: Path) -> list[ControlPlane]:
    """Return all of them."""
    clusters = folder / "clusters"
    return [ControlPlane(found) for found in sorted(clusters.iterdir())] if clusters.is_dir() else []


def start(
    folder: Path,
    cluster_id: str,
    *,
    twin: str,
    binaries: Path,
    pace: Pace,
    progress: Callable[[str], None] = lambda _: None,
) -> None:
    """Start what does not run of a control plane, which asks the ``twin`` at this URL about tokens."""
    control_plane(folder, cluster_id).start(
        binaries=binaries,
        token_review_url=f"{twin}/rehearsal/clusters/{cluster_id}/tokenreview",
        audit_log=folder / "audit.log",
        pod_ready_seconds=pace.pod_ready_seconds,
        realistic=pace.realistic,
        progress=progress,
    )
