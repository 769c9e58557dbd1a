"""Names of users and groups: which a backend takes, and what a group is called instead. Pure.

Promises: a name that no backend should see is refused here. Two codes are never one group: what
begins with the prefix was given it, and a shortened name is as long as names may be, which no other
name with the prefix is. Leaves out: other names for users, which nobody may change.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

from provisioner.contract import InvalidRequest

NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,31}(?<!\.)\Z")
"""Names of users and groups that every backend takes; AD refuses one that ends with a dot."""

UNPROTECTED = "a name that is not in the handler's `protected`"

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


def check_name(field: str, name: str, protected: Collection[str], longest: int = 32) -> str:
    """Give a name in lower case. Raises InvalidRequest, for a protected name too."""
    lower = name.lower()
    if not NAME.match(lower) or len(lower) > longest:
        raise InvalidRequest(
            f"{name!r} is no name for a backend",
            field=field,
            expected=f"letters, digits, `_`, `.`, `-`; a letter first; at most {longest}",
        )
    if lower in {one.lower() for one in protected}:
        raise InvalidRequest(f"{name} is protected", field=field, expected=UNPROTECTED)
    return lower
