"""What is being waited for, while it is: one line that is rewritten in place.

Where nothing can be rewritten (a log, a pipe) the line is printed now and then instead.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, ClassVar

from pyinfra import logger

if TYPE_CHECKING:
    import logging

    from pyinfra.api.host import Host

_EVERY = 10.0  # seconds between two lines where nothing can be rewritten; the first comes at once

# pyinfra's spinner rewrites the last line five times a second, and ours with it.
os.environ.setdefault("PYINFRA_PROGRESS", "off")


class LiveLine:
    """Shows the newest of the texts it is called with; ``close`` takes the line away.

    So does whatever else is logged, which would otherwise be glued to it.
    """

    _standing: ClassVar[bool] = False

    def __init__(self, host: Host) -> None:
        self._host = host
        self._said_at = -_EVERY
        self._said = ""
        self._live = sys.stderr.isatty()

    def __call__(self, text: str) -> None:
        """Show ``text``."""
        if self._live:
            # The prefix carries colours that take no room.
            prefix = f"    {self._host.print_prefix}"
            room = os.get_terminal_size(sys.stderr.fileno()).columns - len(f"    [{self._host.name}] ") - 1
            sys.stderr.write(f"\r\033[K{prefix}{text[:room]}\033[0m")
            sys.stderr.flush()
            LiveLine._standing = True
        elif text != self._said and time.monotonic() - self._said_at >= _EVERY:
            self._said, self._said_at = text, time.monotonic()
            self._host.log(text)

    @staticmethod
    def close() -> None:
        """Clear the line, so that what is printed next stands alone."""
        if LiveLine._standing:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
            LiveLine._standing = False


def _closed(_: logging.LogRecord) -> bool:
    LiveLine.close()
    return True


logger.addFilter(_closed)
