"""Keeping hashes of passwords out of what pyinfra logs: with ``--debug`` it tells all settings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

_HASH = re.compile(r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}")  # bcrypt's


def hide(record: logging.LogRecord) -> bool:
    """Take hashes out of what is about to be logged; it is logged all the same."""
    if isinstance(record.msg, str):
        record.msg, record.args = _HASH.sub("***", record.getMessage()), ()
    return True
