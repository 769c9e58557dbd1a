"""Emulated mmgetacl and mmputacl, and chown, chmod and stat that keep ownership beside the files.

Promises: if the state says that ownership is the host's, chown and chmod are the host's, and stat
shows the result; a fileset's root directory has the inode that mmlsfileset shows.
Leaves out: names of users and groups (numbers only), and options that the handler does not use.
"""

# Importing pathlib would cost every command a third of its start.
# ruff: noqa: PTH100, PTH101

from __future__ import annotations

import os
import sys

from handlers.emulators.gpfs import store
from handlers.emulators.gpfs.text import Failed, Usage, words

TYPE_CHECKING = False  # importing typing would cost every command a third of its start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_ESCAPES = {"\\0": "\0", "\\n": "\n", "\\t": "\t"}


def _inside(state: dict[str, Any], path: str) -> str:
    full = os.path.abspath(path)
    if full != state["mount"] and not full.startswith(state["mount"] + "/"):
        raise Failed(1, f"{path} is not a GPFS file system object.", "6027-1901")
    if not os.path.lexists(full):
        # invented: the text and the exit code.
        raise Failed(2, f"{path}: No such file or directory")
    return full


def _get_acl(command: str, base: str, args: list[str]) -> str:
    options = words(args, {"-k", "-o"})
    with store.opened(base) as state:
        path = _inside(state, options.get("0", ""))
        kept = store.entry(state, path)
        if state["real"]:
            found = os.lstat(path)
            kept |= {"uid": found.st_uid, "gid": found.st_gid, "mode": found.st_mode & 0o7777}
        acl = store.acl_of(state, kept)
        kept_by_chmod = store.faults(base).get("chmod_keeps_acl")
        agrees = kept_by_chmod or store.mode_of_acl(acl) == kept["mode"] & 0o777
        if not acl or not agrees:
            acl = _acl_of_mode(kept["mode"])  # it has none, or the host's chmod replaced it
        owner, group = _name(kept["uid"]), _name(kept["gid"])
        head = f"#NFSv4 ACL\n#owner:{owner}\n#group:{group}\n"
        return f"{head}{acl}\n"


def _name(number: int) -> str:
    # invented: how an id without a name is shown. No lookup of names: starting must be fast.
    return "root" if number == 0 else str(number)


def _acl_of_mode(mode: int) -> str:
    """Return the ACL that a mode stands for.

    # invented: public transcripts show no ACL of a directory that has only a mode.
    """
    lines = []
    for principal, shift in (("owner@", 6), ("group@", 3), ("everyone@", 0)):
        bits = mode >> shift & 7
        letters = "".join(c if bits & b else "-" for c, b in zip("rwx", (4, 2, 1), strict=True))
        lines.append(f"special:{principal}:{letters}{'c' if principal == 'owner@' else '-'}:allow")
    return _body("\n".join(lines))


def _body(text: str) -> str:
    from handlers.gpfs.terms import nfs4  # importing it takes as long as the rest of a command

    return nfs4.write(nfs4.parse(text)).partition("\n")[2]


def _put_acl(command: str, base: str, args: list[str]) -> str:
    options = words(args, {"-i"})
    with store.opened(base, write=True) as state:
        path = _inside(state, options.get("0", ""))
        if "-i" in options:
            with open(options["-i"], encoding="utf-8") as file:
                text = file.read()
        else:
            text = sys.stdin.read()
        try:
            body = _body(text)
        except ValueError as error:
            # invented: the text and the exit code.
            raise Failed(22, f"Incorrect ACL: {error}") from error
        kept = store.entry(state, path)
        before = os.lstat(path).st_mode if state["real"] else kept["mode"]
        store.set_acl(state, kept, body)
        kept["mode"] = before & 0o7000 | store.mode_of_acl(body)
        if state["real"]:
            os.chmod(path, kept["mode"])
        return ""


def _chown(command: str, base: str, args: list[str]) -> str:
    options = words([a for a in args if a != "--"], (), {"-h"})
    owner, *paths = _positions(options)
    uid, _, gid = owner.partition(":")

    def change(state: dict[str, Any], kept: dict[str, Any]) -> None:
        kept["uid"] = int(uid) if uid else kept["uid"]
        kept["gid"] = int(gid) if gid else kept["gid"]

    return _each(command, base, args, paths, change)


def _chmod(command: str, base: str, args: list[str]) -> str:
    mode, *paths = _positions(words([a for a in args if a != "--"], ()))
    bits = int(mode, 8)

    def change(state: dict[str, Any], kept: dict[str, Any]) -> None:
        # GNU chmod keeps a directory's set-id bits unless it is given five digits.
        sticks = kept["mode"] & 0o6000 if len(mode) < 5 else 0
        kept["mode"] = bits | sticks
        # Facts: chmod may replace the ACL; here it does (chmodAndSetAcl) unless a test says not.
        if not store.faults(base).get("chmod_keeps_acl"):
            store.set_acl(state, kept, _acl_of_mode(kept["mode"]))

    return _each(command, base, args, paths, change)


def _positions(options: dict[str, str]) -> list[str]:
    values = [options[k] for k in sorted((k for k in options if k.isdigit()), key=int)]
    if len(values) < 2:
        raise Usage("missing operand")
    return values


def _each(
    command: str,
    base: str,
    args: list[str],
    paths: list[str],
    change: Callable[[dict[str, Any], dict[str, Any]], None],
) -> str:
    """Change what is kept of paths, then run the host's own command if ownership is real."""
    with store.opened(base, write=True) as state:
        for path in paths:
            if not os.path.lexists(path):
                raise Failed(1, f"{command}: cannot access '{path}': No such file or directory")
            # `.` is the directory that the agent opened.
            change(state, store.entry(state, os.path.abspath(path)))
        real = state["real"]
    if real:
        _host(command, args)
    return ""


def _stat(command: str, base: str, args: list[str]) -> str:
    with store.opened(base) as state:
        options = words([a for a in args if a != "--"], {"--printf"})
        paths = [options[k] for k in sorted((k for k in options if k.isdigit()), key=int)]
        unmounted = store.faults(base).get("mounted", True) is False
        out, missing = [], []
        for path in paths:
            # The directory under the mount exists, with an inode of another file system.
            below = state["mount"] == path.rstrip("/")
            if not os.path.lexists(path) or (unmounted and not below):
                missing.append(f"stat: cannot statx '{path}': No such file or directory")
                continue
            shown = {**state, "inodes": {}} if unmounted else state
            out.append(_printf(options["--printf"], path, shown))
    sys.stdout.write("".join(out))
    if missing:
        raise Failed(1, "\n".join(missing))
    return ""


def _printf(form: str, path: str, state: dict[str, Any]) -> str:
    status = os.lstat(path)
    kept = store.entry(state, os.path.abspath(path))
    if state["real"]:
        kept |= {"uid": status.st_uid, "gid": status.st_gid, "mode": status.st_mode & 0o7777}
    values = {
        "%u": str(kept["uid"]),
        "%g": str(kept["gid"]),
        "%a": f"{kept['mode']:o}",
        "%f": f"{status.st_mode & 0o170000 | kept['mode']:x}",
        "%i": str(state["inodes"].get(str(status.st_ino), status.st_ino)),
        "%n": path,
    }
    text, rest = "", form
    while rest:
        pair = rest[:2]
        known = values.get(pair, _ESCAPES.get(pair))
        text += rest[0] if known is None else known
        rest = rest[1:] if known is None else rest[2:]
    return text


def _host(command: str, args: list[str]) -> None:
    """Replace this process by the host's own command."""
    sys.stdout.flush()
    os.execv(f"/usr/bin/{command}", [command, *args])


COMMANDS = {
    "mmgetacl": _get_acl,
    "mmputacl": _put_acl,
    "chown": _chown,
    "chmod": _chmod,
    "stat": _stat,
}
