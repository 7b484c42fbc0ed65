"""Where objects belong: the type they are of, and whether that is in a namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tideflow.engine import readiness
from tideflow.engine.manifests import API_SERVICE, DEFINITION
from tideflow.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from tideflow.clients.resources import Resource, Resources
    from tideflow.engine.manifests import Key, Manifest


def placed(
    manifests: Sequence[Manifest], resources: Resources, earlier: Sequence[Manifest] = ()
) -> list[Manifest]:
    """Return the manifests, each in the namespace it belongs to.

    ``earlier`` are objects that will be there by then. Raises ``ManifestError`` for a type that neither the
    server has nor one of all these defines, and for an object that is there twice, once without its
    namespace.
    """
    definitions = _definitions([*earlier, *manifests])
    aggregated = _aggregated([*earlier, *manifests])
    found: dict[Key, Manifest] = {}
    for manifest in (_placed(manifest, resources, definitions, aggregated) for manifest in manifests):
        if found.setdefault(manifest.key, manifest) is not manifest:
            raise ManifestError(
                f"{manifest.key} is there twice, once without its namespace", hint="remove one of them"
            )
    return list(found.values())


def refuse_undefined(manifests: Sequence[Manifest], earlier: Sequence[Manifest] = ()) -> None:
    """Raise ``ManifestError`` for a custom resource that nothing of the set, or ``earlier``, defines."""
    definitions = _definitions([*earlier, *manifests])
    aggregated = _aggregated([*earlier, *manifests])
    for manifest in manifests:
        if (
            readiness.is_custom(manifest.key.group)
            and _type_of(manifest) not in definitions
            and manifest.api_service not in aggregated
        ):
            raise _undefined(manifest)


def _type_of(manifest: Manifest) -> tuple[str, str, str]:
    return manifest.key.group, manifest.version, manifest.key.kind


def _definitions(manifests: Sequence[Manifest]) -> dict[tuple[str, str, str], bool]:
    """Return, for each type that is defined, by group, version and kind, whether it is namespaced."""
    return {
        (spec["group"], version["name"], spec["names"]["kind"]): spec.get("scope") == "Namespaced"
        for manifest in manifests
        if manifest.key.type == DEFINITION and (spec := manifest.body["spec"])
        for version in spec["versions"]
        if version.get("served")
    }


def _aggregated(manifests: Sequence[Manifest]) -> set[Key]:
    """Return the APIs of the set that a Service serves: they say what types they have."""
    return {
        manifest.key
        for manifest in manifests
        if manifest.key.type == API_SERVICE and (manifest.body.get("spec") or {}).get("service")
    }


def _undefined(manifest: Manifest, resources: Iterable[Resource] = ()) -> ManifestError:
    """Return the error of an object whose type nobody has; ``resources`` are those that the server has."""
    custom = readiness.is_custom(manifest.key.group)
    served = sorted({found.api_version for found in resources if found.kind == manifest.key.kind})
    hint = f"{'add its CustomResourceDefinition, or ' if custom else ''}correct {manifest.origin}"
    if served:
        hint += f": the server has {manifest.key.kind} in {', '.join(served)}"
    return ManifestError(
        f"{manifest.key} is of a type that nobody defines: {manifest.body['apiVersion']} {manifest.key.kind}",
        hint=hint,
    )


def _placed(
    manifest: Manifest,
    resources: Resources,
    definitions: Mapping[tuple[str, str, str], bool],
    aggregated: Collection[Key],
) -> Manifest:
    """Return the manifest in the namespace it belongs to; raises ``ManifestError`` for an unknown type."""
    key = manifest.key
    resource = resources.find(key.group, manifest.version, key.kind)
    namespaced = resource.namespaced if resource else definitions.get(_type_of(manifest))
    if namespaced is None and (manifest.api_service in aggregated or key.group in resources.away):
        return manifest  # whoever knows the type does not answer yet
    if namespaced is None:
        raise _undefined(manifest, resources)
    if namespaced and not key.namespace:
        return manifest.in_namespace("default")
    if not namespaced and key.namespace:
        return manifest.in_namespace("")  # the server ignores it, and so does kubectl
    return manifest
