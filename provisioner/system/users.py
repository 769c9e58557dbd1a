"""Users: who owns a request's file, with their name and groups on this host.

Promises: the writer is a uid and what this host's name service says about it, never what a file
says. A name and its groups are looked up again after a minute. The writer `NAME:UID` is the user of
a uid whose name means somebody else in the journal; no user of a host has a colon in their name.
Leaves out: which writers those are (`writers`), and what a writer may ask for (`policy`).
"""

from __future__ import annotations

import grp
import logging
import os
import pwd
import time

from provisioner.plain.values import value

log = logging.getLogger(__name__)

KNOWN_FOR = 60.0
"""Seconds for which a user's name and groups are remembered: a uid may get another user."""


@value(frozen=True, slots=True)
class Submitter:
    """The writer of a request.

    name: `uid-1234` if the uid has no name; writer: by what their requests, claims and suspensions
    go if that is not the name, else ''.
    """

    uid: int
    name: str
    groups: frozenset[str] = frozenset()
    writer: str = ""

    @property
    def own(self) -> str:
        """By what their requests, claims and suspensions go."""
        return self.writer or self.name


_users: dict[int, tuple[float, str]] = {}
_submitters: dict[int, tuple[float, Submitter]] = {}


def uid_of(name: str) -> int | None:
    """Return the uid of a user, by a name as `user_name` returns it, or of a writer; None if there
    is no such user."""
    name, colon, number = name.partition(":")
    if colon:
        uid = _number(number)
        return uid if uid is not None and is_called(uid, name) else None
    number = name.removeprefix("uid-")
    if number != name:
        return _number(number)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def user_name(uid: int) -> str:
    """Return the name of a uid, `uid-1234` if it has none; looked up again after a minute.

    A name `uid-N` always means uid N: a user who is called `uid-1234` but has another uid appears
    under their own number.
    """
    now = time.monotonic()
    known = _users.get(uid)
    if known is not None and known[0] > now:
        return known[1]
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"uid-{uid}"
    if name.startswith("uid-"):
        name = (
            f"uid-{uid}"  # a user whose name looks like another's uid must not count as that user
        )
    _users[uid] = (now + KNOWN_FOR, name)
    return name


def is_called(uid: int, writer: str) -> bool:
    """Return True if a uid and a writer's name are one user's now; a uid may have several names."""
    name, colon, number = writer.partition(":")
    if colon and _number(number) != uid:
        return False
    return user_name(uid) == name or (not name.startswith("uid-") and uid_of(name) == uid)


def plain(writer: str) -> str:
    """Return the name that the user of a writer has on this host."""
    return writer.partition(":")[0]


def beside(name: str, uid: int) -> str:
    """Return the writer of a uid whose name means somebody else in the journal."""
    return f"{name}:{uid}"


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def find(uid: int) -> Submitter:
    """Return a user with their groups; looked up again after a minute.

    If another user has the uid by then, the groups are looked up for the new name.
    """
    now, name = time.monotonic(), user_name(uid)
    known = _submitters.get(uid)
    if known is not None and known[0] > now and known[1].name == name:
        return known[1]
    submitter = Submitter(uid, name, _groups(uid))
    _submitters[uid] = (now + KNOWN_FOR, submitter)
    return submitter


def _groups(uid: int) -> frozenset[str]:
    try:
        user = pwd.getpwuid(uid)
        numbers = os.getgrouplist(user.pw_name, user.pw_gid)
    except (KeyError, OSError) as error:
        log.warning("the groups of uid %d cannot be found: %s", uid, error)
        return frozenset()
    names = set()
    for number in numbers:
        try:
            names.add(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return frozenset(names)
