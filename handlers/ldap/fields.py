"""Fields of accounts and groups: one want of several claims, and how an entry differs. Pure.

Promises: one set of fields whatever a directory calls them; a number that an entry has is kept.
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
"""Fields about which claims may not differ."""

_EXTRA = "attributes."
"""Before the name of a further attribute, beside those of fields."""


def merge_claims(claims: Sequence[Claim], prior: State | None) -> Want:
    """Make one want of an account's or a group's claims: `open`, `closed` or `withdrawn`.

    A user's own claim wins over one that an allocation makes, and the newest over others. A number
    about which claims differ stays as it is. Raises Conflict when they are of several people.
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
            advice = "send the request that is wrong again with the right one"
            raise Conflict(f"claims are of several people: {wants}", advice=advice)
        disputed[field] = {claimant: f"{field} {value}" for claimant, value in values.items()}
        del want[field]
    if disputed:
        want["disputed"] = disputed
    want["adopt"] = any(claim.want.get("adopt") for claim in chosen)
    want["wanted"] = "open" if live else "closed" if claims else "withdrawn"
    want["prior"] = dict(prior) if prior is not None else None
    return want


def differences(want: Want, state: State, fields: Collection[str]) -> dict[str, Scalar]:
    """List the fields that are wanted and are not so; what nobody wants is left as it is.

    What had been set for a claim and is left out now goes back to what it was; None: to nothing.
    """
    now, fields_to_write = holds(state, fields), dict[str, Scalar]()
    for field, value in given_back(want, lambda name, value: now.get(name) == value).items():
        if field in now:
            fields_to_write[field.removeprefix(_EXTRA)] = value  # type: ignore[assignment]
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


def sets(want: Want, fields: Collection[str]) -> dict[str, Json]:
    """Name the fields and further attributes that are wanted, but for what identifies somebody."""
    return {name: value for name, value in holds(want, fields).items() if value is not None}


def holds(state: State, fields: Collection[str]) -> dict[str, Json]:
    """Say what the fields and further attributes of an entry, or a want, are."""
    extra = state.get("attributes")
    held = {name: state.get(name) for name in fields if name not in IDENTITY}
    if isinstance(extra, Mapping):
        held |= {f"{_EXTRA}{name}": value for name, value in extra.items()}
    return held


def keep_numbers(key: Key, want: Want, state: State) -> Want:
    """Give the want of an object that is there: it keeps the numbers that it has.

    Files and limits hang on a number, and its old one could be given to somebody else. Raises
    Conflict where a claim names another number; a number of the settings yields.
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
            f"{key}: has {field} {old}, the request says {want[field]}",
            advice=f"a {field} is never changed: leave it out of the request, or say {old}",
        )
    return kept


def in_words(changes: Mapping[str, Scalar], state: State) -> str:
    """Write changes for a person: `shell /bin/sh -> /bin/bash`."""
    present = state.get("attributes")
    extra = present if isinstance(present, Mapping) else {}
    parts = []
    for field, value in changes.items():
        old = state.get(field, extra.get(field))
        new = _NONE if value is None else value
        was = "" if old is None else f" {line(str(old)).text} ->"
        parts.append(f"{field}{was} {new}")
    return ", ".join(parts)


_NONE = "none, as nobody asks for one any more"
