"""Names in Active Directory that an object of another kind has: found before anything is written.

Promises: if an account would get a group's name, or a group would get a user's or a computer's, the
dry run reports it, with the object that has the name; so does the first write, before it writes.
Leaves out: directories in which a user and a group may have one name; a CN in the container (the
handlers report that when they write).
"""

from __future__ import annotations

from collections.abc import Sequence

from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.dialects import AccountSchema, GroupDialect
from provisioner.contract import Change, Conflict, Fault, Key, split_key

_NAME = "sAMAccountName"
"""Users, groups and computers of a domain share one set of names (MS-ADTS 3.1.1.6, SAM)."""


def borne_by_others(
    directory: Directory, changes: Sequence[Change], schema: AccountSchema | GroupDialect
) -> dict[Key, Fault]:
    """Return a Conflict for each object whose name an object of another kind has.

    changes: as planned, with keys that end in the name; schema: of the kind to make.
    """
    if schema.name != _NAME:
        return {}
    made = {split_key(change.key)[-1]: change.key for change in changes if change.verb == "create"}
    entries = directory.find(_NAME, made, [_NAME, "objectClass"], within=f"(!{schema.filter})")
    return {
        key: Conflict(
            f"{key}: the name is in use by a {entry.texts('objectClass')[-1]} ({entry.dn})",
            advice="rename that object, or choose another name",
        )
        for entry in entries
        if (key := made.get((entry.text(_NAME) or "").lower())) is not None
    }
