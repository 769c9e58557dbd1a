"""Associations of the emulated slurmdbd as the JSON of slurmrestd, and back.

Promises: what the data parsers v0.0.42 to v0.0.45 show and take, written from their OpenAPI
documents independently of the handler's own tables. Leaves out: paths and statuses (`slurmrestd`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from handlers.emulators.slurm import sacctmgr_limits

Limits = dict[str, Any]

_NUMBERS = {
    "priority": "priority",
    "min/priority_threshold": "minpriothresh",
    "max/jobs/per/count": "grpjobs",
    "max/jobs/per/accruing": "grpjobsaccrue",
    "max/jobs/per/submitted": "grpsubmit",
    "max/jobs/per/wall_clock": "maxwall",
    "max/jobs/active": "maxjobs",
    "max/jobs/accruing": "maxjobsaccrue",
    "max/jobs/total": "maxsubmit",
    "max/per/account/wall_clock": "grpwall",
}
_TRES = {
    "max/tres/total": "grptres",
    "max/tres/group/minutes": "grptresmins",
    "max/tres/group/active": "grptresrunmins",
    "max/tres/minutes/total": "maxtresrunmins",
    "max/tres/minutes/per/job": "maxtresmins",
    "max/tres/per/job": "maxtres",
    "max/tres/per/node": "maxtrespernode",
}
_ADDED = {
    "grpsubmitjobs": "grpsubmit",
    "maxsubmitjobs": "maxsubmit",
    "maxwalldurationperjob": "maxwall",
    "maxtresperjob": "maxtres",
    "maxtresminsperjob": "maxtresmins",
}
_PARENT = 2**31 - 1


class Unknown(Exception):
    """A QOS that the slurmdbd does not have."""


def shown(row: Mapping[str, Any], above: Sequence[Limits], raw: bool) -> dict[str, Any]:
    """Return an association. above: limits of the accounts above; raw: no signs of QOS."""
    limits = row["limits"]
    document: dict[str, Any] = {
        "account": row["account"],
        "cluster": row["cluster"],
        "user": row["user"],
        "partition": row["partition"],
        "parent_account": row["parent"],
        "is_default": row["default"],
        "shares_raw": _shares(limits.get("fairshare", 1)),
        "default": {"qos": limits.get("defaultqos", "")},
        "qos": _qos(limits, above, raw),
    }
    for path, column in _NUMBERS.items():
        _put(document, path, _number(limits.get(column)))
    for path, column in _TRES.items():
        _put(document, path, [tres(name, n) for name, n in limits.get(column, {}).items()])
    return document


def tres(name: str, count: int) -> dict[str, Any]:
    """Return an amount of a resource."""
    kind, _, named = name.partition("/")
    return {"type": kind, "name": named, "count": count}


def set_added(row: Mapping[str, Any], asked: Mapping[str, Any], known: Sequence[str]) -> None:
    """Set the limits of an association that is added."""
    limits = row["limits"]
    for name, value in asked.items():
        if name == "qoslevel":
            limits["qos"] = {"": _known(value, known)}
        elif name == "defaultqos":
            limits["defaultqos"] = _known([value], known)[0]
        elif name == "fairshare":
            _set_shares(limits, value)
        elif isinstance(value, list):
            limits[_ADDED.get(name, name)] = _amounts(value)
        else:
            _set_number(limits, _ADDED.get(name, name), value)


def changed(
    before: Limits, above: Sequence[Limits], body: Mapping[str, Any], known: Sequence[str]
) -> Limits:
    """Return the limits of an association after a POST: resources that are left out are taken off,
    and without `qos` the QOS that count become its own list."""
    limits = {name: value for name, value in before.items() if name not in _TRES.values()}
    for path, column in _TRES.items():
        amounts = _amounts(_at(body, path) or [])
        limits |= {column: amounts} if amounts else {}
    for path, column in _NUMBERS.items():
        value = _at(body, path)
        if value is not None:
            _set_number(limits, column, value)
    if "shares_raw" in body:
        _set_shares(limits, body["shares_raw"])
    if "qos" not in body:
        limits["qos"] = {"": _qos(before, above, raw=False)}
    elif body["qos"]:
        limits["qos"] = {"": _known(body["qos"], known)}
    default = _at(body, "default/qos")
    if default:
        limits["defaultqos"] = _known([default], known)[0]
    elif default == "":
        limits.pop("defaultqos", None)
    return limits


def may_use_default(limits: Limits, above: Sequence[Limits]) -> bool:
    """Return True if an association's default QOS is among those that count."""
    default = limits.get("defaultqos")
    return default is None or default in _qos(limits, above, raw=False)


def _qos(limits: Limits, above: Sequence[Limits], raw: bool) -> list[str]:
    own: Mapping[str, list[str]] = limits.get("qos", {})
    if raw:
        return list(own.get("", []))
    text = sacctmgr_limits.row(limits, above, raw=False).get("qos", "")
    return [name for name in text.split(",") if name]


def _known(names: Sequence[str], known: Sequence[str]) -> list[str]:
    for name in names:
        if name.lower() not in known:
            raise Unknown(f"Unable to resolve QOS: {name}")
    return [name.lower() for name in names]


def _shares(value: Any) -> int:
    return _PARENT if value == "parent" else int(value)


def _set_shares(limits: Limits, value: int) -> None:
    limits.pop("fairshare", None)
    if value != 1:
        limits["fairshare"] = "parent" if value == _PARENT else value


def _number(value: int | None) -> dict[str, Any]:
    return {"set": value is not None, "infinite": value is None, "number": value or 0}


def _set_number(limits: Limits, column: str, value: Any) -> None:
    number = value if isinstance(value, int) else value["number"] if value["set"] else None
    limits.pop(column, None)
    if number is not None:
        limits[column] = number


def _amounts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {"/".join(filter(None, (row["type"], row["name"]))): row["count"] for row in rows}


def _at(body: Mapping[str, Any], path: str) -> Any:
    value: Any = body
    for step in path.split("/"):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _put(document: dict[str, Any], path: str, value: Any) -> None:
    *steps, last = path.split("/")
    for step in steps:
        document = document.setdefault(step, {})
    document[last] = value
