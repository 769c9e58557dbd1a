"""The lab's namespaces: starting daemons in them, finding them, ending them.

Promises: a process belongs to the lab if and only if it lives in the lab's process namespace, so
nothing is ever ended or trusted by its name or by a number that may have been given away.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deploy.lab.hold import HIDDEN
from deploy.lab.place import HOST, LabError

_LAUNCH = 'echo $$ >"$0"; exec "$@"'
"""Writes the number of a daemon's session, as it is called inside, and becomes the daemon."""


def holder(directory: Path) -> int | None:
    """Give the process id of the lab's first process; None where the lab is down."""
    try:
        kept = json.loads((directory / "run" / "holder.json").read_text())
        stat = Path(f"/proc/{kept['pid']}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    alive = stat[0] not in "ZX" and stat[19] == kept["started"]
    return int(kept["pid"]) if alive else None


def hold(directory: Path, tree: Path | None = None) -> int:
    """Make the namespaces. Gives the process id of their first process.

    tree: the root of their view; None for the machine's own.
    Raises LabError: the kernel or a container forbids it.
    """
    (directory / "run" / "holder.json").unlink(missing_ok=True)
    log = directory / "log" / "holder.log"
    script = Path(__file__).with_name("hold.py")
    unshare = ["unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*unshare, "--", sys.executable, "-I", str(script), str(directory), HOST,
             *([] if tree is None else [str(tree)])],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    until(lambda: holder(directory) is not None or process.poll() is not None, "namespaces", 60)
    pid = holder(directory)
    if pid is None:
        raise LabError(f"no private namespaces here (needs CAP_SYS_ADMIN): {log.read_text()}")
    return pid


def entering(directory: Path) -> list[str]:
    """Write the words that, put before a command, run it inside. Raises LabError: it is down."""
    pid = holder(directory)
    if pid is None:
        raise LabError(f"{directory}: the lab is down")
    return ["nsenter", f"--target={pid}", "--mount", "--pid", "--uts", "--"]


def lend(directory: Path, programs: Sequence[str]) -> Path:
    """Write commands that run programs inside for who is outside, while the lab is up.

    Gives the directory that they are in.
    """
    place = directory / "run" / "bin"
    place.mkdir(exist_ok=True)
    for program in programs:
        (place / program).write_text(_from_outside(directory))
        (place / program).chmod(0o755)
    return place


def _from_outside(directory: Path) -> str:
    """Write a script that runs, from outside, the program inside that has the script's name."""
    # Only the mount namespace: these are clients, and end with the process that started them.
    words = f"nsenter --target={holder(directory)} --mount"
    return f"""#!/bin/sh\nexec {words} --wdns="$PWD" -- "${{0##*/}}" "$@"\n"""


def cover_again(directory: Path) -> list[str]:
    """Cover those files of the machine again that shine through; gives their paths.

    A bind mount on a file goes, silently and in every namespace, when somebody on the machine
    renames a new file into its place, as a package does with /etc/nsswitch.conf.
    """
    bare = []
    for name in sorted(HIDDEN):
        ours, theirs = str(directory / "root" / name), f"/{name}"
        same = subprocess.run([*entering(directory), "test", ours, "-ef", theirs], check=False)
        if same.returncode:
            mount = [*entering(directory), "mount", "--bind", ours, theirs]
            subprocess.run(mount, check=True, capture_output=True)
            bare.append(theirs)
    return bare


def start(directory: Path, name: str, command: Sequence[str]) -> None:
    """Start a daemon inside, in a session of its own; its output goes to log/NAME.out."""
    # Process ids inside are no longer unique on the machine, so names made of them are kept apart.
    temporary = str(directory / "run" / "tmp")
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TMPDIR": temporary}
    session = _sessions(directory) / name
    session.unlink(missing_ok=True)
    with (directory / "log" / f"{name}.out").open("ab") as out:
        subprocess.run(
            [*entering(directory), "setsid", "--fork", "sh", "-c", _LAUNCH, str(session), *command],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, check=True,
        )  # fmt: skip
    until(lambda: session.exists() and session.read_text().endswith("\n"), name, 60)


def processes(directory: Path) -> Mapping[int, str]:
    """List the processes inside, with the name of the daemon in whose session each lives."""
    first = holder(directory)
    if first is None:
        return {}
    names = {file.read_text().strip(): file.name for file in _sessions(directory).iterdir()}
    namespace = Path(f"/proc/{first}/ns/pid").stat().st_ino
    sessions = {}
    for entry in Path("/proc").iterdir():
        # A process may end while it is looked at; and some of the machine's may not be looked at.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if entry.name.isdigit() and (entry / "ns/pid").stat().st_ino == namespace:
                sessions[int(entry.name)] = names.get(_session_inside(entry), "")
    sessions.pop(first, None)
    return sessions


def _sessions(directory: Path) -> Path:
    return directory / "run" / "sessions"


def _session_inside(process: Path) -> str:
    """Read what a process's session is called in the innermost namespace."""
    lines = (process / "status").read_text().splitlines()
    return next(line.split()[-1] for line in lines if line.startswith("NSsid:"))


def listens(directory: Path, address: str, port: int) -> bool:
    """Say whether a process of the lab, and nobody else, listens there."""
    packed = bytes(int(part) for part in reversed(address.split("."))).hex().upper()
    wanted = f"{packed}:{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[1] == wanted and row[3] == "0A"}
    return bool(inodes) and any(
        target in {f"socket:[{inode}]" for inode in inodes}
        for pid in processes(directory)
        for target in _open_files(pid)
    )


def _open_files(pid: int) -> list[str]:
    targets = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                targets.append(str(entry.readlink()))
    return targets


def answers(directory: Path, name: str, question: Callable[[], bool], seconds: float = 300) -> None:
    """Wait until a daemon answers. Raises LabError with the end of its log when it does not."""

    def settled() -> bool:
        return question() or name not in processes(directory).values()

    with contextlib.suppress(TimeoutError):
        until(settled, name, seconds)
        if question():
            return
    logs = [directory / "log" / f"{name}{suffix}" for suffix in (".out", ".log")]
    said = "\n".join(log.read_text(errors="replace")[-1500:] for log in logs if log.exists())
    raise LabError(f"{name} does not answer; it said:\n{said}")


def until(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait for a condition. Raises TimeoutError naming what was waited for."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.1)


def stop(directory: Path, names: Sequence[str] | None, seconds: float = 10) -> None:
    """Ask daemons to end, and wait for it. names: None for every process of the lab."""

    def left() -> list[int]:
        return [pid for pid, tag in processes(directory).items() if names is None or tag in names]

    for pid in left():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        until(lambda: not left(), "ending", seconds)


def end(directory: Path) -> None:
    """End the namespaces, and with them all processes inside."""
    first = holder(directory)
    if first is not None:
        os.kill(first, signal.SIGKILL)
        until(lambda: holder(directory) is None, "the lab's end", 60)
