"""Users: who owns a request's file, with the name and the groups that the host knows them by.

Promises: who asks is a uid and what this host's name service makes of it, never what a file says.
A name and its groups are asked for again after a minute. Leaves out: what they may ask (`policy`).
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
"""Seconds for which a user's name and groups are remembered: a uid may be another's by then."""


@dataclass(frozen=True, slots=True)
class Submitter:
    """Who asks. name: `uid-1234` where nobody knows it."""

    uid: int
    name: str
    groups: frozenset[str] = frozenset()


_users: dict[int, tuple[float, str]] = {}
_found: dict[int, tuple[float, Submitter]] = {}


def uid_of(name: str) -> int | None:
    """Return the uid of a user as `user_name` names them; None: there is none."""
    number = name.removeprefix("uid-")
    if number != name:
        return int(number) if number.isascii() and number.isdigit() else None
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def user_name(uid: int) -> str:
    """Name the user of a uid, `uid-1234` where nobody knows it; asked again after a minute.

    Names that begin so are nobody else's: a user who is called `uid-1234` has their own number.
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
        name = f"uid-{uid}"  # who bears the name of another's uid is not taken for them
    _users[uid] = (now + KNOWN_FOR, name)
    return name


def find(uid: int) -> Submitter:
    """Find a user and their groups; asked again after a minute.

    Whoever has the uid by then has groups of their own: they are asked for with a new name.
    """
    now, name = time.monotonic(), user_name(uid)
    known = _found.get(uid)
    if known is not None and known[0] > now and known[1].name == name:
        return known[1]
    submitter = Submitter(uid, name, _groups(uid))
    _found[uid] = (now + KNOWN_FOR, submitter)
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
