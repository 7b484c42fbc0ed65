"""The search for secrets finds them in every form, wherever they are in what is searched."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st
from tests.integration.security.canaries import Canaries, content, readers
from tests.integration.security.sampling import Sampler

if TYPE_CHECKING:
    from pathlib import Path

SECRET = 'a "secret" \u00fc/&=+% of some length'


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_every_form_is_found(before: bytes, after: bytes) -> None:
    """Plain, in JSON, in URLs, in hexadecimal digits, and in base64 together with anything else."""
    canaries = Canaries()
    canaries.add("it", SECRET)
    plain = before + SECRET.encode() + after
    for data in (
        plain,
        plain.hex().encode(),
        base64.b64encode(plain),
        base64.urlsafe_b64encode(plain),
        before + json.dumps({"x": SECRET}).encode() + after,
        before + repr([SECRET]).encode() + after,
        before + quote(SECRET, safe="").encode() + after,
        before + quote_plus(SECRET).encode() + after,
    ):
        assert canaries.found(data) == {"it"}
    assert canaries.found(before + SECRET[:-1].encode()) == set()


def test_a_key_is_found_by_its_longest_line() -> None:
    """Whatever stands before and after; what is public, or too short to mean anything, is not looked for."""
    lines = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgZm9vYmFyYmF6cXV4\nZm9vYmFy"
    key = f"-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n"
    canaries = Canaries()
    canaries.add("key", key)
    canaries.add("short", "root")
    canaries.add("public", key.replace("PRIVATE KEY", "CERTIFICATE"))
    assert canaries.names == {"key"}
    assert canaries.found(base64.b64encode(f"x{key}".encode())) == {"key"}


def test_files_are_read_but_for_zeros_and_judged_by_who_can_read_them(tmp_path: Path) -> None:
    """A secret far behind is found, and any way in for others is told."""
    tmp_path.chmod(0o755)
    inner = tmp_path / "inner"
    inner.mkdir(mode=0o755)
    file = inner / "file"
    file.touch(mode=0o600)
    file.write_bytes(bytes(1 << 20) + SECRET.encode())
    canaries = Canaries()
    canaries.add("it", SECRET)
    assert canaries.found(content(file)) == {"it"}
    assert len(content(file)) < 10_000
    assert "others can enter" in readers(file, inner)
    inner.chmod(0o700)
    assert readers(file, inner) == ""
    file.chmod(0o640)
    assert "has mode 640" in readers(file, inner)


def test_processes_are_seen(tmp_path: Path) -> None:
    """Those that live for a while by looking, and those that a Python starts because it tells."""
    script = "import subprocess, sys, time; subprocess.run(['true', 'told']); time.sleep(0.5)"
    with Sampler(tmp_path) as sampler:
        subprocess.run([sys.executable, "-c", script, "seen"], env=sampler.environment, check=True)
    assert any(line.endswith(b"\0seen\0") for _, line in sampler.ours)
    assert b"'told'" in sampler.started.read_bytes()
