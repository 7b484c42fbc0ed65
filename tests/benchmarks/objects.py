"""What is applied: a release of Kubeflow, vendored as users vendor it, or objects made by the thousand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tideflow.engine.manifests import load
from tideflow.vendoring import fetching, pins, rendering

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PROJECT = Path(__file__).parents[2]
RELEASE = "v1.10.2"

_BETWEEN = "\n---\n"
_OF_WEBHOOKS = re.compile(r"^kind: (?:Mutating|Validating)WebhookConfiguration$", re.MULTILINE)

_WEBHOOKS = {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}


@dataclass(frozen=True)
class Objects:
    """The same objects, in a folder for Tideflow, in one file for kubectl, and as JSON for the floor."""

    source: Path
    one_file: Path
    lines: Path
    number: int
    types: int


def kubeflow(folder: Path, sources: Path, program: Path) -> Objects:
    """Return the release, vendored by Tideflow's ``program`` from a folder of upstream's sources.

    kubectl gets the objects in the order in which kustomize renders them, which is good for it.
    """
    vendored = folder / "vendored"
    vendored.mkdir(parents=True)
    shutil.copy(PROJECT / "vendored" / "kubeflow.toml", vendored)
    subprocess.run(
        [program, "vendor", "--release", RELEASE, "--from", sources.resolve()],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    release, work = pins.read(vendored / "kubeflow.toml").release(RELEASE), folder / "work"
    fetching.from_folder(release, sources, work, lambda _: None)
    rendered = rendering.render(release, work, lambda _: None)
    return _prepared(folder, vendored / "kubeflow", rendered.text.split(_BETWEEN))


def without_webhooks(folder: Path, whole: Objects) -> Objects:
    """Return the same objects but for webhook configurations: no webhook is called then, or waited for."""
    source = folder / "objects"
    shutil.copytree(whole.source, source)
    for manifest in load(source):
        if manifest.key.kind in _WEBHOOKS:
            Path(manifest.origin).unlink()
    documents = whole.one_file.read_text().split(_BETWEEN)
    return _prepared(folder, source, [text for text in documents if not _OF_WEBHOOKS.search(text)])


def generated(folder: Path, number: int) -> Objects:
    """Return ``number`` objects of six types in namespaces of a hundred, in files as vendoring names them."""
    source = folder / "objects"
    documents = []
    for count in range(number // 100):
        for body in _namespaceful(f"space-{count:03}"):
            text = yaml.dump(body, Dumper=yaml.CSafeDumper)
            of_type = source / f"{body['apiVersion'].replace('/', '_')}--{body['kind']}"
            of_type.mkdir(parents=True, exist_ok=True)
            metadata = body["metadata"]
            (of_type / f"{metadata.get('namespace', 'default')}--{metadata['name']}.yaml").write_text(text)
            documents.append(text)
    return _prepared(folder, source, documents)


def _namespaceful(space: str) -> Iterable[dict[str, Any]]:
    """Yield a namespace and 99 objects in it, such as applications have."""
    yield _object("v1", "Namespace", space)
    for number in range(33):
        name = f"part-{number:02}"
        labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": space}

        def made(api_version: str, kind: str, *, called: str = name, **content: Any) -> dict[str, Any]:
            return _object(api_version, kind, called, space, labels, **content)  # noqa: B023 - called at once

        if number % 3 == 0:
            yield made("v1", "ServiceAccount")
            yield made(
                "rbac.authorization.k8s.io/v1",
                "Role",
                rules=[{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}],
            )
            yield made(
                "rbac.authorization.k8s.io/v1",
                "RoleBinding",
                roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
                subjects=[{"kind": "ServiceAccount", "name": name, "namespace": space}],
            )
        else:
            # A Deployment without pods: what is measured is applying, not Kubernetes' own controllers.
            container = {
                "name": "main",
                "image": "example.org/part:1",
                "envFrom": [{"configMapRef": {"name": name}}],
            }
            yield made(
                "apps/v1",
                "Deployment",
                spec={
                    "replicas": 0,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
                },
            )
            settings = {f"setting-{entry}": f"value {entry} of {name} in {space}" for entry in range(10)}
            yield made("v1", "ConfigMap", data=settings)
            yield made("v1", "ConfigMap", called=f"{name}-more", data=settings)


def _object(
    api_version: str,
    kind: str,
    name: str,
    space: str = "",
    labels: Mapping[str, str] | None = None,
    **content: Any,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    if space:
        metadata |= {"namespace": space, "labels": dict(labels or {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def _prepared(folder: Path, source: Path, documents: Sequence[str]) -> Objects:
    """Write the other two forms of what is in ``source``; ``documents`` are in the order for kubectl."""
    one_file, lines = folder / "all.yaml", folder / "all.jsonl"
    one_file.write_text(_BETWEEN.join(documents))
    manifests = load(source)
    assert len(documents) == len(manifests)
    lines.write_text("".join(f"{json.dumps(manifest.body)}\n" for manifest in manifests))
    return Objects(
        source,
        one_file,
        lines,
        len(manifests),
        len({(found.key.group, found.key.kind) for found in manifests}),
    )
