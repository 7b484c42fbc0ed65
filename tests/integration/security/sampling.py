"""What all processes were started with: seen from outside while they run, and told by Python itself."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Self

_INTERVAL = 0.02  # seconds

_HOOK = """
import os, sys

_STARTS = {{"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn"}}


def _note(event, arguments):
    if event in _STARTS:
        with open({file!r}, "a", encoding="utf-8", errors="surrogateescape") as file:
            # The last of several is the environment.
            file.write(repr((event, arguments[:-1] if len(arguments) > 1 else arguments)) + "\\n")


sys.addaudithook(_note)
"""
"""Read by every Python at its start: it notes each program that is started, however short it lives."""


class Sampler:
    """Looks at the processes of this machine, again and again, until the context is left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started = folder / "started"
        self.started.touch(mode=0o600)
        (folder / "sitecustomize.py").write_text(_HOOK.format(file=str(self.started)))
        self.environment = {"PYTHONPATH": str(folder)}
        self.arguments: dict[tuple[int, bytes], bytes] = {}
        self._mark = os.fsencode(folder)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        """End."""
        self._ended.set()
        self._thread.join()

    @property
    def ours(self) -> dict[tuple[int, bytes], bytes]:
        """The environments of the processes that have, or inherited, what we gave to runs."""
        return {which: environ for which, environ in self.arguments.items() if self._mark in environ}

    def _run(self) -> None:
        while not self._ended.wait(_INTERVAL):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    which = int(process.name), (process / "cmdline").read_bytes()
                    if which not in self.arguments:
                        self.arguments[which] = (process / "environ").read_bytes()
                except OSError:  # it has ended
                    continue
