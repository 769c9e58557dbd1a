"""The first process of a lab's namespaces: makes its view of the machine, then buries the dead.

Promises: the machine's own mounts, host name and /etc are not touched; when this process is
killed, the kernel ends every process of the lab and drops its mounts.
Started by `unshare --mount --pid --uts --fork`, with the lab's directory as its argument.
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


def main(directory: Path, host: str) -> None:
    """Set the scene, say that it is set, and reap orphans for ever."""
    # /proc is still the machine's, so this is what the machine calls this process.
    pid = int(Path("/proc/self").readlink().name)
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
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


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
