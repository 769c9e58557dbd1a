"""Names in Active Directory that something of another kind bears: found before anything is written.

Promises: an account that would get a group's name, and a group that would get a user's or a
computer's, is told by the dry run, and before the first write, with what has the name. Leaves out:
directories that let a user and a group have one name; a CN in the container (the handlers say so
when they write).
"""

from __future__ import annotations

from collections.abc import Sequence

from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.dialects import AccountSchema, GroupDialect
from provisioner.contract import Change, Conflict, Fault, Key, split_key

_NAME = "sAMAccountName"
"""One name for users, groups and computers of a domain (MS-ADTS 3.1.1.6, SAM's rule)."""


def borne_by_others(
    directory: Directory, changes: Sequence[Change], schema: AccountSchema | GroupDialect
) -> dict[Key, Fault]:
    """Say which objects cannot be made as something of another kind has the name.

    changes: as planned, keys ending in the name; schema: of the kind that is made.
    """
    if schema.name != _NAME:
        return {}
    made = {split_key(change.key)[-1]: change.key for change in changes if change.verb == "create"}
    entries = directory.find(_NAME, made, [_NAME, "objectClass"], within=f"(!{schema.filter})")
    return {
        key: Conflict(
            f"{key}: the name is in use by a {entry.texts('objectClass')[-1]} ({entry.dn})",
            advice="rename what has the name, or choose another one",
        )
        for entry in entries
        if (key := made.get((entry.text(_NAME) or "").lower())) is not None
    }
