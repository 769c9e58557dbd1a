"""Entries that have another name than the ledger knows: an admin renamed them.

Promises: an entry is found by what no renaming changes, its number or its SID. One that several
entries could be is nobody's. Leaves out: what follows from a new name (`accounts`, `groups`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from handlers.ldap.directory.client import NAMES, Directory
from handlers.ldap.directory.sid import sid_bytes
from handlers.ldap.directory.text import Entry, any_holding, chunks, equals
from provisioner.contract import (
    Claimed,
    Conflict,
    Fault,
    Gone,
    InvalidRequest,
    Key,
    Scalar,
    State,
    make_key,
    split_key,
)


def nobody_claims(keys: Collection[Key]) -> Collection[Key]:
    """Return (): nobody claims anything."""
    return ()


def bearing(
    directory: Directory, base: str, within: str, asked: Collection[str], gone: Collection[Gone]
) -> list[Entry]:
    """Return the entries with the number or the SID of one of some objects.

    base: DN below which they are; within: a filter that must also match; asked: attributes.
    """
    terms = sorted({term for one in gone for term in _terms(one.identity)})
    entries: dict[str, Entry] = {}
    for some in chunks(terms, NAMES):
        found = directory.search(base, f"(&{within}(|{''.join(some)}))", asked)
        entries |= {entry.dn: entry for entry in found}
    return list(entries.values())


def marked(
    directory: Directory,
    within: str,
    attribute: str,
    marks: Collection[str],
    asked: Collection[str],
) -> list[Entry]:
    """Return the entries in whose notes one of some marks is.

    within: a filter that must also match; attribute: of the notes; asked: attributes to return.
    """
    entries: list[Entry] = []
    for some in chunks(sorted(marks), NAMES):
        full = f"(&{within}{any_holding(attribute, some)})"
        entries += directory.search(directory.settings.base, full, asked)
    return entries


def is_gone(one: Gone) -> bool:
    """Return True if an object is not there, or another one has its name."""
    there = one.state["present"] or one.state.get("value") is not None
    return not (there and is_that(one.identity, one.state.get("uid"), one.state.get("sid")))


def is_that(identity: Mapping[str, Scalar], uid: object, sid: object) -> bool:
    """Return True if these are an object's. A SID is never given twice, and so decides alone."""
    if identity.get("sid") and sid:
        return identity["sid"] == sid
    return identity.get("uid") is not None and identity["uid"] == uid


def unclaimed(
    found: Mapping[Key, State | Fault], instance: str, claimed: Claimed
) -> dict[Key, State | Fault]:
    """Return what was found, without those that somebody claims by their new names.

    Each state has as `renamed` the parts of its new key.
    """
    new = {key: _new_key(instance, key, state) for key, state in found.items()}
    taken = set(claimed([key for key in new.values() if key is not None]))
    return {key: state for key, state in found.items() if new[key] not in taken}


def is_called(key: Key, name: str) -> Conflict:
    """Return the fault of an object that is wanted open, and has another name. name: the new one,
    and where it is."""
    return Conflict(
        f"{key}: somebody renamed it: it is {name} now",
        advice="give it its former name in the directory, and retry; to keep the new one, take the "
        f"service's mark, which ends in {key}, out of its entry, and ask for it by that name with "
        "`adopt: true`, and no longer by this one",
    )


def now_called(state: State) -> str:
    """Return what to add to the text of a change: the object's new name, if it has one."""
    return f" (now called {state['renamed']})" if state.get("renamed") else ""


def _new_key(instance: str, key: Key, state: State | Fault) -> Key | None:
    if isinstance(state, Fault):
        return None
    try:
        return make_key(instance, split_key(key)[1], *str(state["renamed"]).split("/"))
    except InvalidRequest:  # no request can ask for such a name
        return None


def _terms(identity: Mapping[str, Scalar]) -> list[str]:
    uid, sid = identity.get("uid"), identity.get("sid")
    terms = [equals("uidNumber", str(uid))] if isinstance(uid, int) else []
    if isinstance(sid, str):
        escaped = "".join(f"\\{byte:02x}" for byte in sid_bytes(sid))
        terms.append(f"(objectSid={escaped})")
    return terms
