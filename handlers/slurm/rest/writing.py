"""What is written to slurmrestd: words of a plan as the JSON of its data parsers.

Promises: pure. The body for an association that exists has all its lists of resources, because
slurmrestd takes off those that are left out (24.11.5, 26.05.5), and an empty list of QOS where the
list is to stay, because slurmrestd would write down the inherited one. Leaves out: sending
(`slurmrestd`). Source: `_diff_assoc` of Slurm's openapi/slurmdbd; the OpenAPI documents of the data
parsers v0.0.42 to v0.0.45.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from handlers.slurm.limits.amounts import UNLIMITED
from handlers.slurm.limits.keys import LIMITS, Kind
from handlers.slurm.limits.limits import Limits, folded, key_of
from handlers.slurm.limits.specs import parse_specs
from handlers.slurm.limits.values import Value
from handlers.slurm.rest.reading import PARENT, PLACES
from handlers.slurm.slurmdbd import Association
from provisioner.contract import InvalidRequest, Permanent

_TEXTS = ("description", "organization", "parent")
_ADDED: Final[Mapping[str, str]] = {
    "MaxTRES": "maxtresperjob",
    "MaxTRESMins": "maxtresminsperjob",
    "MaxWall": "maxwalldurationperjob",
    "QOS": "qoslevel",
}
"""What an association that is added calls a limit, if not by its name in lower case."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a change. texts: description, organization and parent, if they are named."""

    limits: Limits
    texts: Mapping[str, str] = field(default_factory=dict)
    partitions: tuple[str, ...] = ()


def read_words(attributes: Sequence[str]) -> Words:
    """Return what `KEY=VALUE` words of a plan ask for."""
    texts: dict[str, str] = {}
    partitions: tuple[str, ...] = ()
    rest: list[str] = []
    for word in attributes:
        name, _, value = word.partition("=")
        if name in _TEXTS:
            texts[name] = value
        elif name == "partition":
            partitions = tuple(value.split(","))
        else:
            rest.append(word)
    return Words(parse_specs(tuple(rest)).limits, texts, partitions)


def check_sayable(limits: Limits) -> None:
    """Raise InvalidRequest for limits that slurmrestd cannot write, or whose writing it hides."""
    why = _unsayable(limits)
    if why:
        raise InvalidRequest(why, field="specs", expected="the whole list, QOS=NAMES")


def _unsayable(limits: Limits) -> str:
    if limits.get("QOS") == "":
        return "slurmrestd cannot clear a list of QOS, so that the inherited one counts again"
    if "QOS+" in limits or "QOS-" in limits:
        return "slurmrestd cannot add names to an inherited list of QOS, or take them off"
    return ""


def _said(limits: Limits) -> Limits:
    """Return limits. Raises Permanent if slurmrestd cannot write them."""
    why = _unsayable(limits)
    if why:
        raise Permanent(
            why,
            advice="type it: sacctmgr modify account|user where ... set qos=...; or ask for a "
            "whole list, QOS=NAMES",
        )
    return limits


def added(words: Words) -> dict[str, Any]:
    """Return the limits of associations that are added. Raises Permanent."""
    body: dict[str, Any] = {}
    for name, value in _by_key(_said(words.limits)).items():
        body[_ADDED.get(name, name.lower())] = value
    if "parent" in words.texts:
        body["parent"] = words.texts["parent"]
    return body


def changed(cluster: str, row: Association, words: Words) -> dict[str, Any]:
    """Return the body that sets limits of an association that exists, and keeps the others.
    Raises Permanent."""
    body = _place(cluster, row)
    for name, value in _by_key(_after(row.limits, _said(_whole_qos(row, words.limits)))).items():
        _put(body, PLACES[name], value)
    if "parent" in words.texts:
        body["parent_account"] = words.texts["parent"]
    return body


def made_default(cluster: str, row: Association) -> dict[str, Any]:
    """Return the body that makes an association its user's default, and keeps its limits."""
    return changed(cluster, row, Words({})) | {"is_default": True}


def _place(cluster: str, row: Association) -> dict[str, Any]:
    body: dict[str, Any] = {"account": row.account, "cluster": cluster, "user": row.user}
    if row.partition:
        body["partition"] = row.partition
    body["qos"] = []
    for name, limit in LIMITS.items():
        if limit.kind is Kind.TRES:
            _put(body, PLACES[name], [])
    return body


def _whole_qos(row: Association, asked: Limits) -> Limits:
    """Return limits in which names that are added to an association's own list of QOS, or taken
    off it, are a whole list."""
    if "QOS" in row.limits and "QOS" not in asked and {"QOS+", "QOS-"} & asked.keys():
        return folded({"QOS": row.limits["QOS"], **asked})
    return asked


def _after(seen: Limits, asked: Limits) -> Limits:
    """Return what is to be sent: what is asked for, and the resources that stay."""
    stays = {
        place: value
        for place, value in seen.items()
        if LIMITS[key_of(place)].kind is Kind.TRES and place not in asked
    }
    gone = {place for place, value in asked.items() if "/" in place and value == UNLIMITED}
    return {place: value for place, value in {**stays, **asked}.items() if place not in gone}


def _by_key(limits: Limits) -> dict[str, Any]:
    """Return limits as JSON, by key: resources of one key are one list."""
    body: dict[str, Any] = {}
    for place, value in sorted(limits.items()):
        name, slash, resource = place.partition("/")
        if slash:
            kind, _, named = resource.partition("/")
            body.setdefault(name, []).append({"type": kind, "name": named, "count": value})
        elif LIMITS[name].kind is not Kind.TRES:
            body[name] = _value(name, value)
    return body


def _value(name: str, value: Value) -> Any:
    kind = LIMITS[name].kind
    if kind is Kind.QOS:
        return str(value).split(",")
    if kind is Kind.NAME:
        return "" if value == UNLIMITED else value
    if kind is Kind.SHARES:
        return PARENT if value == "parent" else value
    if value == UNLIMITED:
        return {"set": False, "infinite": True, "number": 0}
    return {"set": True, "infinite": False, "number": value}


def _put(body: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for step in path[:-1]:
        body = body.setdefault(step, {})
    body[path[-1]] = value
