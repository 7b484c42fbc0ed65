"""Running the Go compiler: which one, in which environment, and what its output means to a person."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from tideflow.errors import RehearsalError

FLAGS = (
    "-mod=readonly",
    "-trimpath",
    "-buildvcs=false",
    # Without a version kubectl cannot make sense of what the server says it is.
    "-ldflags=-s -w"
    " -X k8s.io/component-base/version.gitVersion=v1.36.3"
    " -X k8s.io/component-base/version.gitMajor=1"
    " -X k8s.io/component-base/version.gitMinor=36",
)
"""What ``go build`` is told, besides where to put the result."""
