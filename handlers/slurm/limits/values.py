"""The values of Slurm's limits except amounts: as people write them, and as sacctmgr prints them.

Promises: pure. A value is an int wherever Slurm counts (jobs, shares, minutes), and a text where it
names something, so that two compare as what they are. If Slurm would refuse a value or keep another
one, this module refuses it, with what Slurm takes and the nearest right value. Leaves out:
resources (`amounts`), keys (`keys`). Sources: sacctmgr(1); Slurm's get_uint, time_str2mins,
slurmdb_addto_qos_char_list, and the columns of its association table, in 22.05, 24.11 and 26.05.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

from handlers.slurm.limits.amounts import UNLIMITED
from provisioner.contract import InvalidRequest

Value: TypeAlias = int | str

MOST_COUNTED: Final = 2**31 - 1
"""The most jobs: the column is MySQL's `int`; a larger number is refused or wraps."""

MOST_SHARES: Final = 2**31 - 2
"""The largest share; the next number means `parent`."""

MOST_MINUTES: Final = (2**31 - 1 - 59) // 60
"""Slurm counts the seconds of a time in a C `int`, and adds 59 to round up."""

_COUNT = re.compile(r"\+?\d+\Z", re.ASCII)
_QOS = re.compile(r"[A-Za-z0-9_][\w.@-]*\Z", re.ASCII)
_TIME = re.compile(
    r"(?:(?P<days>\d+)-(?:(?P<hours>\d+)(?::(?P<minutes>\d+)(?::(?P<seconds>\d+))?)?)?"
    r"|(?P<h>\d+):(?P<m>\d+):(?P<s>\d+)|(?P<mm>\d+)(?::(?P<ss>\d+))?)\Z",
    re.ASCII,
)


def count(key: str, text: str) -> int:
    """Return a number of jobs, or a priority. Raises InvalidRequest."""
    expected = "a whole number; -1 for no limit"
    if text == "-1":
        return UNLIMITED
    if not text:
        what = f"{key}= has no value: sacctmgr would read 0"
        raise InvalidRequest(what, expected=expected, nearest=f"{key}=-1")
    if not _COUNT.match(text):
        endless = _is_endless(text) or text.startswith("-")
        near = f"{key}=-1" if endless else _beginning(key, text)
        raise InvalidRequest(f"{key}={text} is not a number", expected=expected, nearest=near)
    return _bounded(key, text, MOST_COUNTED)


def shares(key: str, text: str) -> Value:
    """Return a fair share; -1 is 1, the share of every new association. Raises InvalidRequest."""
    if text.lower() == "parent":
        return "parent"
    if text == "-1":
        return 1
    if not _COUNT.match(text):
        near = f"{key}=parent" if text.lower().startswith("par") else _beginning(key, text)
        expected = "a whole number, or parent; -1 for the usual share, 1"
        raise InvalidRequest(f"{key}={text} is not a share", expected=expected, nearest=near)
    return _bounded(key, text, MOST_SHARES)


def minutes(key: str, text: str) -> int:
    """Return a time in minutes, in any of Slurm's spellings; seconds round up. Raises
    InvalidRequest."""
    if text == "-1" or _is_endless(text):
        return UNLIMITED
    read = _minutes(text)
    if read is None:
        raise InvalidRequest(
            f"{key}={text} is not a time",
            expected="minutes, MM:SS, HH:MM:SS, D-, D-HH, D-HH:MM or D-HH:MM:SS; -1 for no limit",
            nearest="" if text else f"{key}=-1",
        )
    if read > MOST_MINUTES:
        raise InvalidRequest(
            f"{key}={text} is more than Slurm can count: it would keep another time",
            expected=f"at most {written_time(MOST_MINUTES)}; -1 for no limit",
            nearest=f"{key}=-1",
        )
    return read


def qos(key: str, operator: str, text: str) -> dict[str, str]:
    """Return a list of QOS: '' -> the complete list; '+' and '-' -> names to add and to take off.

    `QOS=a,b` is a complete list, and `QOS=` means none of its own; `QOS+=a`, `QOS=+a` and `QOS-=a`
    change the current or inherited list. Raises InvalidRequest.
    """
    parts = [one.strip() for one in text.split(",") if one.strip()]
    if not parts and operator == "=":
        return {"": ""}
    for part in parts or [""]:
        # Slurm reads `-1` as taking off a QOS with the name 1.
        if part == "-1" or not _QOS.match(part.lstrip("+-")):
            raise InvalidRequest(
                f"{key}{operator}{text}: {part!r} is not a QOS",
                expected=f"a list of names; {key}= for none of its own",
                nearest=f"{key}=" if part in ("-1", "") else "",
            )
    by_sign = signed(parts, operator.rstrip("="))
    if "" in by_sign and len(by_sign) > 1:
        raise InvalidRequest(
            f"{key}={text} has a complete list, and adds or takes off: sacctmgr refuses that",
            expected=f"{key}=NAMES, or {key}+=NAMES and {key}-=NAMES",
            nearest=f"{key}={listed([*names(by_sign['']), *names(by_sign.get('+', ''))])}",
        )
    return by_sign


def one_qos(key: str, text: str) -> Value:
    """Return a default QOS. Raises InvalidRequest."""
    if text == "-1":
        return UNLIMITED
    if not _QOS.match(text):
        raise InvalidRequest(
            f"{key}={text} is not a QOS",
            expected="one name; -1 for none of its own",
            nearest="" if text else f"{key}=-1",
        )
    return text.lower()


def signed(parts: Iterable[str], sign: str = "") -> dict[str, str]:
    """Return `+a,-b,c` by sign. sign: the sign of names without one."""
    by_sign: dict[str, list[str]] = {}
    for part in parts:
        if part:
            own = part[0] if part[0] in "+-" else sign
            by_sign.setdefault(own, []).append(part.lstrip("+-").lower())
    return {own: listed(some) for own, some in by_sign.items()}


def names(text: Value) -> frozenset[str]:
    """Return a list of names as a set."""
    return frozenset(one for one in str(text).split(",") if one)


def listed(some: Iterable[str]) -> str:
    """Return names as a list in text, each once, in a fixed order."""
    return ",".join(sorted(set(some)))


def printed_number(text: str) -> Value:
    """Return a number, or `parent`, that sacctmgr prints; unreadable text stays unchanged."""
    return int(text) if text.isascii() and text.isdigit() else text.lower()


def printed_time(text: str) -> Value:
    """Return a time that sacctmgr prints, in minutes; unreadable text stays unchanged."""
    read = _minutes(text)
    return text if read is None else read


def written_time(value: int) -> str:
    """Return minutes as Slurm prints them."""
    days, rest = divmod(value, 1440)
    return f"{f'{days}-' if days else ''}{rest // 60:02}:{rest % 60:02}:00"


def _minutes(text: str) -> int | None:
    match = _TIME.match(text)
    if match is None:
        return None
    part = {name: int(number or 0) for name, number in match.groupdict().items()}
    seconds = part["days"] * 86400 + (part["hours"] + part["h"]) * 3600
    seconds += (part["minutes"] + part["m"] + part["mm"]) * 60
    seconds += part["seconds"] + part["s"] + part["ss"]
    return -(-seconds // 60)


def _is_endless(text: str) -> bool:
    return text.lower() in ("infinite", "unlimited")


def _beginning(key: str, text: str) -> str:
    begins = re.match(r"\d+", text)
    return f"{key}={begins[0]}" if begins else ""


def _bounded(key: str, text: str, most: int) -> int:
    value = int(text)
    if value > most:
        raise InvalidRequest(
            f"{key}={text} is more than Slurm can count",
            expected=f"at most {most}; -1 for no limit",
            nearest=f"{key}=-1",
        )
    return value
