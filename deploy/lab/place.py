"""Where a lab lives: its directory, its loopback addresses and its ports.

Promises: an address that nothing listened on when it was chosen, and that no other lab chooses
until this one's daemons listen.
Leaves out: starting anything.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

HOST = "labnode"
"""Name of the machine inside the lab's namespaces."""

LOOPBACK = "127.0.0.1"
"""Address of MariaDB and Slurm. A connection to any loopback address comes from this one, and
slurmdbd tells slurmctld what is new at the address that slurmctld came from: so it listens here."""

MOVABLE = ("mariadb", "slurmctld", "slurmd", "slurmdbd")
"""Daemons whose ports the lab may choose."""

FIRST_PORT, STRIDE = 20_000, 40
"""Ports are looked for from FIRST_PORT + STRIDE * number, below those that the kernel gives out;
labs with different numbers never look at the same one."""

LDAP = (389, 636)
"""Ports that Samba cannot change, which is why every lab has addresses of its own."""

CLAIM = 1
"""Port that `up` holds on an address from choosing it until its daemons listen."""

LONGEST = 60
"""Characters of a lab's directory: Samba's sockets below it must fit in the 107 of a path."""


class LabError(Exception):
    """A problem that the person who runs the lab must fix; the message says what."""


@dataclass(frozen=True)
class Lab:
    """A lab's directory, the third number of its addresses, and its ports.

    suite: the Debian whose programs it runs; None for the machine's own.
    """

    directory: Path
    number: int
    ports: Mapping[str, int]
    suite: str | None = None

    @property
    def address(self) -> str:
        """Give the address of Samba."""
        return _address(self.number, 1)

    @property
    def adlds_address(self) -> str:
        """Give the address of the stand-in for AD LDS."""
        return _address(self.number, 2)

    @property
    def rfc2307_address(self) -> str:
        """Give the address of the RFC 2307 directory."""
        return _address(self.number, 3)

    @property
    def addresses(self) -> tuple[str, str, str]:
        """List all of them."""
        return self.address, self.adlds_address, self.rfc2307_address

    def path(self, *parts: str) -> Path:
        """Name something below the lab's directory."""
        return self.directory.joinpath(*parts)

    def secret(self, name: str) -> Path:
        """Name the file that holds a password."""
        return self.path("secrets", name)


def check_directory(directory: Path) -> None:
    """Refuse a directory that a lab cannot live in.

    Raises LabError: it is too long, is something else's, or a job's user could not pass it.
    """
    if len(str(directory)) > LONGEST:
        raise LabError(f"{directory}: more than {LONGEST} characters, sockets would not fit")
    if not set(str(directory)).isdisjoint(" \t\n\"'\\#$%,"):
        raise LabError(f"{directory}: blanks and quotes do not go into the daemons' settings")
    if directory.exists() and any(directory.iterdir()) and not (directory / "place.json").exists():
        raise LabError(f"{directory}: holds something that is no lab")
    for parent in directory.parents:
        if parent.exists() and not parent.stat().st_mode & 0o001:
            raise LabError(
                f"{parent}: only its owner may pass, but jobs run as other users; "
                f"chmod o+x {parent}, or choose another place"
            )


@contextlib.contextmanager
def choose(directory: Path, suite: str | None) -> Iterator[Lab]:
    """Choose addresses and ports for a lab, and hold them until the block ends.

    Those that it had before are taken again where they are free. Raises LabError: none is free.
    """
    file = directory / "place.json"
    before = json.loads(file.read_text())["number"] if file.exists() else crc32(bytes(directory))
    for step in range(254):
        number = (before - 1 + step) % 254 + 1
        with contextlib.ExitStack() as stack:
            try:
                for host in (1, 2, 3):
                    stack.enter_context(_bound(_address(number, host), CLAIM))
                    for port in LDAP:
                        _bound(_address(number, host), port).close()
            except OSError:
                continue
            ports = _free_ports(number)
            lab = Lab(directory, number, ports, suite)
            kept = {"number": number, "ports": ports, "suite": suite}
            file.write_text(json.dumps(kept, indent=2) + "\n")
            yield lab
            return
    raise LabError("no address 127.77.* is free on ports 389 and 636: who listens on 0.0.0.0?")


def known(directory: Path) -> Lab:
    """Give the place of a lab that has one. Raises LabError: there is no lab."""
    try:
        kept = json.loads((directory / "place.json").read_text())
    except FileNotFoundError:
        raise LabError(f"{directory}: no lab was ever up here") from None
    return Lab(directory, kept["number"], kept["ports"], kept.get("suite"))


def settled_suite(directory: Path, wanted: str | None) -> str | None:
    """Give the suite that a lab runs; one that has data stays on the programs that wrote them.

    Raises LabError: another is asked for.
    """
    if not (directory / "place.json").exists():
        return wanted
    suite = known(directory).suite
    if wanted not in (None, suite):
        raise LabError(
            f"{directory} holds the data of {suite or 'this machine'}, not of {wanted}: "
            "take it down and remove it, or choose another directory"
        )
    return suite


def _address(number: int, host: int) -> str:
    return f"127.77.{number}.{host}"


def _bound(address: str, port: int) -> socket.socket:
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if port != CLAIM:
            # As the daemons do: connections of a lab that has ended are in nobody's way.
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((address, port))
    except OSError:
        held.close()
        raise
    return held


def _free_ports(number: int) -> Mapping[str, int]:
    """Give each daemon a port; on every address, as a listener on all of them is in the way."""
    free = []
    for port in range(FIRST_PORT + STRIDE * number, FIRST_PORT + STRIDE * (number + 1)):
        with contextlib.suppress(OSError):
            _bound("", port).close()
            free.append(port)
    if len(free) < len(MOVABLE):
        raise LabError(f"too few free ports from {FIRST_PORT + STRIDE * number}")
    return dict(zip(MOVABLE, free, strict=False))
