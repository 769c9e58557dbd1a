"""The offer: the names of the service's resources, in a file for those who write requests.

Promises: only who may write to staging can read it, and only the service writes it; it is complete,
and as of the service's last start. Leaves out: what a resource has, and who may ask for it
(`policy`).
"""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from provisioner.system import ulid

log = logging.getLogger(__name__)

_FILE = "resources.json"


def path(staging: Path) -> Path:
    """Return where the offer is: beside staging."""
    return staging.parent / _FILE


def publish(staging: Path, resources: Iterable[str]) -> None:
    """Write the names of the resources. If that fails, the log says so: no request needs them."""
    target = path(staging)
    temporary = target.with_name(f".{ulid.new()}")
    body = json.dumps({"resources": sorted(resources)}).encode() + b"\n"
    try:
        gid, mode = _readers(staging)
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            os.write(file, body)
            os.fchown(file, -1, gid)
            os.fchmod(file, mode)
        finally:
            os.close(file)
        temporary.rename(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        log.warning("%s: cannot say which resources there are: %s", target, error)


def read(staging: Path) -> frozenset[str]:
    """Return the names of the resources. Raises OSError, or ValueError if the file is not one."""
    document = json.loads(path(staging).read_bytes())
    names = document.get("resources") if isinstance(document, dict) else None
    if not isinstance(names, list):
        raise ValueError(f"{path(staging)}: there is no list of resources")
    return frozenset(map(str, names))


def _readers(staging: Path) -> tuple[int, int]:
    """Return the group and the mode by which those may read who may write to staging."""
    status = staging.stat()
    if status.st_mode & stat.S_IWOTH:
        return -1, 0o644
    if status.st_mode & stat.S_IWGRP:
        return status.st_gid, 0o640
    return -1, 0o600
