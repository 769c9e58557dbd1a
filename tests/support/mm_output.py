"""`-Y` output in the layouts that public exporters and their tests show, of a made-up file system.

Columns are those of real headers; names, numbers and paths are ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath

from handlers.emulators.gpfs.filesets import COLUMNS
from handlers.emulators.gpfs.quotas import LIST_COLUMNS, REPORT_COLUMNS
from provisioner.contract import Completed

LATER = [
    "afmGatewayNode", "afmIOFlags", "afmVerifyDmapi", "afmSkipHomeACL", "afmReaddirOnce",
    "preventSnapshotRestore", "permInheritFlag", "afmIOFlags2", "afmRemoteUpdate", "falStatus",
]  # fmt: skip
"""Columns that later releases add behind the others."""


def header(command: str, columns: Sequence[str], section: str = "", end: str = ":") -> str:
    return f"{command}:{section}:HEADER:version:reserved:reserved:{':'.join(columns)}{end}"


def row(command: str, values: Sequence[str], section: str = "", end: str = ":") -> str:
    return f"{command}:{section}:0:1:::{':'.join(values)}{end}"


def path(text: str) -> str:
    return "".join(c if c.isalnum() else f"%{ord(c):02X}" for c in text)


def fileset(name: str, number: int, **more: str) -> list[str]:
    """Return a row's values of an independent, linked fileset."""
    values = {
        "filesystemName": "fs1",
        "filesetName": name,
        "id": str(number),
        "rootInode": str(524288 * number + 3),
        "status": "Linked",
        "path": path(f"/gpfs/fs1/{name}" if number else "/gpfs/fs1"),
        "parentId": "0" if number else "--",
        "created": "Tue Mar  3 09%3A14%3A27 2026",
        "comment": "",
        "filesetMode": "off",
        "inodeSpace": str(number),
        "isInodeSpaceOwner": "1",
        "maxInodes": "102400",
        "allocInodes": "51200",
        "inodeSpaceMask": "14336",
        "snapId": "0",
        "permChangeFlag": "chmodAndSetacl",
        "freeInodes": "51199",
        **more,
    }
    return [values.get(column, "-") for column in COLUMNS]


def later(row: Sequence[str], wide: int = 0) -> list[str]:
    """Return values with those of a later release. wide: values beyond the last name."""
    added = [{"preventSnapshotRestore": "no"}.get(name, "-") for name in LATER]
    return [*row, *added, *["-"] * (wide - 1), *(["default"] if wide else [])]


def quota(
    name: str, number: int, columns: Sequence[str] = REPORT_COLUMNS, **more: str
) -> list[str]:
    """Return a row's values of a fileset's quota."""
    values = {
        "filesystemName": "fs1",
        "quotaType": "FILESET",
        "id": str(number),
        "name": name,
        "blockUsage": "337419744",
        "blockQuota": "1073741824",
        "blockLimit": "2147483648",
        "blockInDoubt": "163840",
        "blockGrace": "none",
        "filesUsage": "1395",
        "filesQuota": "5000",
        "filesLimit": "6000",
        "filesInDoubt": "400",
        "filesGrace": "none",
        "remarks": "e",
        "quota": "on",
        "defQuota": "off",
        **more,
    }
    return [values.get(column, "") for column in columns]


MMLSFS = "\n".join(
    (
        header("mmlsfs", ("deviceName", "fieldName", "data", "remarks")),
        *(
            row("mmlsfs", ("fs1", name, value, ""))
            for name, value in (
                ("minFragmentSize", "8192"),
                ("blockSize", "4194304"),
                ("quotasEnforced", "user;group;fileset"),
                ("defaultMountPoint", "%2Fgpfs%2Ffs1"),
                ("ACLSemantics", "nfs4"),
                ("filesetdfEnabled", "No"),
            )
        ),
        "",
    )
)

LISTED = [
    fileset("root", 0, comment="root fileset"),
    fileset("cf1", 1, comment="hpc1%3Afs1/fileset/cf1 end of project%3A 2027-11"),
    fileset(
        "cf2", 2, rootInode="524391", inodeSpace="1", isInodeSpaceOwner="0", maxInodes="0",
        allocInodes="0", freeInodes="0", parentId="1",
    ),
    fileset("cf3", 3, status="Unlinked", path="%2D%2D", parentId="--"),
]  # fmt: skip
QUOTAS = [
    quota("root", 0, blockQuota="0", blockLimit="0", filesQuota="0", filesLimit="0", remarks="i"),
    quota("cf1", 1, blockUsage="1610612736", blockGrace="6 days"),
    quota("cf2", 2, blockUsage="-12300288", blockInDoubt="5436323758080"),
    quota("cf3", 3, filesUsage="7000", filesGrace="expired"),
]


def listing(rows: Iterable[Sequence[str]] = LISTED, columns: Sequence[str] = COLUMNS) -> str:
    lines = [header("mmlsfileset", columns), *(row("mmlsfileset", one) for one in rows)]
    return "\n".join(lines) + "\n"


def report(rows: Iterable[Sequence[str]] = QUOTAS, filesystem: str = "fs1") -> str:
    lines = [
        f"*** Report for FILESET quotas on {filesystem}",
        header("mmrepquota", REPORT_COLUMNS),
        *(row("mmrepquota", one) for one in rows),
    ]
    return "\n".join(lines) + "\n"


ACL = """\
#NFSv4 ACL
#owner:root
#group:root
special:owner@:rwxc:allow
 (X)READ/LIST (X)WRITE/CREATE (X)APPEND/MKDIR (X)SYNCHRONIZE (X)READ_ACL  (X)READ_ATTR  (X)READ_NAMED
 (-)DELETE    (X)DELETE_CHILD (X)CHOWN        (X)EXEC/SEARCH (X)WRITE_ACL (X)WRITE_ATTR (X)WRITE_NAMED

"""  # noqa: E501


class Cluster:
    """Answers the reading commands about filesets; what one prints may be replaced."""

    def __init__(self, **prints: str) -> None:
        self.prints = {"mmlsfs": MMLSFS, "mmlsfileset": listing(), "mmrepquota": report()}
        self.prints |= {"mmgetacl": ACL, **prints}
        self.calls: list[tuple[str, ...]] = []

    def __call__(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        timeout: float = 60.0,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        command, args = PurePath(argv[0]).name, list(argv[1:])
        self.calls.append((command, *args))
        match command, args:
            case "mmlsfileset", [_, name, "-L", "-Y"]:
                code, text, stderr = self._alone(name)
            case "mmlsquota", ["-j", name, "-v", "-Y", _]:
                code, text, stderr = 0, self._quota(name), ""
            case "stat", [*_]:
                code, text, stderr = 0, "".join(map(_stat, args[args.index("--") + 1 :])), ""
            case _:
                code, text, stderr = 0, self.prints[command], ""
        return Completed(tuple(argv), code, text, stderr)

    def _alone(self, name: str) -> tuple[int, str, str]:
        rows = [one for one in LISTED if one[1] == name]
        if not rows:
            return 22, "", f"Fileset named {name} does not exist.\n"
        return 0, listing(rows), ""

    def _quota(self, name: str) -> str:
        rows = [
            dict(zip(REPORT_COLUMNS, quota, strict=True)) for quota in QUOTAS if quota[3] == name
        ]
        lines = [header("mmlsquota", LIST_COLUMNS, "fileset")]
        lines += [
            row("mmlsquota", [quota[column] for column in LIST_COLUMNS], "fileset")
            for quota in rows
        ]
        return "\n".join(lines) + "\n"


def _stat(name: str) -> str:
    numbers = {"/gpfs/fs1": 3, "/gpfs/fs1/cf1": 524291, "/gpfs/fs1/cf2": 524391}
    assert re.fullmatch(r"/gpfs/fs1(/cf\d)?", name), name
    return f"0 0 41c0 {numbers[name]} {name}\0"
