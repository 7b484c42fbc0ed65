"""The namespace that records and Leases are in, also where somebody deletes it.

It holds a memory and no truth, so whoever wants to be rid of it may delete it: the next run waits until it is
gone, makes it anew, and applies once more.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from tideflow.engine import faults
from tideflow.engine.records import NAMESPACE, make_namespace
from tideflow.errors import ApplyError, KubernetesError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.engine.outcome import Options

T = TypeVar("T")

_PAUSE = 1.0  # seconds
_NOT_FOUND = 404


def housed(
    cluster: Kubernetes, write: Callable[[], T], options: Options, *, progress: Callable[[str], None]
) -> T:
    """Return what a write into the namespace returns, tried again where that helps.

    While the namespace is being deleted, that is waited for, for up to the options' ``timeout``; ``progress``
    is told. Raises ``ApplyError`` if it takes longer, or the run has to end.
    """
    started = time.monotonic()
    tries = 0
    while True:
        try:
            return write()
        except KubernetesError as error:
            if faults.is_terminating(error):
                _wait(options, time.monotonic() - started, progress)
                continue
            tries += 1
            gone = error.status == _NOT_FOUND
            if tries >= faults.MOST_TRIES or not (gone or faults.is_passing(error, tries)):
                raise
            if gone:
                make_namespace(cluster)
            else:
                time.sleep(faults.pause(error, tries))


def _wait(options: Options, waited: float, progress: Callable[[str], None]) -> None:
    if stopped := options.stopped():
        raise ApplyError(f"{stopped}: nothing was written", hint="run the same command again")
    if waited > options.timeout:
        raise ApplyError(
            f"the namespace {NAMESPACE}, where runs are recorded, is being deleted, and is not gone after "
            f"{waited:.0f} s; nothing was written",
            hint=f"see what holds it with kubectl describe namespace {NAMESPACE}, then run this step again",
        )
    progress(f"waiting until the namespace {NAMESPACE} is gone, which somebody has deleted, to make it anew")
    time.sleep(_PAUSE)
