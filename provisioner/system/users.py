"""Users: who owns a request's file, with their name and groups on this host.

Promises: the writer is a uid and what this host's name service says about it, never what a file
says. A name and its groups are looked up again after a minute. Leaves out: what a writer may ask
for (`policy`).
"""

from __future__ import annotations

import grp
import logging
import os
import pwd
import time
from dataclasses import dataclass

log = logging.getLogger(__name__)

KNOWN_FOR = 60.0
"""Seconds for which a user's name and groups are remembered: a uid may get another user."""


@dataclass(frozen=True, slots=True)
class Submitter:
    """The writer of a request. name: `uid-1234` if the uid has no name."""

    uid: int
    name: str
    groups: frozenset[str] = frozenset()


_users: dict[int, tuple[float, str]] = {}
_submitters: dict[int, tuple[float, Submitter]] = {}


def uid_of(name: str) -> int | None:
    """Return the uid of a user, by a name as `user_name` returns it; None if there is no such
    user."""
    number = name.removeprefix("uid-")
    if number != name:
        return int(number) if number.isascii() and number.isdigit() else None
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


def is_called(uid: int, name: str) -> bool:
    """Return True if a uid and a name are one user's now; a uid may have several names."""
    return user_name(uid) == name or (not name.startswith("uid-") and uid_of(name) == uid)


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
