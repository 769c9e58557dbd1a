"""The ways that paths given to a root's tool may take: from a directory of admins down.

Promises: a tool gets a path only if the agent opened every directory from the top of a way down to
it by descriptor, without following a link, and if each belongs to an admin and lets nobody else
write by its mode; the end is not a link either. A tool that works on directories by descriptor
works in what was opened, and gets no name that somebody could replace. Leaves out: NFSv4 ACLs,
which no descriptor shows, and what admins replace.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from provisioner.contract import Conflict, Permanent
from provisioner.system.ownership import check_chain

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Way:
    """A directory that paths may be below. admins: uids that may own it, and the directories
    between it and the end of a path."""

    top: Path = Path("/")
    admins: frozenset[int] = frozenset({0})


@dataclass(frozen=True, slots=True)
class Use:
    """How a tool uses its paths. steered: somebody who is not an admin may be able to replace what
    is on the way, because the tool only removes access; descriptor: it works in each directory,
    opened."""

    steered: bool = False
    descriptor: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool. directory: the open one to work in; people know it as path."""

    words: Sequence[str]
    directory: int | None = None
    path: str = ""


@contextmanager
def held(words: Sequence[str], ways: Sequence[Way], use: Use) -> Iterator[Sequence[Call]]:
    """Yield the calls of a tool, while the directories that they use are open.

    Each word that begins with `/` is a path. By descriptor, words are OPTION... -- PATH..., and
    there is a call for each path: in that directory, whose name is then `.`. Raises Permanent for
    other words, or for a path that is below no way or that somebody could replace; Conflict for a
    link in it.
    """
    with ExitStack() as stack:
        options, paths = _parted(words) if use.descriptor else (words, words)
        calls = [] if use.descriptor else [Call(words)]
        for word in paths:
            if not word.startswith("/"):
                continue
            upper, name = stack.enter_context(_above(word, ways, use.steered))
            _check_end(upper, name, word)
            if use.descriptor:
                directory = _enter(upper, name, word)
                stack.callback(os.close, directory)
                calls.append(Call([*options, "--", "."], directory, word))
        yield calls


def _parted(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return options and paths: a tool that works in a directory gets no other word that names a
    file.

    Raises Permanent.
    """
    at = words.index("--") if "--" in words else len(words)
    options, paths = words[:at], words[at + 1 :]
    if not paths or not all(path.startswith("/") for path in paths):
        raise Permanent(
            f"{shlex.join(words)[:300]!r} is not OPTION... -- PATH..., with absolute paths",
            advice="a tool that `uses` descriptors, or is `taking`, takes no other words",
        )
    return options, paths


@contextmanager
def _above(path: str, ways: Sequence[Way], steered: bool) -> Iterator[tuple[int, str]]:
    """Open the directory that a path ends in, a component at a time, and yield it with the last
    name."""
    way, parts = _below(path, ways)
    check_chain(way.top)
    current = os.open(way.top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        at = way.top
        for part in parts[:-1]:
            _check(current, at, () if steered and at != way.top else way.admins)
            inner = _enter(current, part, path)
            os.close(current)
            current, at = inner, at / part
        _check(current, at, () if steered and at != way.top else way.admins)
        yield current, parts[-1]
    finally:
        os.close(current)


def _below(path: str, ways: Sequence[Way]) -> tuple[Way, list[str]]:
    for way in sorted(ways, key=lambda way: len(way.top.parts), reverse=True):
        top = str(way.top).rstrip("/") + "/"
        parts = path.removeprefix(top).split("/")
        if path.startswith(top) and not {"", ".", ".."} & set(parts):
            return way, parts
    tops = ", ".join(str(way.top) for way in ways)
    raise Permanent(
        f"{path[:300]!r} is not directly below a directory that tools may work in: {tops}",
        advice='check [ways."/DIR"] in the agent\'s configuration',
    )


def _check(opened: int, at: Path, admins: Sequence[int] | frozenset[int]) -> None:
    """Check who owns an open directory on the way; without admins, anybody may."""
    status = os.fstat(opened)
    if not admins:
        return
    if status.st_uid not in admins:
        problem, advice = f"belongs to uid {status.st_uid}", f"chown root {shlex.quote(str(at))}"
    elif status.st_mode & _OTHERS_WRITE:
        mode = stat.S_IMODE(status.st_mode)
        problem, advice = (
            f"is open to others, mode {mode:04o}",
            f"chmod go-w {shlex.quote(str(at))}",
        )
    else:
        return
    raise Permanent(
        f"{at} {problem}: somebody who is not an admin could replace what lies below it. Nothing "
        "was changed",
        advice=f"{advice}; or change `admins` of the way in the agent's configuration",
    )


def _check_end(upper: int, name: str, path: str) -> None:
    try:
        status = os.stat(name, dir_fd=upper, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(status.st_mode):
        raise _link(path, name)


def _enter(upper: int, name: str, path: str) -> int:
    try:
        return os.open(name, _OPEN, dir_fd=upper)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise _link(path, name) from None
        raise Permanent(f"{path}: {name}: {error.strerror}") from None


def _link(path: str, name: str) -> Conflict:
    return Conflict(
        f"{path}: {name} is a link or not a directory; nothing was changed",
        advice="find out who made it; the agent follows no link",
    )
