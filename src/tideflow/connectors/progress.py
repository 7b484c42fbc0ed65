"""What is being waited for, while it is: one line that is rewritten in place.

Where nothing can be rewritten (a log, a pipe) the line is printed now and then instead.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyinfra.api.host import Host

_EVERY = 10.0  # seconds between two lines where nothing can be rewritten

# pyinfra's spinner rewrites the last line five times a second, and ours with it.
os.environ.setdefault("PYINFRA_PROGRESS", "off")


class LiveLine:
    """Shows the newest of the texts it is called with; ``close`` takes the line away."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._said_at = time.monotonic()
        self._said = ""
        self._live = sys.stderr.isatty()

    def __call__(self, text: str) -> None:
        """Show ``text``."""
        if self._live:
            width = shutil.get_terminal_size().columns
            line = f"    {self._host.print_prefix}{text}"
            # The prefix carries colours that take no room.
            room = width - 1 + len(self._host.print_prefix) - len(f"[{self._host.name}] ")
            sys.stderr.write(f"\r\033[K{line[:room]}\033[0m")
            sys.stderr.flush()
        elif text != self._said and time.monotonic() - self._said_at >= _EVERY:
            self._said, self._said_at = text, time.monotonic()
            self._host.log(text)

    def close(self) -> None:
        """Clear the line, so that what is printed next stands alone."""
        if self._live:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
