"""A network of a test's own: hosts as network namespaces, each with one link to one bridge.

Promises: nobody else sees it, and it has no way out. A link can be taken away, as a cable is; two
hosts can be parted, so that what they send each other vanishes, as behind a firewall. Neither says
so to a connection that is open. Leaves out: what runs on a host (`machines`). Needs root.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

_NET = "10.77.0"

_NOBODY = "02:00:00:00:00:00"
"""The hardware address of no host: what is sent there vanishes."""


class Network:
    """A bridge in a namespace of its own, and the hosts at it."""

    def __init__(self, name: str) -> None:
        """name: unlike that of any other network on this machine, short."""
        self.name = name
        self._numbers = count(2)
        self._addresses: dict[str, str] = {}
        self._cut: set[str] = set()
        self._parted: set[tuple[str, str]] = set()
        _ip(f"netns add {self._hub}")
        _ip(f"-n {self._hub} link add bridge up type bridge")

    def add(self, host: str) -> str:
        """Connect a host, unless it is; return its address. host: at most 12 letters."""
        if host in self._addresses:
            return self._addresses[host]
        address = self._addresses[host] = f"{_NET}.{next(self._numbers)}"
        place, hub = self._namespace(host), self._hub
        _ip(f"netns add {place}")
        _ip(f"-n {hub} link add {host} type veth peer name eth0 netns {place}")
        _ip(f"-n {hub} link set {host} master bridge up")
        _ip(f"-n {place} address add {address}/24 dev eth0")
        _ip(f"-n {place} link set eth0 up")
        _ip(f"-n {place} link set lo up")
        return address

    def address(self, host: str) -> str:
        """Return the address of a host."""
        return self._addresses[host]

    def enter(self, host: str) -> list[str]:
        """Return the words before those of a program that runs on a host."""
        return ["nsenter", f"--net=/run/netns/{self._namespace(host)}", "--"]

    def cut(self, host: str) -> None:
        """Take a host's link away."""
        _ip(f"-n {self._hub} link set {host} down")
        self._cut.add(host)

    def mend(self, host: str) -> None:
        """Give it back."""
        _ip(f"-n {self._hub} link set {host} up")
        self._cut.discard(host)

    def part(self, one: str, other: str) -> None:
        """Let what two hosts send each other vanish; others hear both."""
        for here, there in ((one, other), (other, one)):
            place, to = self._namespace(here), self.address(there)
            _ip(f"-n {place} neigh replace {to} lladdr {_NOBODY} nud permanent dev eth0")
        self._parted.add((one, other))

    def rejoin(self, one: str, other: str) -> None:
        """End that."""
        for here, there in ((one, other), (other, one)):
            _ip(f"-n {self._namespace(here)} neigh del {self.address(there)} dev eth0")
        self._parted.discard((one, other))

    def whole(self) -> None:
        """End all cuts and partings."""
        for host in [*self._cut]:
            self.mend(host)
        for pair in [*self._parted]:
            self.rejoin(*pair)

    def end(self) -> None:
        """Remove it. What still runs in it is on its own."""
        for host in self._addresses:
            _ip(f"netns delete {self._namespace(host)}")
        _ip(f"netns delete {self._hub}")

    @property
    def _hub(self) -> str:
        return self._namespace("hub")

    def _namespace(self, host: str) -> str:
        return f"{self.name}-{host}"


@contextmanager
def network() -> Iterator[Network]:
    """Give a network under a name that nobody has."""
    # The directory keeps the name until the end.
    with tempfile.TemporaryDirectory(prefix="provisioner-net-") as taken:
        made = Network(Path(taken).name)
        try:
            yield made
        finally:
            made.end()


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)
