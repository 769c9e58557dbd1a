"""Limits in an emulated slurmdbd: what it keeps of `sacctmgr` options, and what it prints.

Promises: what slurm-wlm 22.05.8 keeps: numbers modulo 2^32, seconds rounded up to minutes,
`mem=512K` as 512M, `1.5G` as 1M, `cpu=1T` as 1, `MaxJobs=` as 0, memory printed in halves; and its
refusals. Written from Slurm's source (get_uint, time_str2secs, slurmdb_format_tres_str,
convert_num_unit), independently of the handler's own parser. Leaves out: commands (`sacctmgr`), and
the effect of limits on jobs.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would cost every command a third of its start
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TypeAlias

    Limits: TypeAlias = dict[str, Any]

# Column -> each full name with the number of letters that suffice, in Slurm's order.
_COUNTS = {
    "grpjobs": (("grpjobs", 4),),
    "grpjobsaccrue": (("grpjobsaccrue", 8),),
    "grpsubmit": (("grpsubmitjobs", 4),),
    "maxjobs": (("maxjobs", 4),),
    "maxjobsaccrue": (("maxjobsaccrue", 8),),
    "maxsubmit": (("maxsubmitjobs", 4),),
    "minpriothresh": (("minpriothresh", 4),),
    "priority": (("priority", 2),),
}
_WALLS = {"grpwall": (("grpwall", 4),), "maxwall": (("maxwalldurationperjob", 4),)}
_TRES = {
    "grptres": (("grptres", 7),),
    "grptresmins": (("grptresmins", 8),),
    "grptresrunmins": (("grptresrunmins", 8),),
    "maxtres": (("maxtresperjob", 7),),
    "maxtrespernode": (("maxtrespernode", 11),),
    "maxtresmins": (("maxtresminsperjob", 8),),
    "maxtresrunmins": (("maxtresrunmins", 8),),
}
_PARTS = {
    ("grptresmins", "cpu"): (("grpcpumins", 7),),
    ("grptresrunmins", "cpu"): (("grpcpurunmins", 7),),
    ("grptres", "cpu"): (("grpcpus", 7),),
    ("grptres", "mem"): (("grpmemory", 4),),
    ("grptres", "node"): (("grpnodes", 4),),
    ("maxtresmins", "cpu"): (("maxcpuminsperjob", 7),),
    ("maxtresrunmins", "cpu"): (("maxcpurunmins", 7),),
    ("maxtres", "cpu"): (("maxcpusperjob", 7),),
    ("maxtres", "node"): (("maxnodesperjob", 4),),
}
_SHARES = {"fairshare": (("fairshare", 1), ("shares", 1))}
_QOS = {"qos": (("qoslevel", 1),)}
_DEFAULT = {"defaultqos": (("defaultqos", 8),)}
_ORDER = (_DEFAULT, _SHARES, _PARTS, _COUNTS, _WALLS, _TRES, _QOS)

NOT_TOLD = " Nothing modified"
_UNITS = "KMGTP"
_INFINITE, _INFINITE64 = 2**32 - 1, 2**64 - 1
_PARENT = 2**31 - 1


class Wrong(Exception):
    """What sacctmgr says about a value that it does not take."""


def set_options(
    limits: Limits, options: Sequence[tuple[str, str, str]], qos: Sequence[str], tres: Sequence[str]
) -> None:
    """Keep KEY, OPERATOR, VALUE options as limits. qos, tres: those of the slurmdbd.

    Raises Wrong; limits are then unchanged.
    """
    new: Limits = {
        name: dict(value) if isinstance(value, dict) else value for name, value in limits.items()
    }
    listed = any(_column(key) == "qos" and not _signed(op, value) for key, op, value in options)
    for key, operator, value in options:
        column = _column(key)
        try:
            if column is None:
                raise Wrong
            if column == "qos":
                _set_qos(new, operator, value, qos, listed)
            else:
                _set(new, column, value, qos, tres)
        except Wrong as wrong:
            unknown = f" Unknown option: {key}{operator}{value}"
            first = f"{wrong}\n" if str(wrong) else ""
            where = "\n Use keyword 'where' to modify condition"
            raise Wrong(str(wrong) if str(wrong) == NOT_TOLD else first + unknown + where) from None
    limits.clear()
    limits.update(new)


def _column(key: str) -> Any:
    """Return the column that a key means: Slurm looks for the first name that begins with it."""
    key = key.lower()
    matches = [
        (full, column)
        for table in _ORDER
        for column, names in table.items()
        for full, enough in names
        if full.startswith(key) and len(key) >= enough
    ]
    exact = [column for full, column in matches if full == key]
    return next(iter(exact or [column for _, column in matches]), None)


def _set(limits: Limits, column: Any, value: str, qos: Sequence[str], tres: Sequence[str]) -> None:
    if column in _PARTS:
        name, resource = column
        _combine(limits, name, {resource: _strtoull(value, column)})
    elif column in _TRES:
        _combine(limits, column, _format_tres(value, tres))
    elif column in _WALLS:
        _keep(limits, column, _minutes(value, column))
    elif column == "fairshare":
        _set_shares(limits, value)
    elif column == "defaultqos":
        if not value.startswith("-1") and value.lower() not in qos:
            raise Wrong(
                f"You gave a bad default qos '{value}'.  Use 'list qos' to get complete list."
            )
        limits[column] = value.lower()
        if value.startswith("-1"):
            del limits[column]
    else:
        _keep(limits, column, _number(value, column))


def _keep(limits: Limits, column: str, number: int) -> None:
    """Keep a number of 32 bits; MySQL's columns are an `int` of 31."""
    if number == _INFINITE:
        limits.pop(column, None)
    elif number > _PARENT:
        raise Wrong(NOT_TOLD)
    else:
        limits[column] = number


def _set_shares(limits: Limits, value: str) -> None:
    number = _PARENT if value.lower().startswith("parent") else _number(value, "FairShare")
    limits.pop("fairshare", None)
    if number not in (_INFINITE, 1):
        limits["fairshare"] = "parent" if number == _PARENT else number


def _strtol(text: str) -> tuple[int, str]:
    """Return what C's strtol reads: the number that a text begins with, and the rest."""
    stripped = text.lstrip()
    sign = stripped[:1] if stripped[:1] in ("+", "-") else ""
    digits = ""
    for letter in stripped[len(sign) :]:
        if letter not in "0123456789":
            break
        digits += letter
    if not digits:
        return 0, text
    rest = stripped[len(sign) + len(digits) :]
    return -int(digits) if sign == "-" else int(digits), rest


def _number(text: str, name: str) -> int:
    number, rest = _strtol(_unquoted(text))
    if number == 0 and rest:
        raise Wrong(f"sacctmgr: error: Invalid value for {name} ({text.lower()})")
    return _INFINITE if number < 0 else number % 2**32


def _strtoull(text: str, name: object) -> int:
    number, rest = _strtol(_unquoted(text))
    if number == 0 and rest:
        raise Wrong(f"sacctmgr: error: Invalid value for {name} ({text.lower()})")
    return _INFINITE64 if number < 0 else number % 2**64


def _unquoted(text: str) -> str:
    return text[1:].partition(text[0])[0] if text[:1] in ("'", '"') else text


def _minutes(text: str, name: str) -> int:
    """Return a time in minutes; its seconds are a C `int`."""
    if text.lower() in ("-1", "infinite", "unlimited"):
        return _INFINITE
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    empty_is_right = bool(dash) and parts == [""]
    if (
        len(parts) > 3
        or (dash and not days.isdigit())
        or not (empty_is_right or all(part.isdigit() for part in parts))
    ):
        raise Wrong(f" Bad {name} time format: {name}={text}")
    numbers = [int(part or 0) for part in parts]
    if dash:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
        total = int(days) * 86400 + hours * 3600 + minutes * 60 + seconds
    elif len(numbers) == 3:
        total = numbers[0] * 3600 + numbers[1] * 60 + numbers[2]
    else:
        total = numbers[0] * 60 + (*numbers, 0)[1]
    total = (total + 2**31) % 2**32 - 2**31
    return int((total + 59) / 60) % 2**32


def _format_tres(text: str, known: Sequence[str]) -> dict[str, int]:
    if not text:
        raise Wrong
    amounts = {}
    for part in text.removeprefix(",").split(","):
        name, equals, value = part.partition("=")
        if not equals:
            raise Wrong(f"sacctmgr: error: slurmdb_format_tres_str: no TRES id found for {part}")
        if name.isdigit() and 0 < int(name) <= len(known):
            name = known[int(name) - 1]
        if name.lower() not in known:
            raise Wrong(f"sacctmgr: error: slurmdb_format_tres_str: no TRES known by type {name}")
        amounts[name.lower()] = _count(name.lower(), value)
    return amounts


def _count(name: str, text: str) -> int:
    number, rest = _strtol(text)
    number %= 2**64
    unit = rest[:1].upper()
    if unit and unit in _UNITS:
        base = 2 if _is_memory(name) else 0
        factor = 1024 ** max(_UNITS.index(unit) + 1 - base, 0)
        # `conv_value` is a C `int`: `T` of a resource without a unit is 0, and is then left out.
        factor %= 2**32
        number = number * factor if factor > 1 else number
    return number


def _is_memory(name: str) -> bool:
    return name.partition("/")[0] in ("mem", "bb")


def _combine(limits: Limits, column: str, new: Mapping[str, int]) -> None:
    kept = {**limits.get(column, {}), **new}
    kept = {name: number for name, number in kept.items() if number < 2**64 - 2}
    limits.pop(column, None)
    if kept:
        limits[column] = kept


def _signed(operator: str, value: str) -> bool:
    return operator != "=" or value[:1] in ("+", "-")


def _set_qos(limits: Limits, operator: str, value: str, known: Sequence[str], listed: bool) -> None:
    """Keep QOS: '' -> a list; '+' and '-' -> names added to, and taken off, the inherited ones."""
    parts = _unquoted(value).split(",") if value else []
    if value and not any(parts):
        raise Wrong("sacctmgr: error: You gave me an empty qos list")
    pairs = [
        (part[0], part[1:]) if part[0] in "+-" else (operator.rstrip("="), part)
        for part in parts
        if part
    ]
    for _, name in pairs:
        if name.lower() not in known:
            raise Wrong(
                f"sacctmgr: error: You gave a bad qos '{name}'. Valid QOS's are {','.join(known)}"
            )
    if len({bool(sign) for sign, _ in pairs}) > 1:
        raise Wrong(
            "sacctmgr: error: You can't set qos equal to something and then add or subtract "
            "from it in the same line"
        )
    if not _signed(operator, value):
        limits["qos"] = {"": [name.lower() for _, name in pairs]}
    elif not listed:
        for sign, name in pairs:
            _sign_qos(limits, sign, name.lower())
    if not any(limits.get("qos", {}).values()):
        limits.pop("qos", None)


def _sign_qos(limits: Limits, sign: str, name: str) -> None:
    kept = {key: list(some) for key, some in limits.get("qos", {}).items()}
    if kept.get(""):
        kept[""] = [own_sign for own_sign in kept[""] if own_sign != name] + (
            [name] if sign == "+" else []
        )
        if not kept[""]:
            # Without its last QOS a list is gone: the inherited QOS count again, without that one.
            kept = {"-": [name]}
    else:
        for own_sign in "+-":
            kept[own_sign] = [other for other in kept.get(own_sign, []) if other != name]
        kept[sign].append(name)
    limits["qos"] = kept


# Printing.


def row(own: Limits, above: Sequence[Limits], raw: bool) -> dict[str, str]:
    """Return limits as printed, by column. above: limits of the accounts above, the nearest first.

    raw: print QOS with their signs (`withrawqos`).
    """
    kept: Limits = {"fairshare": 1}
    for limits in reversed([own, *above]):
        inherited = kept
        kept = {n: v for n, v in inherited.items() if n[:3] == "max" or n in _HANDED_DOWN}
        for name, value in limits.items():
            both = name in _TRES and name in kept
            kept[name] = {**kept[name], **value} if both else value
        kept["qos"] = _effective(inherited.get("qos", []), limits.get("qos", {}))
    kept = {"fairshare": 1, **kept}
    if raw:
        signs = [sign + n for sign, some in own.get("qos", {}).items() for n in some]
        kept["qos"] = signs
    return {name: _printed(name, value) for name, value in kept.items()}


_HANDED_DOWN = ("priority", "minpriothresh", "defaultqos")


def _effective(inherited: Sequence[str], own: Mapping[str, Sequence[str]]) -> list[str]:
    if own.get(""):
        return list(own[""])
    both = {*inherited, *own.get("+", ())} - set(own.get("-", ()))
    return sorted(both)


def _printed(name: str, value: Any) -> str:
    if name in _TRES:
        return ",".join(f"{one}={_shown(one, number)}" for one, number in value.items())
    if name in _WALLS:
        days, minutes = divmod(value, 1440)
        clock = f"{minutes // 60:02}:{minutes % 60:02}:00"
        return f"{days}-{clock}" if days else clock
    return ",".join(sorted(value)) if name == "qos" else str(value)


def _shown(name: str, value: int) -> str:
    if not _is_memory(name):
        return str(value)
    if value == 0:
        return "0"
    number, at = float(value), 1
    while number >= 1024 and int(number) % 512 == 0:
        number /= 1024
        at += 1
    unit = _UNITS[at] if at < len(_UNITS) else "?"
    return f"{int(number)}{unit}" if number == int(number) else f"{number:.2f}{unit}"
