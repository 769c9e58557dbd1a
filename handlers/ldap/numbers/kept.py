"""Numbers that an object keeps: what a group or an account had, compared with what it has. Pure.

Promises: an object that somebody deleted, or gave another number, is distinct from a new one; a
number that a request names wins; without one, the object gets the number that it had. Leaves out:
asking which numbers are in use (`numbers`), and keeping former values, which is the ledger's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, cast

from handlers.ldap.numbers.ids import Named
from handlers.ldap.numbers.numbers import Numbers
from provisioner.contract import Change, Conflict, Fault, Json, Key, Scalar, State, Want, split_key

_Disputed: TypeAlias = Mapping[str, Mapping[str, str]]

NUMBERS = ("uid", "gid")


def identity(state: State) -> Mapping[str, Scalar]:
    """Return what may not change of an existing group or account."""
    return {name: state.get(name) for name in (*NUMBERS, "sid")}  # type: ignore[misc]


def numbers(key: Key, state: State) -> Mapping[str, int]:
    """Return the numbers of a group, or of an account, that are nobody else's.

    A primary group that is not the account's alone is another object's.
    """
    kind, uid, gid = split_key(key)[1], state.get("uid"), state.get("gid")
    own: dict[str, Json] = {"group": {"gid": gid}, "account": {"uid": uid}}.get(kind, {})
    if kind == "account" and uid == gid:
        own = {**own, "gid": gid}
    return {name: number for name, number in own.items() if isinstance(number, int)}


def recalled(key: Key, want: Want, state: State) -> Want:
    """Return a want with the numbers that the object had, if no request names any.

    Raises Conflict if the object exists with another number than it had, or does not exist and
    claims disagree about its number.
    """
    _check_agreed(key, want, state)
    kept = dict(want)
    for field in NUMBERS:
        had, has = _was(want).get(field), state.get(field)
        if not isinstance(had, int) or _is_named(want, field):
            continue
        if has not in (None, had):
            raise Conflict(
                f"{key}: has {field} {has}, but had {had}: somebody changed it, or deleted it and "
                f"made it again; homes, filesets and files made for {had} keep {had}",
                advice=f"set it back to {had} in the directory; if {has} is right, send its "
                f"request again with `{field}: {has}`, and chown what belongs to {had} by hand",
            )
        kept[field] = had
    return kept


def _check_agreed(key: Key, want: Want, state: State) -> None:
    disputed = cast(_Disputed, want.get("disputed") or {})
    if not disputed or any(state.get(name) is not None for name in disputed):
        return
    texts = (f"{who} wants {what}" for said in disputed.values() for who, what in said.items())
    raise Conflict(
        f"{key}: claims disagree about its number: {', '.join(texts)}",
        advice="send the wrong request again with the right number, or without one",
    )


def returning(want: Want, field: str) -> str:
    """Return under which number an object is made again: ` again, with its gid 30000`."""
    had = _was(want).get(field)
    return f" again, with its {field} {had}" if had is not None and want.get(field) == had else ""


def remade(key: Key, want: Want) -> Want:
    """Return the want of an account to make, with the number that it had, if any.

    Raises Conflict if it existed, and nothing shows that its person is the same: neither the
    directory, by the SID that it had, nor a request, by naming a uid.
    """
    was = _was(want)
    if was.get("uid") is not None and not _is_named(want, "uid") and not want.get("sid"):
        raise _gone(key, was)
    return recalled(key, want, {})


def _gone(key: Key, was: Mapping[str, Json]) -> Conflict:
    uid, sid = was["uid"], was.get("sid")
    person = f" and the SID {sid}" if sid else ""
    return Conflict(
        f"{key}: somebody else deleted it; it had uid {uid}{person}, on which its home and files "
        "depend. The service does not make it again by itself: its name may now belong to another "
        "person",
        advice="restore the account (Active Directory: `Restore-ADObject`), which keeps all of it; "
        f"or send user.provision with `uid: {uid}` to make the same person's account again, or "
        "with a uid that nobody had, if the name is another person's",
    )


def of_same_person(want: Want) -> Want:
    """Return a want that forgets the account's former values if it was another person's.

    It was another person's if the request names another SID or another uid.
    """
    was = _was(want)
    for field in ("sid", "uid"):
        if was.get(field) and _is_named(want, field) and want[field] != was[field]:
            return {name: value for name, value in want.items() if name != "was"}
    return want


def former(numbers: Numbers, changes: Iterable[Change]) -> dict[str, list[int]]:
    """Return the numbers that objects had before they get one: by owner, as the entries say."""
    return numbers.former([owner_of(change) for change in changes if change.data.get("take")])


def returned(changes: Iterable[Change], had: Mapping[str, Sequence[int]]) -> list[Named]:
    """Return the numbers under which groups return, to check whether another object has them
    now."""
    return [
        Named(change.key, owner, split_key(change.key)[2], had[owner][0])
        for change in changes
        if (owner := owner_of(change)) in had and change.data.get("take")
    ]


def given_back(changes: Iterable[Change], had: Mapping[str, Sequence[int]]) -> list[Change]:
    """Return changes that would take a number, with the number that a group had."""
    return [_given_back(one, had.get(owner_of(one), ())) for one in changes]


def _given_back(change: Change, had: Sequence[int]) -> Change:
    if not had or not change.data.get("take"):
        return change
    if change.verb == "number":
        data: dict[str, Json] = {"dn": change.data["dn"], "set": {"gidNumber": had[0]}}
        return replace(change, verb="set", data=data)
    return replace(change, data={**change.data, "gid": had[0], "take": False})


def ambiguous(changes: Iterable[Change], had: Mapping[str, Sequence[int]]) -> dict[Key, Fault]:
    """Return a Conflict for each group that had several numbers, if nobody knows which was its
    own."""
    faults: dict[Key, Fault] = {}
    for change in changes:
        numbers = had.get(owner_of(change), ())
        if change.data.get("take") and len(numbers) > 1:
            faults[change.key] = Conflict(
                f"{change.key}: does not exist, and had several gids: "
                f"{', '.join(map(str, numbers))}",
                advice="find out which gid its files have, and name it as `gid` in the request of "
                "its project",
            )
    return faults


def owner_of(change: Change) -> str:
    """Return the owner in a number's entry: `group/cf0003`; with the SID, if it has one.

    With the SID, the next person with a name gets another number.
    """
    sid = change.data.get("sid")
    name = "/".join(split_key(change.key)[1:])
    return f"{name}/{sid}" if sid else name


def _is_named(want: Want, field: str) -> bool:
    defaults: Json = want.get("defaults", ())
    return want.get(field) is not None and field not in (defaults or ())  # type: ignore[operator]


def _was(want: Want) -> Mapping[str, Json]:
    was = want.get("was")
    return was if isinstance(was, Mapping) else {}
