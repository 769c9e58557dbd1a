"""Filesets as mmlsfileset lists them, with a check of each row.

Promises: the rows of one file system, each under its own name; an error for a row whose values have
moved under other names or cannot be read. Pure.
Leaves out: rows that are missing (`Mm.absent`), and what a fileset should be (`plan`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from handlers.gpfs.terms.rows import Layout, Record, Unreadable, count

FILESETS = Layout(
    "mmlsfileset",
    needed=(
        "filesystemName", "filesetName", "id", "rootInode", "status", "path", "comment",
        "inodeSpace", "isInodeSpaceOwner", "maxInodes", "allocInodes",
    ),
    whole=True,
)  # fmt: skip


def filesets(text: str) -> list[Record]:
    """Return a listing from the text of mmlsfileset; see `current`."""
    return current(FILESETS.read(text))


def current(records: Sequence[Record]) -> list[Record]:
    """Return a listing without deleted filesets that only a snapshot keeps.

    Raises Unreadable if it is not clear which fileset a row is about. `check` says whether the rest
    of a row can be trusted.
    """
    by_name: dict[str, Record] = {}
    for record in records:
        name = record["filesetName"]
        try:
            if not name or record["filesystemName"] != records[0]["filesystemName"]:
                raise Unreadable(f"a fileset {name!r} of {record['filesystemName']!r}")
            count(record, "id")
            count(record, "rootInode")
        except Unreadable as error:
            raise Unreadable(f"{error}, in a row", row(record)) from None
        if record["status"] == "Deleted" or name.startswith("("):
            continue
        if name in by_name:
            raise Unreadable(f"two rows of the fileset {name}", row(record))
        by_name[name] = record
    return list(by_name.values())


def check(record: Record) -> None:
    """Raise Unreadable, with the row, if a fileset's values cannot be what their names say."""
    try:
        _check(record)
    except Unreadable as error:
        raise Unreadable(f"{error}, in a row", row(record)) from None


def _check(record: Record) -> None:
    status, path = record["status"], record["path"]
    if status not in ("Linked", "Unlinked"):
        raise Unreadable(f"status is {status!r}")
    if status == "Linked" and not path.startswith("/"):
        raise Unreadable(f"path is {path!r}")
    if record["isInodeSpaceOwner"] not in ("0", "1"):
        raise Unreadable(f"isInodeSpaceOwner is {record['isInodeSpaceOwner']!r}, not 0 or 1")
    # One value too few or too many before these moves a `-` under the name of a number, or a 0
    # under the name of a word. The values before them may be a dependent fileset's limits, all 0.
    for name in ("inodeSpace", "maxInodes", "allocInodes", "inodeSpaceMask"):
        if name in record:
            count(record, name)
    flag = record.get("permChangeFlag", "chmodAndSetAcl")
    if not re.fullmatch(r"[A-Za-z]{2,}", flag):
        raise Unreadable(f"permChangeFlag is {flag!r}")


def doubted(records: Sequence[Record]) -> Mapping[str, Unreadable]:
    """Return an error, by fileset, for each row that cannot be trusted."""
    errors: dict[str, Unreadable] = {}
    for record in records:
        try:
            check(record)
        except Unreadable as error:
            errors[record["filesetName"]] = error
    return errors


def spaces(records: Sequence[Record]) -> Mapping[str, str]:
    """Return which fileset owns each inode space. Raises Unreadable if two own one."""
    owners: dict[str, str] = {}
    for record in records:
        if record["isInodeSpaceOwner"] == "1":
            first = owners.setdefault(record["inodeSpace"], record["filesetName"])
            if first != record["filesetName"]:
                raise Unreadable(f"an inode space that {first} also owns, in a row", row(record))
    return owners


def row(record: Record) -> str:
    """Return a row as a person finds it again: its values up to the first that nothing reads."""
    names = list(record)
    last = max((names.index(n) for n in FILESETS.needed if n in record), default=0)
    return ":".join(record[name] for name in names[: last + 1])
