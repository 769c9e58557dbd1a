"""Slurm's trackable resources and amounts of them: as people write, and sacctmgr prints and reads.

Promises: pure. An amount is an int, of memory in MiB, so that `1.50T`, `1536G` and `1572864` are
equal. If Slurm would keep another amount (`512K` of memory becomes 512M, `1.5G` 1M, `cpu=1T` 1),
this module refuses the text and suggests the nearest right one. Leaves out: which resources a
slurmdbd knows (`refers`). Sources: slurm.conf(5), AccountingStorageTRES; Slurm's
slurmdb_format_tres_str, get_convert_unit_val and convert_num_unit, the same in 22.05, 24.11 and
26.05.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from fractions import Fraction
from math import ceil
from typing import Final

from provisioner.contract import InvalidRequest

UNLIMITED: Final = -1
"""The value that clears a limit (number, time or resource) or a default QOS."""

MOST_MEMORY: Final = 2**40 - 1
"""MiB: from 1 EiB on, Slurm prints a `?` instead of the unit."""

MOST: Final = 2**63 - 1
"""The largest amount of other resources, and of their minutes."""

_KINDS: Final = ("cpu", "mem", "node", "energy", "billing", "fs/disk", "vmem", "pages", "gres/",
                 "license/", "bb/", "ic/")  # fmt: skip
_NUMBERS: Final = ("cpu", "mem", "energy", "node", "billing", "fs/disk", "vmem", "pages")
"""The resources with the same number everywhere, from 1 on (Slurm's tres_types_t)."""

_CALLED: Final[Mapping[str, str]] = {
    "cpus": "cpu", "core": "cpu", "cores": "cpu", "memory": "mem", "ram": "mem", "nodes": "node",
    "fs": "fs/disk", "disk": "fs/disk", "gpu": "gres/gpu", "gpus": "gres/gpu", "gres": "gres/gpu",
    "gres/gpus": "gres/gpu", "licenses": "license/NAME", "license": "license/NAME",
}  # fmt: skip
"""What people call a resource, with its name."""

_UNITS: Final = "KMGTP"
_AMOUNT = re.compile(r"\+?(\d+)(?:\.(\d+))?(?:([KMGTP])(?:I?B)?)?\Z", re.IGNORECASE | re.ASCII)
_RESOURCE = re.compile(r"[a-z]+(?:/[a-z0-9_.:@+-]+)?\Z", re.ASCII)


def amounts(key: str, text: str) -> dict[str, int]:
    """Return the amounts in `cpu=64,mem=1.5G`: resource -> amount.

    `-1` is '' -> UNLIMITED, for all resources that are not named. Raises InvalidRequest.
    """
    if text == "-1":
        return {"": UNLIMITED}
    if not text.strip(", "):
        expected = "RESOURCE=AMOUNT,...; -1 clears all"
        raise InvalidRequest(f"{key}= has no value", expected=expected, nearest=f"{key}=-1")
    return dict(_pair(key, part.strip()) for part in text.split(",") if part.strip())


def amount(what: str, resource: str, text: str) -> int:
    """Return one amount of a resource. what: its name in messages. Raises InvalidRequest."""
    if text == "-1":
        return UNLIMITED
    match = _AMOUNT.match(text)
    if match is None:
        expected = "a whole number, optionally with K, M, G, T or P; -1 for no limit"
        begins = re.match(r"\d+", text)
        near = f"{what}={begins[0]}" if begins else f"{what}=-1" if text[:1] in ("", "-") else ""
        raise InvalidRequest(f"{what}={text} is not an amount", expected=expected, nearest=near)
    unit = (match[3] or "").upper()
    memory = _is_memory(resource)
    read = None if unit in ("K" if memory else "TP") and unit else _read(resource, text)
    most = MOST_MEMORY if memory else MOST
    if read is not None and read > most:
        raise InvalidRequest(
            f"{what}={text} is more than Slurm can count",
            expected=f"at most {written(resource, most)}; -1 for no limit",
            nearest=f"{what}=-1",
        )
    if read is None or (memory and _read("mem", shown(read)) != read):
        raise _unkept(what, resource, match)
    return read


def printed(resource: str, text: str) -> int | str:
    """Return an amount that sacctmgr prints; unreadable text stays unchanged."""
    read = _read(resource, text)
    return text if read is None else read


def written(resource: str, value: int) -> str:
    """Return an amount as sacctmgr reads it: memory in the largest unit that holds it exactly."""
    if not _is_memory(resource) or value == UNLIMITED:
        return str(value)
    unit = "M"
    while value and value % 1024 == 0 and unit != "P":
        value //= 1024
        unit = _UNITS[_UNITS.index(unit) + 1]
    return f"{value}{unit}"


def _pair(key: str, part: str) -> tuple[str, int]:
    name, equals, text = (piece.strip() for piece in part.rpartition("="))
    if not equals:
        raise InvalidRequest(
            f"{key}: {part!r} has no amount", expected="RESOURCE=AMOUNT", nearest=f"{part}=1"
        )
    if name[-1:] in ("+", "-"):
        raise InvalidRequest(
            f"{key}: {part!r} changes the current amount",
            expected="the whole amount: an increment would add up with each try",
            nearest=f"{name[:-1]}={text}",
        )
    resource = _resource(key, name)
    return resource, amount(f"{key}={resource}", resource, text)


def _resource(key: str, name: str) -> str:
    resource = name.lower()
    if resource.isascii() and resource.isdigit() and 1 <= int(resource[:4]) <= len(_NUMBERS):
        return _NUMBERS[int(resource) - 1]
    kind, slash, instance = resource.partition("/")
    known = resource in _KINDS or (bool(instance) and kind + slash in _KINDS)
    if resource in _CALLED or not known or not _RESOURCE.match(resource):
        kinds = [one.strip("/") for one in _KINDS]
        near = _CALLED.get(resource) or next(iter(get_close_matches(kind, kinds, 1)), "")
        raise InvalidRequest(
            f"{key}: {name!r} is not a resource",
            expected="one of " + ", ".join(k + "NAME" if k[-1] == "/" else k for k in _KINDS),
            nearest=near,
        )
    return resource


def _is_memory(resource: str) -> bool:
    return resource.partition("/")[0].lower() in ("mem", "bb")


def _read(resource: str, text: str) -> int | None:
    """Return an amount as it is meant, in units of 1024; None if it is not whole."""
    match = _AMOUNT.match(text)
    if match is None:
        return None
    whole, rest, unit = match[1], match[2] or "", match[3]
    base = _UNITS.index("M") + 1 if _is_memory(resource) else 0
    power = (_UNITS.index(unit.upper()) + 1 if unit else base) - base
    scaled = int(whole + rest) * 1024 ** max(power, 0)
    value, left = divmod(scaled, 10 ** len(rest) * 1024 ** max(-power, 0))
    return None if left else value


def _unkept(what: str, resource: str, match: re.Match[str]) -> InvalidRequest:
    """Return the fault that says what Slurm would keep, and the nearest amount that it keeps and
    prints."""
    amount, unit = f"{what}={match[0]}", (match[3] or "").upper()
    meant = Fraction(f"{match[1]}.{match[2] or 0}") * 1024 ** (
        _UNITS.index(unit) + 1 if unit else 0
    )
    if not _is_memory(resource):
        return InvalidRequest(
            f"{amount}: Slurm would keep {match[1]}",
            expected="a whole number, optionally with K, M or G",
            nearest=f"{what}={min(ceil(meant), MOST)}",
        )
    near = min(max(1, ceil(meant / (1024**2 if unit else 1))), MOST_MEMORY)
    why = f"Slurm would keep {match[1]}M"
    if unit != "K" and _read("mem", shown(near)) != near:
        why = f"sacctmgr would print {shown(near)}, which is less"
        rounded = (-(-near // step) * step for step in (1024, 1024**2, 1024**3))
        near = next(one for one in rounded if _read("mem", shown(one)) == one)
    return InvalidRequest(
        f"{amount}: {why}",
        expected="whole mebibytes, or a number with G, T or P",
        nearest=f"{what}={written(resource, near)}",
    )


def shown(mebibytes: int) -> str:
    """Return memory as Slurm prints it: 1572864 MiB are `1.50T`; 1049088 are `1.00T`, almost as
    1048576.

    Slurm divides while no half is lost (CONVERT_NUM_UNIT_EXACT).
    """
    if not mebibytes:
        return "0"
    number, unit = float(mebibytes), "M"
    while number >= 1024 and int(number) % 512 == 0 and unit != "?":
        number /= 1024
        unit = (_UNITS + "?")[_UNITS.index(unit) + 1]
    return f"{int(number)}{unit}" if number == int(number) else f"{number:.2f}{unit}"
