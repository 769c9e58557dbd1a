"""What slurmrestd answers, as the rows that sacctmgr prints.

Promises: pure. A document without the list that was asked for, or with a row that lacks a name, is
Unavailable: nothing is concluded from it. Leaves out: asking (`slurmrestd`).

slurmrestd shows a list of QOS only where it is whole: names that were added to an inherited list or
taken off it (`+a`, `-b`) are not in its answer (24.11.5, 26.05.5). Source: the OpenAPI documents of
the data parsers v0.0.42 to v0.0.45.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from handlers.slurm.limits import values
from handlers.slurm.limits.keys import LIMITS, Kind
from handlers.slurm.limits.limits import Limits, is_clear
from handlers.slurm.slurmdbd import Association
from provisioner.contract import Unavailable

Document = Mapping[str, Any]

PARENT: Final = 2**31 - 1
"""The share that means `parent`."""

PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "Fairshare": ("shares_raw",),
    "Priority": ("priority",),
    "GrpJobs": ("max", "jobs", "per", "count"),
    "GrpJobsAccrue": ("max", "jobs", "per", "accruing"),
    "GrpSubmitJobs": ("max", "jobs", "per", "submitted"),
    "GrpTRES": ("max", "tres", "total"),
    "GrpTRESMins": ("max", "tres", "group", "minutes"),
    "GrpTRESRunMins": ("max", "tres", "group", "active"),
    "GrpWall": ("max", "per", "account", "wall_clock"),
    "MaxJobs": ("max", "jobs", "active"),
    "MaxJobsAccrue": ("max", "jobs", "accruing"),
    "MaxSubmitJobs": ("max", "jobs", "total"),
    "MaxTRES": ("max", "tres", "per", "job"),
    "MaxTRESPerNode": ("max", "tres", "per", "node"),
    "MaxTRESMins": ("max", "tres", "minutes", "per", "job"),
    "MaxTRESRunMins": ("max", "tres", "minutes", "total"),
    "MaxWall": ("max", "jobs", "per", "wall_clock"),
    "MinPrioThresh": ("min", "priority_threshold"),
    "QOS": ("qos",),
    "DefaultQOS": ("default", "qos"),
}
"""Where an association's JSON has each limit."""


def listed(document: Document | None, name: str) -> list[Document]:
    """Return the rows of a list. Raises Unavailable if there is none."""
    rows = document.get(name) if document is not None else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise unread(f"its answer has no list of {name}")
    return rows


def unread(why: str) -> Unavailable:
    """Return the fault of an answer that nobody can read."""
    return Unavailable(
        f"slurmrestd: {why}",
        advice="`provisioner doctor` says which slurmrestd and which data parser answer",
    )


def association(row: Document) -> Association:
    """Return an association. Raises Unavailable."""
    return Association(
        text(row, "account"),
        text(row, "user"),
        text(row, "parent_account"),
        limits_of(row),
        text(row, "partition"),
    )


def text(row: Document, name: str) -> str:
    """Return a text of a row. Raises Unavailable if the row has none of that name."""
    value = row.get(name)
    if not isinstance(value, str):
        raise unread(f"a row has no text {name}: {str(row)[:200]}")
    return value


def limits_of(row: Document) -> Limits:
    """Return what is set at an association itself. Raises Unavailable."""
    seen: Limits = {}
    for name, path in PLACES.items():
        value = _at(row, path)
        kind = LIMITS[name].kind
        if kind is Kind.TRES:
            seen |= {f"{name}/{resource}": count for resource, count in _tres(value)}
        elif kind is Kind.QOS:
            seen[name] = values.listed(str(one).lower() for one in _list(value))
        elif kind is Kind.NAME:
            seen |= {name: str(value).lower()} if value else {}
        else:
            number = _number(value)
            shares = kind is Kind.SHARES and number == PARENT
            seen |= {} if number is None else {name: "parent" if shares else number}
    return {place: value for place, value in seen.items() if not is_clear(place, value)}


def qos_of(row: Document) -> list[str]:
    """Return the QOS in an association's answer."""
    return [str(one) for one in _list(_at(row, PLACES["QOS"]))]


def resource(row: Document) -> str:
    """Return a resource as sacctmgr names it, `gres/gpu:a100`. Raises Unavailable."""
    kind, name = text(row, "type"), str(row.get("name") or "")
    return f"{kind}/{name}".lower() if name else kind.lower()


def defaults(rows: Iterable[Document]) -> dict[str, str]:
    """Return users' default accounts, from their associations on one cluster."""
    chosen = (row for row in rows if row.get("is_default") is True and row.get("user"))
    return {text(row, "user"): text(row, "account") for row in chosen}


def release(document: Document) -> str:
    """Return the version of the slurmrestd that answered; '' if it does not say."""
    return str(_at(document, ("meta", "slurm", "release")) or "")


def complaints(document: Document | None) -> list[tuple[int, str]]:
    """Return the number and the words of each error in an answer."""
    errors = document.get("errors") if document is not None else None
    found = []
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, dict):
            number = error.get("error_number")
            words = [str(error.get(name) or "") for name in ("error", "description")]
            found.append((number if isinstance(number, int) else 0, ": ".join(filter(None, words))))
    return list(dict.fromkeys(found))


def _at(row: Document, path: Iterable[str]) -> Any:
    """Return what lies at a path; None if nothing does."""
    value: Any = row
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise unread(f"{str(value)[:100]} is not a list")
    return value


def _tres(value: Any) -> list[tuple[str, int]]:
    rows = _list(value)
    if not all(isinstance(one, dict) and isinstance(one.get("count"), int) for one in rows):
        raise unread(f"{str(value)[:200]} are not amounts of resources")
    return [(resource(one), one["count"]) for one in rows]


def _number(value: Any) -> int | None:
    """Return a number; None if it is not set. A number is plain, or says whether it is set."""
    if isinstance(value, dict):
        value = value.get("number") if value.get("set") is True else None
    if value is None or isinstance(value, int):
        return value
    raise unread(f"{str(value)[:100]} is not a number")
