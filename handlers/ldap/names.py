"""Names of users and groups: which names a backend takes, and what a group is called instead. Pure.

Promises: this module refuses names that no backend should see. Two codes never give one group: a
name that begins with the prefix was generated, and a shortened name has the maximum length, which
no other name with the prefix has. Leaves out: other names for users, which nobody may change.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

from provisioner.contract import InvalidRequest

NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,31}(?<!\.)\Z")
"""Names of users and groups that every backend takes; AD refuses a name that ends with a dot."""

UNPROTECTED = "a name that is not in the handler's `protected`"

LONGEST = 32
"""Characters of a group's name that every host takes (shadow's GROUP_NAME_MAX_LENGTH)."""

_HASH = 12
"""Hexadecimal digits that make shortened names distinct."""


def group_name(code: str, prefix: str | None) -> str:
    """Return the name of a code's group, in lower case.

    prefix: begins generated names; None: no name is generated, and the code stays unchanged.
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
    """Return a name in lower case. Raises InvalidRequest, also for a protected name."""
    lower = name.lower()
    if not NAME.match(lower) or len(lower) > longest:
        raise InvalidRequest(
            f"{name!r} is not a name that backends take",
            field=field,
            expected=f"letters, digits, `_`, `.`, `-`; a letter first; at most {longest}",
        )
    if lower in {one.lower() for one in protected}:
        raise InvalidRequest(f"{name} is protected", field=field, expected=UNPROTECTED)
    return lower
