"""A fileset with every property that one can have."""

from __future__ import annotations

from typing import Any

FULL: dict[str, Any] = {
    "fileset": "cf3",
    "quota": "5TiB",
    "files": 20000,
    "uid": 2001,
    "gid": 3001,
    "acl": "project",
    "group": "cf3",
}


MARK = "hpc1:fs1/fileset/cf3"
