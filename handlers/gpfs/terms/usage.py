"""Quotas as mmrepquota and mmlsquota report them: limits, usage, in doubt, and grace.

Promises: each value is read by its type, or raises Unreadable; a grace in words becomes the time
that is left. Space is in KiB. Pure.
Leaves out: quotas of groups, and whether limits are as wanted (`plan`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from handlers.gpfs.terms.rows import Layout, Record, Unreadable, count, number
from provisioner.contract import Json, Key, Meter, Permanent

_NEEDED = (
    "filesystemName", "quotaType", "id", "name", "blockUsage", "blockQuota", "blockLimit",
    "blockInDoubt", "blockGrace", "filesUsage", "filesQuota", "filesLimit", "filesInDoubt",
    "filesGrace",
)  # fmt: skip

REPORT = Layout("mmrepquota", needed=_NEEDED, whole=True)

# Older releases name `fid` in the header and leave it out of their rows.
ONE = Layout("mmlsquota", needed=_NEEDED, section="fileset")

_GRACE = re.compile(r"(\d{1,6}) (minute|hour|day|week)s?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Grace:
    """How long a fileset may stay above a soft limit. left: None if it is not above it, or grace is
    over.

    Source: `none | N days | N hours | N minutes | expired` (IBM, mmlsquota).
    """

    left: timedelta | None = None
    expired: bool = False

    @classmethod
    def of(cls, text: str) -> Grace:
        """Return a grace, read from text. Raises Unreadable for other text."""
        if text in ("none", "expired"):
            return cls(expired=text == "expired")
        match = _GRACE.match(text)
        if match is None:
            raise Unreadable(f"a grace of {text!r}")
        return cls(timedelta(**{f"{match[2]}s": int(match[1])}))

    def __str__(self) -> str:
        if self.left is None:
            return "expired" if self.expired else "none"
        seconds = int(self.left.total_seconds())
        for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
            if seconds >= length and seconds % length == 0:
                number = seconds // length
                return f"{number} {unit}{'' if number == 1 else 's'}"
        return "0 minutes"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a fileset uses of its quota. Space in KiB.

    in_doubt: space that servers have been given and may or may not have used; GPFS counts it
    against the hard limit. Usage can be below 0 until mmcheckquota has counted.
    """

    block_usage: int
    block_in_doubt: int
    block_grace: Grace
    files_usage: int
    files_in_doubt: int
    files_grace: Grace

    @classmethod
    def of(cls, json: Mapping[str, Json]) -> Usage:
        """Return usage, read from plain JSON."""
        graces = {n: Grace.of(str(json[n])) for n in ("block_grace", "files_grace")}
        numbers = {n: json[n] for n in cls.__slots__ if n not in graces}
        return cls(**cast(Any, {**numbers, **graces}))

    def json(self) -> dict[str, Json]:
        """Return usage as plain JSON, with a line for people."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {
            "used": self.words(),
            **{n: str(v) if isinstance(v, Grace) else v for n, v in values.items()},
        }

    def words(self) -> str:
        """Return usage as a line: `3 TiB, 1,395 files, 160 MiB in doubt, grace of space 6 days`."""
        parts = [about(self.block_usage), _files(self.files_usage)]
        if self.block_in_doubt:
            parts.append(f"{about(self.block_in_doubt)} in doubt")
        if self.files_in_doubt:
            parts.append(f"{_files(self.files_in_doubt)} in doubt")
        for what, grace in (("space", self.block_grace), ("files", self.files_grace)):
            if grace != Grace():
                parts.append(f"grace of {what} {grace}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Quota:
    """A fileset's limits, 0 for none, and its usage. Space in KiB."""

    block_soft: int
    block_hard: int
    files_soft: int
    files_hard: int
    usage: Usage

    @classmethod
    def of(cls, record: Record) -> Quota:
        """Return a quota, read from a row. Raises Unreadable, with the row, if a value has the
        wrong type."""
        try:
            return cls(
                count(record, "blockQuota"),
                count(record, "blockLimit"),
                count(record, "filesQuota"),
                count(record, "filesLimit"),
                Usage(
                    number(record, "blockUsage"),
                    number(record, "blockInDoubt"),
                    Grace.of(record["blockGrace"]),
                    number(record, "filesUsage"),
                    number(record, "filesInDoubt"),
                    Grace.of(record["filesGrace"]),
                ),
            )
        except Unreadable as error:
            raise Unreadable(f"{error}, in a row", ":".join(record.values())) from None


def metered(
    names: Mapping[Key, str], rows: Mapping[tuple[str, str], Record]
) -> dict[Key, tuple[Meter, Meter]]:
    """Return the use of filesets, by the rows of a report, which may spell names in another case.

    What has no row, or one that cannot be read, or two that differ only in case, is left out.
    """
    by_name: dict[str, list[Record]] = {}
    for (name, _), record in rows.items():
        by_name.setdefault(name.lower(), []).append(record)
    found = {}
    for key, name in names.items():
        some = by_name.get(name.lower(), [])
        some = [record for record in some if record["name"] == name] or some
        with suppress(Unreadable):
            if len(some) == 1:
                found[key] = meters(Quota.of(some[0]))
    return found


def metered_users(
    filesystem: str, fileset: str, rows: Mapping[tuple[int, str], Record]
) -> dict[int, tuple[Meter, Meter]]:
    """Return the use of users, by uid; one whose row cannot be read is left out.

    fileset: whose quotas of users count; '': those of the whole file system. Raises Permanent if
    the file system counts users otherwise.
    """
    filesets = {name for _, name in rows}
    if rows and not fileset and "" not in filesets:
        raise Permanent(
            f"{filesystem} counts users in each fileset apart",
            advice=f"name the fileset of the homes, too: `quotas: {filesystem}:FILESET`",
        )
    if rows and fileset and fileset not in filesets:
        raise Permanent(
            f"{filesystem} reports no users of the fileset {fileset}",
            advice="correct the fileset; if users are not counted in each fileset apart "
            f"(mmlsfs --perfileset-quota), leave it out: `quotas: {filesystem}`",
        )
    found = {}
    for (uid, name), record in rows.items():
        with suppress(Unreadable):
            if name == fileset:
                found[uid] = meters(Quota.of(record))
    return found


def meters(quota: Quota) -> tuple[Meter, Meter]:
    """Return the use of space, in bytes, and of files."""
    use = quota.usage
    return (
        Meter(
            "space",
            max(0, use.block_usage) * 1024,
            quota.block_soft * 1024,
            quota.block_hard * 1024,
            _grace(use.block_grace),
            in_doubt=max(0, use.block_in_doubt) * 1024,
        ),
        Meter(
            "files",
            max(0, use.files_usage),
            quota.files_soft,
            quota.files_hard,
            _grace(use.files_grace),
            in_doubt=max(0, use.files_in_doubt),
        ),
    )


def _grace(grace: Grace) -> str:
    return "" if grace == Grace() else str(grace)


def of_filesets(records: Sequence[Record], filesystem: str) -> dict[tuple[str, str], Record]:
    """Return the rows of one file system's filesets, by name and id: a report may cover more.

    Raises Unreadable if a row does not say which fileset it is about, or two are about one fileset.
    """
    quotas: dict[tuple[str, str], Record] = {}
    for record in records:
        kind, named = record["quotaType"], (record["name"], record["id"])
        line = ":".join(record.values())
        if kind not in ("USR", "GRP", "FILESET") or not record["filesystemName"]:
            raise Unreadable(f"quotaType is {kind!r}, in a row", line)
        if kind != "FILESET" or record["filesystemName"] != filesystem:
            continue
        if not named[0] or not re.fullmatch(r"\d+", named[1], re.ASCII):
            raise Unreadable("no name and id of a fileset, in a row", line)
        if named in quotas:
            raise Unreadable(f"two rows of the fileset {named[0]}", line)
        quotas[named] = record
    return quotas


def of_users(records: Sequence[Record], filesystem: str) -> dict[tuple[int, str], Record]:
    """Return the rows of one file system's users, by uid and the fileset's name, '' for all.

    Raises Unreadable if a row does not say whose it is, or two are of one user.
    """
    quotas: dict[tuple[int, str], Record] = {}
    for record in records:
        kind, line = record["quotaType"], ":".join(record.values())
        if kind not in ("USR", "GRP", "FILESET") or not record["filesystemName"]:
            raise Unreadable(f"quotaType is {kind!r}, in a row", line)
        if kind != "USR" or record["filesystemName"] != filesystem:
            continue
        named = count(record, "id"), record.get("filesetname", "")
        if named in quotas:
            raise Unreadable(f"two rows of the uid {named[0]}", line)
        quotas[named] = record
    return quotas


def about(kib: int) -> str:
    """Return a measured size as text, to four figures: `321.8 GiB`."""
    size, unit = float(abs(kib)), "KiB"
    for larger in ("MiB", "GiB", "TiB", "PiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    sign = "-" if kib < 0 else ""
    return f"{sign}{size:.1f}".removesuffix(".0") + f" {unit}"


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number:,} files"
