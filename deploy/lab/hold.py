"""The first process of a lab's namespaces: makes its view of the machine, then buries the dead.

Promises: the machine's own mounts, host name and /etc are not touched; when this process is
killed, the kernel ends every process of the lab and drops its mounts. The root of the view is the
machine's, or the tree of another Debian: nsenter(1) goes to the root of a mount namespace, so that
the tree has to be that root, and a chroot would not do.
Started by `unshare --mount --pid --uts --fork`, with the lab's directory, the host's name and, for
a view of its own, a tree as its arguments. Source: pivot_root(2), mount_namespaces(7).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

HIDDEN = {"etc/nsswitch.conf", "etc/nslcd.conf", "etc/hosts"}
"""Files of the machine that the lab covers by its own of the same path in DIR/root."""

DISTRIBUTION = {"bin", "boot", "etc", "lost+found", "mnt", "proc", "run", "sbin", "usr", "var"}
"""Directories below / that come with a Debian, beside its lib*. All others are the machine's in
every view, so that a checkout, a temporary file or a device is where it is outside."""


def main(directory: Path, host: str, tree: Path | None = None) -> None:
    """Set up the namespaces, report that they are ready, and reap orphans forever.

    tree: the root directory of another Debian, if not the machine's.
    """
    # /proc is still the machine's, so this is what the machine calls this process.
    pid = int(Path("/proc/self").readlink().name)
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    if tree is not None:
        _move_into(tree, directory)
    for name in sorted(HIDDEN):
        _mount("--bind", str(directory / "root" / name), f"/{name}")
    # Sockets are looked for in /run: nslcd's, munge's; and a cache of the machine's own names,
    # nscd's, is not to be found there.
    _mount("--bind", str(directory / "run"), "/run")
    _mount("--types", "proc", "proc", "/proc")
    socket.sethostname(host)
    ready = directory / "run" / "holder.new"
    ready.write_text(json.dumps({"pid": pid, "started": started}))
    ready.rename(directory / "run" / "holder.json")

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            pass
        signal.sigwait({signal.SIGCHLD})


def _move_into(tree: Path, directory: Path) -> None:
    """Make a tree the root, read-only, with the machine's other directories in it."""
    _mount("--bind", str(tree), str(tree))
    kept = [place for place in Path("/").iterdir() if _is_the_machines(place)]
    for place in (*kept, Path("/var/tmp"), directory):
        inside = tree / place.relative_to("/")
        inside.mkdir(parents=True, exist_ok=True)
        _mount("--rbind", str(place), str(inside))
    _mount("--options", "remount,bind,ro", str(tree))
    subprocess.run(["pivot_root", str(tree), str(tree / "mnt")], check=True)
    os.chdir("/")
    _mount("--types", "proc", "proc", "/proc")
    subprocess.run(["umount", "--lazy", "/mnt"], check=True)


def _is_the_machines(place: Path) -> bool:
    distribution = place.name in DISTRIBUTION or place.name.startswith("lib")
    return place.is_dir() and not place.is_symlink() and not distribution


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(Path, sys.argv[3:]))
