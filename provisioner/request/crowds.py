"""Crowds: the users of one request, in a separate file if there are too many for its body.

Promises: a list has one user name on each line, checked against the same pattern as in a request,
and every mistake is reported with its line; users who are left out of a request are reported; a
request whose list was not read is never routed. Leaves out: who owns the file, and reading it
(`enclosures`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from provisioner.contract import InvalidRequest
from provisioner.request.documents import InvalidDocument, Problem
from provisioner.request.request import Request, parse_request
from provisioner.request.subjects import UsersFile
from provisioner.request.values import is_user_name

ENDING = ".users"
"""The suffix of its name, so that it is not taken for a request."""

MOST = 10_000
"""The most users of a list: everything else waits while a request is accepted."""

SIZE = MOST * 34
"""The most bytes of a list: names of 32 letters, with Windows line ends."""

_TOLD = 20
"""The most mistakes that are reported."""


def check(named: UsersFile, size: int, sha256: str) -> None:
    """Compare a list with what its request says about it.

    Raises InvalidRequest if its name, its size or its digest differs.
    """
    if not named.file.endswith(ENDING):
        raise InvalidRequest(f"{named.file!r} is not a list of users", expected=f"*{ENDING}")
    if max(named.size, size) > SIZE:
        raise InvalidRequest(
            f"{named.file} has more than {SIZE} bytes",
            field="users_file.size",
            expected=f"at most {MOST} users",
        )
    if (size, sha256) != (named.size, named.sha256):
        raise InvalidRequest(
            f"{named.file} is not what the request says: it has {size} bytes and SHA-256 {sha256}",
            field="users_file",
            expected="the complete file, written before the request",
        )


def read(body: bytes) -> tuple[str, ...]:
    """Return the users of a list; a user who is listed twice counts once.

    Raises InvalidDocument with the mistakes in its lines, InvalidRequest if it is too long.
    """
    try:
        lines = body.decode().split("\n")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the list of users is not UTF-8 at byte {error.start}") from None
    names = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    wrong = [
        Problem(
            None,
            f"users_file line {number}",
            f"{name[:80]!r} is not a user name",
            "a lower-case letter or _, then at most 31 of a-z 0-9 _ . -",
        )
        for number, name in names
        if name and not is_user_name(name)
    ]
    if wrong:
        more = len(wrong) - _TOLD
        rest = [Problem(None, "users_file", f"and {more} more wrong lines")]
        raise InvalidDocument([*wrong[:_TOLD], *(rest if more > 0 else [])])
    users = tuple(dict.fromkeys(name for _, name in names if name))
    if len(users) > MOST:
        raise InvalidRequest(f"the list has {len(users)} users; the maximum is {MOST}")
    return users


def with_users(request: Request, users: tuple[str, ...]) -> Request:
    """Return a request with the users of its file, as if the request listed them itself."""
    values: dict[str, Any] = dict(request.values)
    for part in ("allocation", "project"):
        said = values.get(part)
        if isinstance(said, Mapping) and "users_file" in said:
            values[part] = {**said, "users": users}
    return replace(request, users=users, values=values, users_file=None)


Meant = tuple[Request, tuple[Problem, ...]]
"""A request as it counts, with a problem for each user who is left out of it."""


def spared(request: Request, left_out: Collection[str]) -> Meant:
    """Return a request without protected users, and without users whose name a backend does not
    take.

    left_out: users whose names are protected. Routing reports the others, step by step.
    """
    request = replace(request, spares=True)
    if not left_out:
        return request, ()
    key = f"{request.action.partition('.')[0]}.users"
    notes = tuple(
        Problem(
            None,
            f"{key}[{number + 1}]",
            f"{name} is left out: the name is protected, and no request touches it",
            "remove the user; see policy.protected in the configuration (system names are always "
            "protected)",
        )
        for number, name in enumerate(request.users)
        if name in left_out
    )
    return with_users(request, tuple(n for n in request.users if n not in left_out)), notes


def whole(body: bytes, listed: str | None) -> Request:
    """Return a recorded request, with the users for whom it counts.

    listed: their names, separated by spaces, of its file or fewer; None: those in its body.
    """
    request = parse_request(body)
    return request if listed is None else with_users(request, tuple(listed.split()))
