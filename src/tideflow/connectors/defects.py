"""What people are told of an exception that nobody expected: where it was raised, and never its text."""

from __future__ import annotations

import traceback
from pathlib import Path

from pyinfra import logger

from tideflow.errors import TideflowError


def defect(error: Exception) -> TideflowError:
    """Return the error that tells of an exception which nobody expected.

    Its text is left out, since it may quote anything; so is the rest of the traceback, but with ``--debug``.
    """
    frames = traceback.extract_tb(error.__traceback__)
    logger.debug("".join(traceback.format_list(frames)))
    ours = [frame for frame in frames if "tideflow" in Path(frame.filename).parts] or frames
    where = f"{Path(ours[-1].filename).name}, line {ours[-1].lineno}"
    return TideflowError(
        f"Tideflow has a defect: {type(error).__name__} in {where}",
        hint="please report it, with what --debug prints",
    )
