"""What a write would do to each object: asked of the server, by a dry run of the very same write.

Defaults, conversions, webhooks and the rules of merging are the server's, so nothing of them is imitated.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tideflow.clients.refusals import MISFIT
from tideflow.engine import diff, faults, readiness
from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.engine.diff import Change
    from tideflow.engine.manifests import Key, Manifest
    from tideflow.engine.writing import Writing

_AT_ONCE = 8  # objects compared side by side, with two requests each
_TRIES = 3  # while others write to the object between the two requests
_NO_DRY_RUN = "does not support dry run"  # so the API server says of a webhook with side effects


@dataclass(frozen=True, slots=True)
class Difference:
    """What a write would change in one object, with ``notes`` on how.

    ``replaced`` says why it would be deleted and made anew, ``refused`` why it would not be written as things
    are now, ``unknown`` why nothing can be told.
    """

    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    replaced: str = ""
    refused: str = ""
    unknown: str = ""

    @property
    def nothing(self) -> bool:
        """Whether the write would leave every field as it is, and only prove it again."""
        return not (self.changes or self.replaced or self.refused or self.unknown)


def compared(
    cluster: Kubernetes,
    writing: Writing,
    manifests: Sequence[Manifest],
    *,
    new: Collection[Key] = (),
    first: Mapping[Key, str] = MappingProxyType({}),
    progress: Callable[[str], None],
) -> dict[Key, Difference]:
    """Return what writing each of these would change, without changing anything.

    All are live but those that are ``new``, and these could be made now. ``first`` says for an object what is
    to be written before it, such as ``Role a/b is``: a refusal of today then tells nothing. ``progress`` is
    told, in one line, how far it is. Raises ``KubernetesError`` if the server cannot be asked at all.
    """
    found: dict[Key, Difference] = {}
    if manifests:
        progress(f"asking the server about {len(manifests)} objects")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        differences = pool.map(
            lambda manifest: _compared(
                cluster, writing, manifest, new=manifest.key in new, first=first.get(manifest.key, "")
            ),
            manifests,
        )
        for manifest, difference in zip(manifests, differences, strict=True):
            found[manifest.key] = difference
            progress(f"asking the server about {len(manifests)} objects: {len(found)} answers")
    return found


def _compared(
    cluster: Kubernetes, writing: Writing, manifest: Manifest, *, new: bool, first: str
) -> Difference:
    key = manifest.key
    resource = cluster.resources().find(key.group, manifest.version, key.kind)
    if resource is None:
        return Difference(unknown=f"the server has no {key.kind} in {manifest.body['apiVersion']}")
    try:
        if new:
            written = writing.preview(manifest, resource, None)
            # In the manifest's own words, without all the defaults.
            return Difference(diff.additions(manifest.body), written.notes)
        for _ in range(_TRIES):
            live = cluster.get(resource.path(key.namespace, key.name))
            written = writing.preview(manifest, resource, live)
            if _version(live) == _version(written.metadata):
                break
    except KubernetesError as error:
        return _not_written(error, manifest, new=new, first=first)
    return Difference(diff.compare(live, written.metadata), written.notes)


def _not_written(error: KubernetesError, manifest: Manifest, *, new: bool, first: str) -> Difference:
    """Return what is told of an object whose dry run failed; raises the error if it was never tried."""
    if error.status in {0, 401}:
        raise error
    if error.reason == "Replaced":
        return Difference(replaced=error.message)
    if error.reason == "NotFound" and not new:
        return Difference(unknown="it was deleted just now")
    if faults.is_passing(error, faults.MOST_TRIES) or _NO_DRY_RUN in error.message:
        # Of many new objects it would be the same: a webhook that nobody serves yet.
        return Difference(diff.additions(manifest.body)) if new else Difference(unknown=_reason(error))
    # What a type of Kubernetes' own has no place for, nothing that is written first can mend.
    settled = error.reason == MISFIT and not readiness.is_custom(manifest.key.group)
    if first and not settled:
        return Difference(unknown=f"{first} written first, and until then {_reason(error)}")
    return Difference(refused=f"{_reason(error)} ({manifest.origin})")


def _version(body: Mapping[str, Any]) -> str:
    """Return the version of an object, which a dry run leaves as it was."""
    version: str = body["metadata"].get("resourceVersion", "")
    return version


def _reason(error: KubernetesError) -> str:
    """Return the server's answer, without the request that it was an answer to, or our own words."""
    _, _, answer = error.message.partition(" was answered ")
    return f"the server answers {answer}" if answer else error.message
