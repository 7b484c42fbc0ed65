"""Applying stated patches to objects: values that settings decide, or that upstream's have to give way to."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from tideflow.errors import VendoringError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tideflow.vendoring.pins import Patch, Release


def patched(
    objects: Iterable[dict[str, Any]], patches: Sequence[Patch], settings: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return ``objects`` with ``patches`` applied, in the same order; those that no patch means are the same.

    ``settings`` are the values of placeholders, such as ``email``. Raise VendoringError for a patch that
    does not fit its object, means no object, or names an unknown setting.
    """
    unused = list(patches)
    result = []
    for obj in objects:
        meant = [patch for patch in patches if patch.matches(obj)]
        current = copy.deepcopy(obj) if meant else obj
        for patch in meant:
            _apply(patch, current, settings)
        unused = [patch for patch in unused if patch not in meant]
        result.append(current)
    if unused:
        raise _misfit(unused[0], "there is no such object")
    return result


def check(release: Release, objects: Sequence[dict[str, Any]]) -> None:
    """Raise VendoringError unless everything stated about ``release`` is about objects that it has."""
    patched(objects, release.patches, {"email": "somebody@example.org", "certificate": "a-certificate"})
    for credential in release.credentials:
        meant = [obj for obj in objects if credential.matches(obj)]
        if not meant:
            raise VendoringError(
                f"kubeflow.toml has a credential in {credential}, which {release.name} lacks"
            )
        if not any(
            credential.key in (obj.get(data) or {}) for obj in meant for data in ("data", "stringData")
        ):
            raise VendoringError(
                f"kubeflow.toml has the credential {credential.key}, which {credential} lacks"
            )
    for gate in release.gates:
        if not any(gate.after.matches(obj) for obj in objects):
            raise VendoringError(f"kubeflow.toml has a gate on {gate.after}, which {release.name} lacks")
        if not any(
            obj["kind"] == "MutatingWebhookConfiguration" and obj["metadata"]["name"] == gate.injected_by
            for obj in objects
        ):
            raise VendoringError(
                f"kubeflow.toml has a gate on what {gate.injected_by} injects, which {release.name} lacks"
            )


def _apply(patch: Patch, obj: dict[str, Any], settings: Mapping[str, str]) -> None:
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in patch.path[1:].split("/")]
    try:
        parent: Any = obj
        for part in parents:
            parent = parent[int(part) if isinstance(parent, list) else part]
        key = int(last) if isinstance(parent, list) else last
        value = parent[key]
    except (KeyError, IndexError, ValueError, TypeError) as e:
        raise _misfit(patch, "there is nothing at this path") from e
    becomes = _filled(patch, patch.becomes, settings)
    if value == patch.was:
        parent[key] = becomes
    elif isinstance(value, str) and isinstance(patch.was, str) and patch.was in value:
        parent[key] = value.replace(patch.was, str(becomes))
    else:
        raise _misfit(patch, "something else is there than the patch expects")


def _filled(patch: Patch, template: Any, settings: Mapping[str, str]) -> Any:
    if isinstance(template, dict):
        return {key: _filled(patch, value, settings) for key, value in template.items()}
    if isinstance(template, list):
        return [_filled(patch, value, settings) for value in template]
    if not isinstance(template, str):
        return template
    try:
        return template.format_map(settings)
    except (KeyError, ValueError, IndexError, AttributeError) as e:
        raise _misfit(patch, f"{template!r} has a placeholder for no setting") from e


def _misfit(patch: Patch, why: str) -> VendoringError:
    return VendoringError(
        f"the patch of {patch} at {patch.path} in kubeflow.toml does not fit: {why}",
        hint="change or remove the patch, or vendor the release it was written for",
    )
