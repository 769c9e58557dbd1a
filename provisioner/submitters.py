"""Submitters: the user who owns a request's file, with the groups that the host knows them in.

Promises: who asks is a uid and what this host's name service makes of it, never what a file says.
Leaves out: what they may ask (`policy`).
"""

from __future__ import annotations

import grp
import logging
import os
import pwd
import time
from dataclasses import dataclass

from provisioner.requestfile import KNOWN_FOR, user_name

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Submitter:
    """Who asks. name: `uid-1234` where nobody knows it."""

    uid: int
    name: str
    groups: frozenset[str] = frozenset()


_found: dict[int, tuple[float, Submitter]] = {}


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
