"""Build the programs of a rehearsal's control plane, unless they are there; for the Python of ``.venv``."""

import sys

from tideflow.errors import TideflowError
from tideflow.rehearsal import building

try:
    for build in (building.binaries, building.auth_proxy):
        build(lambda line: print(f"set-up: {line}", flush=True))
except TideflowError as error:
    sys.exit(f"set-up: {error}")
except KeyboardInterrupt:
    sys.exit("set-up: interrupted; nothing half-made is kept")
