"""Filesets as mmlsfileset lists them, and whether a row says what it seems to.

Promises: which rows there are, of one file system, each under a name of its own; of a row whose
values have moved under other names, or cannot be read, that it is so. Pure.
Leaves out: rows that are missing (`Mm.absent`), and what a fileset should be (`plan`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from handlers.gpfs.mm.rows import Layout, Record, Unreadable, count

FILESETS = Layout(
    "mmlsfileset",
    needed=(
        "filesystemName", "filesetName", "id", "rootInode", "status", "path", "comment",
        "inodeSpace", "isInodeSpaceOwner", "maxInodes", "allocInodes",
    ),
    whole=True,
)  # fmt: skip


def filesets(text: str) -> list[Record]:
    """Read a listing without the filesets that are deleted, and kept for a snapshot alone.

    Raises Unreadable where it cannot be said which fileset a row is about. Whether the rest of a
    row can be believed says `check`.
    """
    by_name: dict[str, Record] = {}
    records = FILESETS.read(text)
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
    """Raise Unreadable, with the row, where a fileset's values cannot be what their names say."""
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
    # A value too few or too many before these moves one of them onto what is no number (`-`), or no
    # word (0). A dependent fileset's own limits are all 0, and may be what stands before them.
    for name in ("inodeSpace", "maxInodes", "allocInodes", "inodeSpaceMask"):
        if name in record:
            count(record, name)
    flag = record.get("permChangeFlag", "chmodAndSetAcl")
    if not re.fullmatch(r"[A-Za-z]{2,}", flag):
        raise Unreadable(f"permChangeFlag is {flag!r}")


def doubted(records: Sequence[Record]) -> Mapping[str, Unreadable]:
    """Say of which filesets, by name, the rows cannot be believed."""
    errors: dict[str, Unreadable] = {}
    for record in records:
        try:
            check(record)
        except Unreadable as error:
            errors[record["filesetName"]] = error
    return errors


def spaces(records: Sequence[Record]) -> Mapping[str, str]:
    """Say which fileset owns each inode space; raises Unreadable where two do."""
    owners: dict[str, str] = {}
    for record in records:
        if record["isInodeSpaceOwner"] == "1":
            first = owners.setdefault(record["inodeSpace"], record["filesetName"])
            if first != record["filesetName"]:
                raise Unreadable(f"an inode space of {first}, too, in a row", row(record))
    return owners


def row(record: Record) -> str:
    """Write a row as a person finds it again: its values up to the first that nothing reads."""
    names = list(record)
    last = max((names.index(n) for n in FILESETS.needed if n in record), default=0)
    return ":".join(record[name] for name in names[: last + 1])
