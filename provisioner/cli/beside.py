"""What lies beside a request on its writer's side: the list of users that it names.

Promises: a list that the service would refuse is refused here, before anything is dropped. Leaves
out: policy, and whose the file is in staging.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from provisioner.contract import InvalidRequest
from provisioner.request import crowds
from provisioner.request.documents import InvalidDocument
from provisioner.request.request import Request, parse_request
from provisioner.spool.submit import drop_companion


def listed(request: Request, folder: Path) -> bytes | None:
    """Read the list that a request names, in a folder; None where it names none.

    Raises InvalidRequest where it is not there, or not what the request says.
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
    """Make a request whole by the list beside it. Raises as `listed`, and InvalidDocument."""
    body = listed(request, folder)
    return request if body is None else crowds.with_users(request, crowds.read(body))


def drop_listed(staging: Path, body: bytes, folder: Path) -> Path | None:
    """Drop the list that a request names before it; None where it names none.

    body: the request's; one that cannot be read is the service's to refuse. Raises as `whole`, and
    InvalidRequest where the name is taken.
    """
    try:
        request = parse_request(body)
    except InvalidDocument:
        return None
    found = listed(request, folder)
    if found is None or request.users_file is None:
        return None
    crowds.read(found)
    wanted = request.users_file.file
    got = drop_companion(staging, wanted, found)
    if got != wanted:
        (staging / got).unlink(missing_ok=True)
        raise InvalidRequest(
            f"{wanted} is in staging already",
            field="users_file.file",
            expected="another name, or first the request that names that file",
        )
    return staging / got
