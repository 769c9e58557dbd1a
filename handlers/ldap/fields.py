"""Fields of accounts and groups: one want from several claims, and how an entry differs. Pure.

Promises: one set of fields for all directories; an entry keeps the number that it has.
Leaves out: attributes of a certain directory (`dialect`), and whose an entry is (`marks`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from provisioner.contract import (
    Claim,
    Conflict,
    Json,
    Key,
    Scalar,
    State,
    Want,
    by_age,
    disagree,
    given_back,
    line,
    values_by_claimant,
)

IDENTITY = ("uid", "gid", "sid")
"""Fields on which claims must agree."""

_EXTRA = "attributes."
"""Prefix of a further attribute's name, among names of fields."""


def merge_claims(claims: Sequence[Claim], prior: State | None) -> Want:
    """Return one want from an account's or a group's claims: `open`, `closed` or `withdrawn`.

    A user's own claim wins over an allocation's claim, and the newest wins over older ones. If
    claims disagree about a number, it stays unchanged. Raises Conflict if claims are of several
    people.
    """
    live = [claim for claim in claims if not claim.suspended]
    chosen = sorted(live or claims, key=by_age, reverse=True)
    chosen.sort(key=lambda claim: not claim.claimant.startswith("user:"))
    want: dict[str, Json] = {}
    for claim in chosen:
        want |= {name: value for name, value in claim.want.items() if want.get(name) is None}
    disputed: dict[str, Json] = {}
    for field in IDENTITY:
        values = values_by_claimant(field, chosen)
        if not disagree(values):
            continue
        if field == "sid":
            wants = ", ".join(
                f"{claimant} wants {field} {value}" for claimant, value in values.items()
            )
            advice = "send the wrong request again with the right SID"
            raise Conflict(f"the claims are of several people: {wants}", advice=advice)
        disputed[field] = {claimant: f"{field} {value}" for claimant, value in values.items()}
        del want[field]
    if disputed:
        want["disputed"] = disputed
    want["adopt"] = any(claim.want.get("adopt") for claim in chosen)
    want["wanted"] = "open" if live else "closed" if claims else "withdrawn"
    want["prior"] = dict(prior) if prior is not None else None
    return want


def differences(want: Want, state: State, fields: Collection[str]) -> dict[str, Scalar]:
    """Return the fields whose value differs from the wanted one; a field that nobody wants is left
    out.

    A field that a claim had set and that no claim names now goes back to its earlier value; None:
    to no value.
    """
    fields_to_write = _given_back(want, state, fields) if want.get("left") else {}
    for field in fields:
        wanted = want.get(field)
        if (
            wanted is not None
            and wanted != state.get(field)
            and not isinstance(wanted, (list, dict))
        ):
            fields_to_write[field] = wanted  # type: ignore[assignment]
    extra, present = want.get("attributes"), state.get("attributes")
    if isinstance(extra, Mapping) and isinstance(present, Mapping):
        for name, value in extra.items():
            if value != present.get(name):
                fields_to_write[name] = value  # type: ignore[assignment]
    return fields_to_write


def _given_back(want: Want, state: State, fields: Collection[str]) -> dict[str, Scalar]:
    now, earlier = holds(state, fields), dict[str, Scalar]()
    for field, value in given_back(want, lambda name, value: now.get(name) == value).items():
        if field in now:
            earlier[field.removeprefix(_EXTRA)] = value  # type: ignore[assignment]
    return earlier


def sets(want: Want, fields: Collection[str]) -> dict[str, Json]:
    """Return the fields and further attributes that are wanted, except those that identify
    somebody."""
    return {name: value for name, value in holds(want, fields).items() if value is not None}


def holds(state: State, fields: Collection[str]) -> dict[str, Json]:
    """Return the fields and further attributes of an entry, or of a want."""
    extra = state.get("attributes")
    held = {name: state.get(name) for name in fields if name not in IDENTITY}
    if isinstance(extra, Mapping):
        held |= {f"{_EXTRA}{name}": value for name, value in extra.items()}
    return held


def keep_numbers(key: Key, want: Want, state: State) -> Want:
    """Return the want of an existing object, with the numbers that it has.

    Files and limits depend on a number, and its old number could go to somebody else. Raises
    Conflict if a claim names another number; a number from the settings yields.
    """
    kept = dict(want)
    for field in ("uid", "gid"):
        old = state.get(field)
        if old is None or want.get(field) in (None, old):
            continue
        if field in want.get("defaults", ()):  # type: ignore[operator]
            kept[field] = old
            continue
        raise Conflict(
            f"{key}: has {field} {old}, but the request says {want[field]}",
            advice=f"the service never changes a {field}: leave it out of the request, or name "
            f"{old}",
        )
    return kept


def in_words(changes: Mapping[str, Scalar], state: State) -> str:
    """Return changes as text for people: `shell /bin/sh -> /bin/bash`."""
    present = state.get("attributes")
    extra = present if isinstance(present, Mapping) else {}
    parts = []
    for field, value in changes.items():
        old = state.get(field, extra.get(field))
        new = _NONE if value is None else value
        was = "" if old is None else f" {line(str(old)).text} ->"
        parts.append(f"{field}{was} {new}")
    return ", ".join(parts)


_NONE = "none, because nobody asks for one any more"
