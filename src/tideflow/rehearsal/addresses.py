"""Where a control plane is reached: a port on loopback, and a short, private folder for Unix sockets."""

import hashlib
import os
import secrets
import socket
import stat
import tempfile
import time
from pathlib import Path

from tideflow.errors import RehearsalError

PORTS = range(20000, 32768)
"""Where our ports are: below those that Linux gives to outgoing connections, which could take ours."""

_LONGEST_PATH = 107  # bytes of a socket's path, from unix(7)
_INTERVAL = 0.1  # seconds
_LONGEST_NAME = "/localhost:2380"  # of the sockets that come into the folder


def port_is_free(port: int, *, patience: float = 0.0) -> bool:
    """Return whether a server can listen on this port of loopback, or could within ``patience`` seconds.

    Over UDP too, over which a twin answers for its domains.
    """
    deadline = time.monotonic() + patience
    while not (_can_be_had(port, socket.SOCK_STREAM) and _can_be_had(port, socket.SOCK_DGRAM)):
        if time.monotonic() > deadline:
            return False
        time.sleep(_INTERVAL)
    return True


def _can_be_had(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(type=kind) as candidate:
        if kind == socket.SOCK_STREAM:
            # As Go's listeners do: connections that have ended do not count.
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port of loopback on which nobody listens; raise `RehearsalError` if none is found."""
    for _ in range(200):
        port = PORTS.start + secrets.randbelow(len(PORTS))
        if port_is_free(port):
            return port
    raise RehearsalError(
        f"no free port was found from {PORTS.start} to {PORTS.stop - 1}",
        hint="end what listens there; `ss -tln` lists it",
    )


def usual_port(folder: Path) -> int:
    """Return a port for what is about ``folder``, the same each time if nobody listens there."""
    digest = hashlib.sha256(os.fsencode(folder.resolve())).digest()
    port = PORTS.start + int.from_bytes(digest[:4], "big") % len(PORTS)
    return port if port_is_free(port) else free_port()


def socket_folder(folder: Path) -> Path:
    """Return where the sockets of the cluster in ``folder`` go, which need not exist yet."""
    name = "tideflow-" + hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]
    candidates = [os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp"]  # noqa: S108 - checked when it is made
    for parent in candidates:
        path = os.fsencode(f"{parent}/{name}{_LONGEST_NAME}")
        if parent and os.access(parent, os.W_OK | os.X_OK) and len(path) <= _LONGEST_PATH:
            return Path(parent, name)
    raise RehearsalError(
        "there is no folder for the sockets of a rehearsal",
        hint="set TMPDIR to a folder with a short path that you may write to",
    )


def make_socket_folder(folder: Path) -> Path:
    """Create ``folder``, which may be below a folder of everybody's, and return it.

    Raises `RehearsalError` if it is not ours alone.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise RehearsalError(
            f"the folder {folder} for sockets cannot be made: {error.strerror}",
            hint="set TMPDIR to a folder with a short path that you may write to",
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise RehearsalError(
            f"{folder} is not a folder that is yours alone",
            hint="somebody else may have made it; remove it, or set TMPDIR to a folder of your own",
        )
    return folder
