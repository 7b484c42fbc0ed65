"""The sets that come before one in the same run: what they make is there by then, and not fought over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tideflow.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from tideflow.engine.manifests import Manifest


@dataclass(frozen=True)
class Others:
    """Other sets, by name, with the objects each will have made by then.

    ``writing`` are those that have something to write. With ``more``, other steps make nobody knows what
    besides, so that a namespace that is missing now is no error.
    """

    sets: Mapping[str, Sequence[Manifest]] = field(default_factory=dict)
    writing: Collection[str] = ()
    more: bool = False

    @property
    def manifests(self) -> list[Manifest]:
        """The objects of all of them; they need not say in which namespace they are."""
        return [manifest for manifests in self.sets.values() for manifest in manifests]

    def refuse_differing(self, set_name: str, manifests: Sequence[Manifest]) -> None:
        """Raise ``ManifestError`` for an object of a set that another one has too, and differently.

        Each of the two would change it back in every run.
        """
        ours = {_place(manifest): manifest for manifest in manifests}
        for other, theirs in self.sets.items():
            for manifest in theirs:
                own = ours.get(_place(manifest))
                if own is not None and _said(own) != _said(manifest):
                    raise ManifestError(
                        f"{own.key} is in the sets {other} ({manifest.origin}) and {set_name} "
                        f"({own.origin}), and differs",
                        hint="keep it in one of them, or each run would change it twice",
                    )


def _place(manifest: Manifest) -> tuple[str, str, str, str]:
    key = manifest.key
    return key.group, key.kind, key.namespace or "default", key.name


def _said(manifest: Manifest) -> dict[str, Any]:
    metadata = {name: value for name, value in manifest.body["metadata"].items() if name != "namespace"}
    return {**manifest.body, "metadata": metadata}
