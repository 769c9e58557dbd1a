"""Hosts as network namespaces: each process tree has a network, and a name, of its own.

Promises: a host reaches this process's own network by a pair of devices, and nothing else. All of
it ends with the processes. Needs root, and that this process has a network of its own (`alone`).
Leaves out: delays and losses.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

_NEW_NETWORK = 0x40000000
"""`CLONE_NEWNET` of sched.h (unshare(2))."""


def alone() -> None:
    """Give this process a network of its own, in which nothing but itself can be reached."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "a network of its own needs root")
    _ip("link", "set", "lo", "up")


def near(number: int) -> str:
    """Return the address by which a host reaches this process. number: of the host, up to 250."""
    return f"10.77.{number}.1"


def start(number: int, words: Sequence[object], log: Path) -> subprocess.Popen[bytes]:
    """Start a host's program, and give it its network. number: of the host, from 1 to 250."""
    wait = 'hostname "$0" && read -r _ && exec "$@" < /dev/null'
    named = ["unshare", "--net", "--uts", "sh", "-c", wait, f"host{number}", *map(str, words)]
    with log.open("ab") as said:
        made = subprocess.Popen(named, stdin=subprocess.PIPE, stdout=said, stderr=said)
    assert made.stdin is not None
    here, there = f"host{number}", ["nsenter", f"--net=/proc/{made.pid}/ns/net"]
    while _network(made.pid) == _network(os.getpid()):
        made.poll()
    _ip("link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", str(made.pid))
    _ip("address", "add", f"{near(number)}/24", "dev", here)
    _ip("link", "set", here, "up")
    _ip("address", "add", f"10.77.{number}.2/24", "dev", "eth0", within=there)
    for device in ("lo", "eth0"):
        _ip("link", "set", device, "up", within=there)
    made.stdin.write(b"\n")
    made.stdin.close()
    return made


def _network(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def _ip(*words: str, within: Sequence[str] = ()) -> None:
    subprocess.run([*within, "ip", *words], check=True)
