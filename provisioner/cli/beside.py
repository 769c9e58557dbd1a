"""The list of users beside a request, before the request is in staging.

Promises: a list that the service would refuse is refused here, before any file is dropped. Leaves
out: policy, and the owner of the file in staging.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from provisioner.contract import InvalidRequest
from provisioner.request import crowds
from provisioner.request.documents import InvalidDocument
from provisioner.request.request import Request, parse_request
from provisioner.spool.submit import drop_companion


def listed(request: Request, folder: Path) -> bytes | None:
    """Return the list that a request names, from a folder; None if it names none.

    Raises InvalidRequest if the list is missing, or does not match the request.
    """
    named = request.users_file
    if named is None:
        return None
    path = folder / named.file
    try:
        with path.open("rb") as file:
            body = file.read(crowds.SIZE + 1)
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}", field="users_file") from None
    crowds.check(named, len(body), hashlib.sha256(body).hexdigest())
    return body


def whole(request: Request, folder: Path) -> Request:
    """Return a request with the users of the list beside it.

    Raises InvalidRequest as `listed` does, and InvalidDocument.
    """
    body = listed(request, folder)
    return request if body is None else crowds.with_users(request, crowds.read(body))


@dataclass(frozen=True, slots=True)
class Dropped:
    """A list in staging. body: the request, with the name that the list got; taken_by: the uid of
    who has the name that it should have; None if it has that."""

    path: Path
    body: bytes
    taken_by: int | None = None


def drop_listed(staging: Path, body: bytes, folder: Path) -> Dropped | None:
    """Drop the list that a request names; return None if it names none.

    body: of the request; if it is unreadable, nothing is dropped here, and the service refuses it.
    Somebody else may have taken the name of the list: the list then gets another one, and so does
    the request. Raises InvalidRequest and InvalidDocument as `whole` does, and InvalidRequest if
    staging has a file of our own of that name, or the request cannot be changed without doubt.
    """
    try:
        request = parse_request(body)
    except InvalidDocument:
        return None
    users = listed(request, folder)
    if users is None or request.users_file is None:
        return None
    crowds.read(users)
    wanted = request.users_file.file
    got = drop_companion(staging, wanted, users)
    if got == wanted:
        return Dropped(staging / got, body)
    owner = _owner(staging / wanted)
    renamed = _renamed(body, wanted, got) if owner != os.geteuid() else None
    if renamed is None:
        (staging / got).unlink(missing_ok=True)
        raise InvalidRequest(
            f"{wanted} is in staging already",
            field="users_file.file",
            expected="another name, or first the request that names that file",
        )
    return Dropped(staging / got, renamed, owner)


def _owner(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except FileNotFoundError:
        return None


def _renamed(body: bytes, old: str, new: str) -> bytes | None:
    """Return a request with another name of its list; None if anything else would change."""
    changed = body.replace(old.encode(), new.encode())
    before, after = parse_request(body), parse_request(changed)
    if before.users_file is None or after.users_file is None:
        return None
    same = replace(after, users_file=before.users_file, values=before.values) == before
    return changed if same and body.count(old.encode()) == 1 else None
