"""YAML is read as kubectl reads it: what it makes of the same texts is the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.unit.engine.test_values import KEYS, REFUSED, VALUES

from tideflow.engine.parsing import parse

if TYPE_CHECKING:
    from tests.integration.planes import Plane

_READ = ("create", "--dry-run=client", "--validate=false", "--output=json", "--filename=-")


def kubectl(plane: Plane, text: str) -> subprocess.CompletedProcess[str]:
    """Have kubectl read manifests, and say what is in them."""
    command = [
        str(Path(sys.executable).with_name("kubectl")),
        *("--kubeconfig", str(plane.control_plane.admin_kubeconfig)),
        *_READ,
    ]
    return subprocess.run(command, input=text, text=True, check=False, capture_output=True)


def document(values: list[str]) -> str:
    """Return an object with these values."""
    lines = "".join(f"- {value}\n" for value in values)
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x, namespace: default}}\nvalues:\n{lines}"


def sent(value: Any) -> Any:
    """Return a value as it is sent, where numbers beyond 64 bits are no whole ones any more."""
    return json.loads(json.dumps(value), parse_int=lambda text: min(int(text), float(text), key=_size))


def _size(number: float) -> bool:
    return isinstance(number, int) == (abs(number) >= 2**63)


def test_kubectl_reads_the_same(plane: Plane) -> None:
    """Values and keys, whatever they look like."""
    values = [*VALUES, *(f"{{{key}: a}}" for key in KEYS)]
    told = kubectl(plane, document(values))
    assert not told.returncode, told.stderr
    [ours] = parse(document(values), "x")
    for value, one, other in zip(
        values, sent(json.loads(told.stdout)["values"]), sent(ours["values"]), strict=True
    ):
        assert json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True), value


def test_kubectl_refuses_the_same(plane: Plane) -> None:
    """Only what no JSON can hold."""
    assert [value for value in REFUSED if not kubectl(plane, document([value])).returncode] == []
