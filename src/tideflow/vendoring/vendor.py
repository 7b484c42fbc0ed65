"""Vendoring from end to end: what ``tideflow vendor`` does."""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

from tideflow.errors import VendoringError
from tideflow.vendoring import fetching, patching, pins, rendering, splitting, tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def vendor(
    folder: Path,
    *,
    progress: Callable[[str], None],
    release: str | None = None,
    source: Path | None = None,
) -> str:
    """Put a release into ``folder``/kubeflow, as ``folder``/kubeflow.toml pins it, and return a summary.

    ``release`` is its name, by default the file's own default. ``source`` is a folder to read from instead of
    git. ``progress`` is told each step, as one line, before it begins.

    Raise fetching.UnreachableError when upstream cannot be reached, VendoringError when what comes from there
    cannot be used. In both cases the folder is as it was.
    """
    wanted = pins.read(folder / "kubeflow.toml").release(release)
    target = folder / "kubeflow"
    if _edited(target):
        progress(f"{target} was edited since it was vendored; the edits are going to be replaced")
    try:
        with tree.workspace(target) as work:
            if source is None:
                fetching.from_git(wanted, work, progress)
            else:
                fetching.from_folder(wanted, source, work, progress)
            rendered = rendering.render(wanted, work, progress)
            manifests = splitting.split(rendered.text)
            splitting.refuse_unresolved(manifests, rendered.variables)
            patching.check(wanted, [manifest.content for manifest in manifests])
            files = {manifest.path: manifest.text for manifest in manifests}
            changes = tree.replace(target, files, wanted, work)
    except (OSError, shutil.Error) as e:
        if e.errno in (errno.ENOSPC, errno.EDQUOT):
            raise VendoringError(f"no space left for {target}", hint="vendoring needs about 500 MB") from e
        raise VendoringError(f"{target} cannot be written: {e.strerror or e}") from e
    return (
        f"vendored Kubeflow {wanted.name}: {len(files)} objects, in {target} "
        f"(created {changes.created}, changed {changes.changed}, removed {changes.removed})"
    )


def _edited(target: Path) -> bool:
    try:
        before = tree.vendored(target)
    except VendoringError:  # not whole: that is why it is vendored again
        return False
    return before is not None and before.edited()
