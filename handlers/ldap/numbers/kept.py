"""Numbers that are kept: what a group or an account was, held against what it is. Pure.

Promises: what was deleted behind the back, or given another number, is told from what never was; a
number that a request names rules; one that nobody names is the one that it had. Leaves out: asking
which numbers are taken (`ids`), and keeping what something was, which is the ledger's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast

from handlers.ldap.numbers.ids import Named, Numbers
from provisioner.contract import Change, Conflict, Fault, Json, Key, Scalar, State, Want, split_key

NUMBERS = ("uid", "gid")


def identity(state: State) -> Mapping[str, Scalar]:
    """Name what may not change of a group or an account that is there."""
    return {name: state.get(name) for name in (*NUMBERS, "sid")}  # type: ignore[misc]


def recalled(key: Key, want: Want, state: State) -> Want:
    """Give a want with the numbers that the object had, where no request names any.

    Raises Conflict where it is there under another number than it had, or is not there and claims
    do not agree which it should get.
    """
    _check_agreed(key, want, state)
    kept = dict(want)
    for field in NUMBERS:
        had, has = _was(want).get(field), state.get(field)
        if not isinstance(had, int) or _is_named(want, field):
            continue
        if has not in (None, had):
            raise Conflict(
                f"{key}: has {field} {has}, and had {had}: somebody changed it, or deleted it and "
                f"made it anew; whatever was made for {had} (homes, filesets, files) keeps {had}",
                advice=f"set it back to {had} in the directory; where {has} is right, send its "
                f"request again with `{field}: {has}`, and hand over what is {had}'s by hand",
            )
        kept[field] = had
    return kept


def _check_agreed(key: Key, want: Want, state: State) -> None:
    disputed = cast(Mapping[str, Mapping[str, str]], want.get("disputed") or {})
    if not disputed or any(state.get(name) is not None for name in disputed):
        return
    texts = (f"{who} wants {what}" for said in disputed.values() for who, what in said.items())
    raise Conflict(
        f"{key}: claims do not agree about its number: {', '.join(texts)}",
        advice="send the request that is wrong again with the right number, or without",
    )


def returning(want: Want, field: str) -> str:
    """Say of an object that is made again under which number: ` again, with its gid 30000`."""
    had = _was(want).get(field)
    return f" again, with its {field} {had}" if had is not None and want.get(field) == had else ""


def remade(key: Key, want: Want) -> Want:
    """Give the want of an account that is to be made: under the number that it had, if any.

    Raises Conflict where it was there, and nobody vouches that its person is the same: neither the
    directory, by the SID that it bore, nor a request, by naming a uid.
    """
    was = _was(want)
    if was.get("uid") is not None and not _is_named(want, "uid") and not want.get("sid"):
        raise _gone(key, was)
    return recalled(key, want, {})


def _gone(key: Key, was: Mapping[str, Json]) -> Conflict:
    uid, sid = was["uid"], was.get("sid")
    person = f" and the SID {sid}" if sid else ""
    return Conflict(
        f"{key}: was deleted by somebody else; it had uid {uid}{person}, "
        "on which its home and files hang. It is not made again by itself: its name may be another "
        "person's by now",
        advice="restore what was deleted (Active Directory: `Restore-ADObject`), which keeps all "
        f"of it; or send user.provision with `uid: {uid}` to have the same person's account made "
        "anew, or with a uid that nobody had, where the name is another person's",
    )


def of_same_person(want: Want) -> Want:
    """Give a want that forgets what the account was where it was another person's.

    It was where the request says another SID, or names another uid.
    """
    was = _was(want)
    for field in ("sid", "uid"):
        if was.get(field) and _is_named(want, field) and want[field] != was[field]:
            return {name: value for name, value in want.items() if name != "was"}
    return want


def former(numbers: Numbers, changes: Iterable[Change]) -> dict[str, list[int]]:
    """Find the numbers that objects had which are to be given one: by owner, as the entries say."""
    return numbers.former([owner_of(change) for change in changes if change.data.get("take")])


def returned(changes: Iterable[Change], had: Mapping[str, Sequence[int]]) -> list[Named]:
    """List the numbers under which groups come back, to ask whether they are another's by now."""
    return [
        Named(change.key, owner, split_key(change.key)[2], had[owner][0])
        for change in changes
        if (owner := owner_of(change)) in had and change.data.get("take")
    ]


def given_back(changes: Iterable[Change], had: Mapping[str, Sequence[int]]) -> list[Change]:
    """Let changes that would take a number name the one that a group had."""
    return [_given_back(one, had.get(owner_of(one), ())) for one in changes]


def _given_back(change: Change, had: Sequence[int]) -> Change:
    if not had or not change.data.get("take"):
        return change
    if change.verb == "number":
        data: dict[str, Json] = {"dn": change.data["dn"], "set": {"gidNumber": had[0]}}
        return replace(change, verb="set", data=data)
    return replace(change, data={**change.data, "gid": had[0], "take": False})


def ambiguous(changes: Iterable[Change], had: Mapping[str, Sequence[int]]) -> dict[Key, Fault]:
    """Refuse groups of which nobody knows which of several numbers was theirs."""
    faults: dict[Key, Fault] = {}
    for change in changes:
        numbers = had.get(owner_of(change), ())
        if change.data.get("take") and len(numbers) > 1:
            faults[change.key] = Conflict(
                f"{change.key}: is not there, and had several gids: {', '.join(map(str, numbers))}",
                advice="look which of them its files have, and name that one as `gid` in the "
                "request of its project",
            )
    return faults


def owner_of(change: Change) -> str:
    """Name whose number it is in its entry: `group/cf0003`; with the SID, where it has one.

    With it, a name's next bearer gets another number.
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
