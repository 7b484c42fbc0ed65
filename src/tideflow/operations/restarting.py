"""Restarting Deployments whose pods read something when they start, and not again.

What they read has a stamp, and the pods' template gets the same one as an annotation. So whoever comes after
a run that was killed in between sees that the two do not agree.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
from typing import TYPE_CHECKING, Any

from tideflow.clients.guarding import Guarded
from tideflow.clients.waiting import wait_for
from tideflow.engine import readiness
from tideflow.engine.applying import Options
from tideflow.engine.lease import Lease
from tideflow.engine.records import make_namespace
from tideflow.operations.live import annotations_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.engine.manifests import Key


_SET = "kubeflow-credentials"
"""The name of a Lease; of what credentials are in, there is no set."""


def stamp() -> str:
    """Return a stamp that no other change has."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def agrees(deployment: Mapping[str, Any] | None, notes: Mapping[str, str]) -> bool:
    """Tell whether the pods of a Deployment are started with what the stamps are of."""
    found = annotations_of((deployment or {}).get("spec", {}).get("template"))
    return all(found.get(name) == value for name, value in notes.items())


def started(deployment: Mapping[str, Any] | None, notes: Mapping[str, str]) -> bool:
    """Tell whether all pods of a Deployment were started with that, and are ready."""
    if deployment is None or not agrees(deployment, notes):
        return False
    return readiness.status("apps", "Deployment", deployment).ready


def restart(
    cluster: Kubernetes,
    notes: Mapping[Key, Mapping[str, str]],
    *,
    why: str,
    timeout: float,
    progress: Callable[[str], None],
) -> None:
    """Have the Deployments start pods with these stamps, all at once, and wait until no others are left.

    Those that were told so before are only waited for.

    ``why`` completes "waiting for Deployment … to start with"; ``timeout`` is in seconds, for each.
    """
    for key, wanted in notes.items():
        template = {"metadata": {"annotations": dict(wanted)}}
        cluster.patch(path_of(cluster, key), {"spec": {"template": template}})
    for key, wanted in notes.items():
        wait_for(
            cluster,
            path_of(cluster, key).rpartition("/")[0],
            functools.partial(_rolled_out, name=key.name, notes=wanted),
            what=f"Deployment {key.namespace}/{key.name} to start with {why}",
            timeout=timeout,
            progress=progress,
        )


@contextlib.contextmanager
def alone(cluster: Kubernetes, *, timeout: float, progress: Callable[[str], None]) -> Iterator[Kubernetes]:
    """Yield a client for changes of credentials while no other run makes any: halves of two do not agree."""
    make_namespace(cluster)
    with Lease(cluster, _SET, Options(timeout=timeout), progress=progress) as lease:
        yield Guarded(cluster, lease.check)


def path_of(cluster: Kubernetes, key: Key) -> str:
    """Return the path of a Secret, a Deployment or another object that every API server serves."""
    resource = cluster.resources().of_kind(key.group, key.kind)
    assert resource is not None, "Secrets and Deployments are always served"  # noqa: S101 - for the types
    return resource.path(key.namespace, key.name)


def _rolled_out(deployment: Any, *, name: str, notes: Mapping[str, str]) -> bool | None:
    return True if deployment["metadata"]["name"] == name and started(deployment, notes) else None
