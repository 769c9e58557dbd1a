"""An emulator of the mm commands of IBM Storage Scale (GPFS), for sandboxes and tests.

Promises: texts, exit codes, `-Y` layout and rounding as public sources show them; linked filesets
are real directories under `DIR/FILESYSTEM`. Ownership and modes are kept beside them, or, with
real_ownership (which needs root), are those of the host. Invented behavior is marked `# invented:`
in the code.
Leaves out: everything that neither the handler nor its operators call, deleting filesets, and
access checks: an ACL is kept, and shown as a mode, but stops nobody.

Install with
`python -m handlers.emulators.gpfs.mm install DIR [--filesystem fs1] [--real-ownership]`.
Switches for tests are in `DIR/faults.json`, a mapping:
`daemon: down`; `mounted: false`; `quotas: off`; `nonroot: true`; `message_ids: true`;
`chmod_keeps_acl: true`;
`refuse: {COMMAND: TEXT}`; `lost: {COMMAND: TEXT}` (takes effect, then fails);
`release: 5.0.4.0` (minReleaseLevel, 5.2.1.0 without it);
`slow: {COMMAND: SECONDS}` (takes effect, then waits);
`inodes: {FILESET: NUMBER}` (allocated by now, and the limit raised as `--auto-inode-limit` does);
`usage: {FILESET: {COLUMN: VALUE}}` (values in quotas, such as `blockUsage` or `filesGrace`);
`users: {UID: {COLUMN: VALUE}}` (rows of `mmrepquota -u`; there are no others).
"""

# Importing pathlib would cost every command a third of its start.
# ruff: noqa: PTH100, PTH101, PTH103, PTH118, PTH120

from __future__ import annotations

import os
import sys
import time

from handlers.emulators.gpfs import store
from handlers.emulators.gpfs.text import Failed

TYPE_CHECKING = False  # importing typing would cost every command a third of its start
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

FILESET_COMMANDS = ("mmcrfileset", "mmlinkfileset", "mmunlinkfileset", "mmchfileset", "mmlsfileset")
QUOTA_COMMANDS = ("mmsetquota", "mmlsquota", "mmrepquota")
CLUSTER_COMMANDS = ("mmlsfs", "mmgetstate", "mmlsconfig")
PATH_COMMANDS = ("mmgetacl", "mmputacl", "chown", "chmod", "stat")
COMMANDS = (*FILESET_COMMANDS, *QUOTA_COMMANDS, *CLUSTER_COMMANDS, *PATH_COMMANDS)

_LAUNCHER = """#!{python} -IS
import sys
sys.path.insert(0, {package!r})
from handlers.emulators.gpfs.mm import main
sys.exit(main({command!r}, {base!r}, sys.argv[1:]))
"""


def install(directory: Path, filesystem: str = "fs1", real_ownership: bool = False) -> Path:
    """Write the commands into directory/bin, with an empty file system beside them; return
    directory/bin.

    real_ownership: chown and chmod for real, which needs root. An existing file system is kept.
    """
    base = os.path.abspath(directory)
    binaries = os.path.join(base, "bin")
    os.makedirs(binaries, exist_ok=True)
    store.create(base, filesystem, real_ownership)
    here = os.path.abspath(__file__)
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(here))))
    for command in COMMANDS:
        path = os.path.join(binaries, command)
        values = {"python": sys.executable, "package": package, "command": command, "base": base}
        with open(path, "w", encoding="utf-8") as file:
            file.write(_LAUNCHER.format(**values))
        os.chmod(path, 0o755)
    return type(directory)(binaries)


def main(command: str, base: str, args: Sequence[str]) -> int:
    """Run one command as its launcher does; return its exit code."""
    switches = store.faults(base)
    try:
        _stand_in_the_way(command, switches)
        sys.stdout.write(_find(command)(command, base, list(args)))
        sys.stdout.flush()
        time.sleep(switches.get("slow", {}).get(command, 0))
        if words := switches.get("lost", {}).get(command):
            raise Failed(1, words)
    except Failed as failed:
        prefix = f"{command}: {failed.message_id} " if switches.get("message_ids") else ""
        sys.stderr.write((prefix if failed.message_id else "") + failed.words + "\n")
        if command.startswith("mm") and failed.code:
            ending = "Command failed. Examine previous error messages to determine cause."
            sys.stderr.write(f"{command}: {ending}\n")
        return failed.code
    return 0


def _stand_in_the_way(command: str, switches: dict[str, object]) -> None:
    """Raise Failed as a cluster in trouble fails."""
    refused = switches.get("refuse", {})
    if isinstance(refused, dict) and command in refused:
        raise Failed(1, str(refused[command]))
    if not command.startswith("mm") or command in {"mmgetstate", "mmlsconfig"}:
        return
    if switches.get("daemon") == "down":
        words = "Failed to connect to file system daemon: No such process\n"
        # invented: the exit code; no public transcript shows it.
        raise Failed(1, f"{words}{command}: GPFS is down on this node.")
    if switches.get("nonroot"):
        if command == "mmlsfileset":
            raise Failed(2, "No filesets found owned by this user nobody")
        raise Failed(1, "Operation not permitted")


def _find(command: str) -> Callable[[str, str, list[str]], str]:
    """Import only the module that a command needs: starting is most of its time."""
    if command in FILESET_COMMANDS:
        from handlers.emulators.gpfs import filesets as module
    elif command in QUOTA_COMMANDS:
        from handlers.emulators.gpfs import quotas as module  # type: ignore[no-redef]
    elif command in CLUSTER_COMMANDS:
        from handlers.emulators.gpfs import cluster as module  # type: ignore[no-redef]
    else:
        from handlers.emulators.gpfs import paths as module  # type: ignore[no-redef]
    found: Callable[[str, str, list[str]], str] = module.COMMANDS[command]
    return found


def _install_from(args: list[str]) -> int:
    from pathlib import Path

    usage = "usage: python -m handlers.emulators.gpfs.mm install DIR [--filesystem NAME] "
    real = "--real-ownership" in args
    words = [word for word in args if word != "--real-ownership"]
    named = len(words) == 4 and words[2] == "--filesystem"
    if words[:1] != ["install"] or not (len(words) == 2 or named):
        sys.stderr.write(usage + "[--real-ownership]\n")
        return 2
    print(install(Path(words[1]), words[3] if named else "fs1", real))
    return 0


if __name__ == "__main__":
    sys.exit(_install_from(sys.argv[1:]))
