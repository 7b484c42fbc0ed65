"""Where processes listen, as the kernel tells it in ``/proc`` (proc(5))."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tideflow.rehearsal.processes import MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTENING = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07", "udplite": "07", "raw": "07"}
"""The state in which anybody may send to a socket, by protocol."""
_ACCEPTS = 0x10000  # among the flags of a Unix socket


@dataclass(frozen=True)
class Listener:
    """One socket of a process; ``port`` is 0 for a Unix socket, whose path ``address`` is then."""

    protocol: str
    address: str
    port: int = 0

    @property
    def is_private(self) -> bool:
        """Whether it is on loopback, or in a folder that is its user's alone."""
        if self.protocol != "unix":
            return ipaddress.ip_address(self.address).is_loopback
        if not self.address.startswith("/"):
            return False  # an abstract name has no mode, and anybody may connect to it
        folder = Path(self.address).parent.lstat()
        return (folder.st_uid, stat.S_IMODE(folder.st_mode)) == (os.getuid(), 0o700)


def processes_below(folder: Path) -> dict[int, str]:
    """Return the names of the background processes of a folder, their children's too, by process id."""
    found = {}
    mark = re.compile(rb"(?:^|\0)%s=(%s/[^\0]*)\.pid" % (MARKER.encode(), re.escape(os.fsencode(folder))))
    for process in Path("/proc").glob("[0-9]*"):
        try:
            marked = mark.search((process / "environ").read_bytes())
        except OSError:  # it has ended, or is somebody else's
            continue
        if marked:
            found[int(process.name)] = Path(os.fsdecode(marked[1])).name
    return found


def listeners(pid: int) -> set[Listener]:
    """Return the sockets at which a process can be reached."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(descriptor)  # noqa: PTH115 - it is no path
        except OSError:  # it is closed by now
            continue
        if target.startswith("socket:["):
            inodes.add(target[len("socket:[") : -1])
    net = Path(f"/proc/{pid}/net")
    return {*_inet(net, inodes), *_unix(net, inodes, Path(f"/proc/{pid}/cwd"))}


def _inet(net: Path, inodes: set[str]) -> Iterator[Listener]:
    for protocol, state in _LISTENING.items():
        if not (net / protocol).exists():
            continue
        for line in (net / protocol).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and fields[3] == state:
                address, _, port = fields[1].rpartition(":")
                yield Listener(protocol, _address(address), int(port, 16))


def _address(digits: str) -> str:
    """Return an address that is written as words of 32 bits in the machine's own order."""
    words = [bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8)]
    found = ipaddress.ip_address(b"".join(words))
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


def _unix(net: Path, inodes: set[str], cwd: Path) -> Iterator[Listener]:
    for line in (net / "unix").read_text().splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if fields[6] in inodes and int(fields[3], 16) & _ACCEPTS:
            path = fields[7] if len(fields) > 7 else "@"
            yield Listener("unix", path if path.startswith("@") else str(cwd.resolve() / path))
