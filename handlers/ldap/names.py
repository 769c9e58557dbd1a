"""What a group is called whose project's code the directory does not take. Pure.

Promises: two codes are never one group, whatever they are: what begins with the prefix was given
it, and a name that was shortened is as long as names may be, which no other one with it is.
Leaves out: names of users, which nobody may change.
"""

from __future__ import annotations

import hashlib

from handlers.ldap.account import NAME

LONGEST = 32
"""Characters of a group's name that every host takes (shadow's GROUP_NAME_MAX_LENGTH)."""

_HASH = 12
"""Hexadecimal digits that tell apart names which were shortened."""


def group_name(code: str, prefix: str | None) -> str:
    """Give the name of a code's group, in lower case.

    prefix: begins the names that were made; None: none is made, and the code stays as it is.
    """
    name = code.lower()
    fits = NAME.match(name) and len(name) <= LONGEST
    if prefix is None or (fits and not name.startswith(prefix)):
        return name
    made = f"{prefix}{name}"
    if NAME.match(made) and len(made) < LONGEST:
        return made
    digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH]
    return f"{made[: LONGEST - _HASH - 1]:-<{LONGEST - _HASH - 1}}-{digest}"
