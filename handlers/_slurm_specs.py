"""Slurm's limits: which may be set, how they are written, and when two say the same.

Promises: only keys of the list get through, so that no free text of a portal can carry an
`AdminLevel`; values have no character that sacctmgr would take apart. Source: sacctmgr(1), section
"SPECIFICATIONS FOR ASSOCIATIONS". Leaves out: calling anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

from provisioner.contract import InvalidRequest

COLUMNS: Mapping[str, str] = {
    "Fairshare": "Fairshare",
    "GrpJobs": "GrpJobs",
    "GrpTRES": "GrpTRES",
    "GrpSubmitJobs": "GrpSubmit",
    "GrpWall": "GrpWall",
    "GrpTRESMins": "GrpTRESMins",
    "MaxJobs": "MaxJobs",
    "MaxTRES": "MaxTRES",
    "MaxSubmitJobs": "MaxSubmit",
    "MaxWall": "MaxWall",
    "MaxTRESMins": "MaxTRESMins",
    "QOS": "QOS",
    "DefaultQOS": "DefaultQOS",
}
"""Each key that may be set, and the name of its column in `sacctmgr show assoc format=`."""

_ALIASES = {
    "share": "Fairshare",
    "fairshare": "Fairshare",
    "grpsubmit": "GrpSubmitJobs",
    "maxsubmit": "MaxSubmitJobs",
    "maxtresperjob": "MaxTRES",
    "maxtrespj": "MaxTRES",
    "qoslevel": "QOS",
    "defqos": "DefaultQOS",
    **{key.lower(): key for key in COLUMNS},
}

_TRES = {"GrpTRES", "GrpTRESMins", "MaxTRES", "MaxTRESMins"}
_WALL = {"GrpWall", "MaxWall"}
_NAMED = {"QOS", "DefaultQOS"}
_RESOURCES = ("cpu", "mem", "node", "energy", "billing", "fs", "vmem", "pages", "gres", "license",
              "bb", "ic")  # fmt: skip
"""Kinds of trackable resources (slurm.conf(5), AccountingStorageTRES)."""

_AMOUNT = re.compile(r"(?:-1|\d+(?:[KMGTP]B?)?)\Z", re.IGNORECASE)
_TIME = re.compile(r"(?:\d+-\d+(?::\d+){0,2}|\d+(?::\d+){0,2})\Z")
_VALUE = re.compile(r"[A-Za-z0-9_.,/=:-]*\Z")
_MEGABYTES = {"": 1, "K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2, "P": 1024**3}

Limits = dict[str, str]
"""Key -> value; a key that ends in `+` adds to a list. '' or -1 clears a limit."""


def parse_specs(text: str, field: str = "specs") -> Limits:
    """Parse `Fairshare=100:QOS+=debug:GrpTRES=cpu=10`, as ColdFront's attributes have it.

    Raises InvalidRequest for a key that is not on the list, or a value with other characters than
    limits need.
    """
    limits: Limits = {}
    for part in _split(text):
        name, equals, value = part.partition("=")
        adding = name.endswith("+")
        key = _ALIASES.get(name.rstrip("+").strip().lower())
        if not equals or key is None:
            nearest = get_close_matches(name, COLUMNS, 1)
            raise InvalidRequest(
                f"{part!r} may not be set",
                field=field,
                expected=f"KEY=VALUE, with a key of {', '.join(COLUMNS)}",
                nearest=nearest[0] if nearest else "",
            )
        value = value.strip().strip("'\"")
        if not _VALUE.match(value):
            raise InvalidRequest(f"{value!r} is no value of {key}", field=field)
        _check_value(key, value, field)
        if adding and key != "QOS":
            raise InvalidRequest(f"{key} has one value: write {key}=", field=field)
        limits[key + ("+" if adding else "")] = value
    return limits


def _check_value(key: str, value: str, field: str) -> None:
    """Refuse a value that is not of its key's kind. Raises InvalidRequest."""
    if _cleared(value) or key in _NAMED:
        return
    if key in _TRES:
        _check_tres(key, value, field)
    elif key in _WALL:
        if not _TIME.match(value):
            expected = "minutes, HH:MM:SS, D-HH or D-HH:MM:SS; or -1 for no limit"
            raise InvalidRequest(f"{key}={value} is no time", field=field, expected=expected)
    elif not value.isdigit() and not (key == "Fairshare" and value.lower() == "parent"):
        raise InvalidRequest(
            f"{key}={value} is no number", field=field, expected="a number; or -1 for no limit"
        )


def _check_tres(key: str, value: str, field: str) -> None:
    for part in value.split(","):
        name, _, amount = part.rpartition("=")
        kind, slash, instance = name.partition("/")
        known = kind.lower() in _RESOURCES and (bool(instance) or not slash)
        if not known or not _AMOUNT.match(amount):
            nearest = get_close_matches(kind.lower(), _RESOURCES, 1)
            raise InvalidRequest(
                f"{key}: {part!r} is no resource with an amount",
                field=field,
                expected=f"NAME=NUMBER or NAME/TYPE=NUMBER, with a name of {', '.join(_RESOURCES)}",
                nearest=nearest[0] if nearest and not known else "",
            )


def _split(text: str) -> list[str]:
    """Split at colons that begin a new key: a time limit has colons of its own."""
    parts = [part.strip() for part in re.split(r":(?=\s*[A-Za-z]+\+?=)", text)]
    return [part for part in parts if part]


def same(key: str, want: str, seen: str) -> bool:
    """Say whether a wanted value is what `show assoc` prints. key may end in `+`."""
    if key.endswith("+"):
        return _names(want) <= _names(seen)
    if key == "QOS":
        return _names(want) == _names(seen)
    if _cleared(want):
        return _cleared(seen) or (key == "Fairshare" and seen == "1")
    if key in _TRES:
        return all(_tres(seen).get(name) == value for name, value in _tres(want).items())
    if key in _WALL:
        return _minutes(want) == _minutes(seen)
    return want.lower() == seen.lower()


def same_text(want: str, seen: str) -> bool:
    """Say whether a wanted text is what Slurm shows: it lower-cases, and its database may keep `?`
    in place of what it has no letter for.
    """
    want, seen = want.lower(), seen.lower()
    return want == seen or ("?" in seen and _lossy(want) == _lossy(seen))


def _lossy(text: str) -> str:
    return re.sub(r"(?:[^\x00-\x7f]|\?)+", "?", text)


def kept(own: Limits, seen: Limits) -> list[str]:
    """Write what makes an association anew as it was, as arguments of `sacctmgr add`.

    own: what is set at it; seen: with what it inherits. QOS of its own beside inherited ones were
    added (`QOS+=`); a fair share of 1 is what every association has.
    """
    arguments = []
    for name, value in sorted(own.items()):
        if not value or (name == "Fairshare" and value == "1"):
            continue
        added = name == "QOS" and _names(value) != _names(seen.get(name, ""))
        arguments.append(f"{name}{'+' if added else ''}={value}")
    return arguments


def _cleared(value: str) -> bool:
    return value in ("", "-1")


def _names(value: str) -> set[str]:
    return {name.lower() for name in value.split(",") if name}


def _tres(value: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in value.split(","):
        name, _, amount = part.rpartition("=")
        match = re.match(r"(\d+)([KMGTP]?)", amount.upper())
        if name and match:
            factor = _MEGABYTES[match[2]] if name.lower() == "mem" or match[2] else 1
            found[name.lower()] = int(match[1]) * factor
    return found


def _minutes(value: str) -> int | str:
    """Read `minutes`, `hours:minutes:seconds` or `days-hours[:minutes[:seconds]]` (sbatch(1))."""
    days, dash, rest = value.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdigit() for part in parts) or (dash and not days.isdigit()):
        return value.lower()
    numbers = [int(part) for part in parts]
    if dash:
        hours, minutes = numbers[0], numbers[1] if len(numbers) > 1 else 0
        return int(days) * 1440 + hours * 60 + minutes
    if len(numbers) == 3:
        return numbers[0] * 60 + numbers[1]
    return numbers[0]
