"""``python -m tideflow.rehearsal.twin FOLDER``: the twin of a rehearsal, as ``background`` starts it.

What it needs to know is in the folder: the token, which arguments would show to everybody, above all.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from tideflow.errors import TideflowError
from tideflow.rehearsal.pace import Pace
from tideflow.rehearsal.twin.server import listening, serve


def main() -> None:
    """Serve until told to end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    folder = Path(sys.argv[1])
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    try:
        with listening(settings["port"]) as listener:
            serve(
                folder,
                listener,
                binaries=Path(settings["binaries"]),
                pace=Pace(tuple(settings["pod_ready_seconds"]), settings["speed"], settings["realistic"]),
            )
    except TideflowError as error:
        # The last line of the log, which whoever starts the twin shows, with a hint for a rehearsal.
        sys.exit(error.message)


if __name__ == "__main__":
    main()
