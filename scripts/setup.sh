#!/bin/sh
# Find a Python that is new enough, and let it set up the rest; see set_up.py, which gets the arguments.
set -eu
cd "$(dirname "$0")/.."

probe='import sys; print("%d.%d" % sys.version_info[:2]); sys.exit(sys.version_info < (3, 11))'
found=''
for python in .venv/bin/python python3 python3.14 python3.13 python3.12 python3.11 python; do
    if version=$("$python" -c "$probe" 2>/dev/null); then
        exec "$python" scripts/set_up.py "$@"
    fi
    found=${found:-${version:+, and $python is $version}}
done
echo "set-up: Python 3.11 or newer is needed$found. Install one (Debian, Ubuntu: apt-get install python3.11)" >&2
exit 1
