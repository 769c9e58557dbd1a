"""Crowds: the users of one request, in a file of their own where there are too many for its body.

Promises: a list is a user name a line, each held against the same pattern as in a request, and
every mistake is told with its line; who is left out of a request is told; a request whose list was
not read is one that nobody routes. Leaves out: whose the file is, and reading it (`enclosures`).
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
"""How its name ends, so that it is not taken for a request."""

MOST = 10_000
"""Most users of a list: what is accepted at once keeps everything else waiting."""

SIZE = MOST * 34
"""Most bytes of a list: names of 32 letters, with ends of lines as Windows writes them."""

_TOLD = 20
"""Most mistakes that are told."""


def check(named: UsersFile, size: int, sha256: str) -> None:
    """Hold a list against what its request says of it.

    Raises InvalidRequest where its name, its size or its digest is another.
    """
    if not named.file.endswith(ENDING):
        raise InvalidRequest(f"{named.file!r} is no list of users", expected=f"*{ENDING}")
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
            expected="the file written whole, before the request",
        )


def read(body: bytes) -> tuple[str, ...]:
    """Read a list; who stands there twice is one.

    Raises InvalidDocument with what is wrong in its lines, InvalidRequest where it is too long.
    """
    try:
        lines = body.decode().split("\n")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the list of users is no UTF-8 at byte {error.start}") from None
    names = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    wrong = [
        Problem(
            None,
            f"users_file line {number}",
            f"{name[:80]!r} is no user name",
            "a lower-case letter or _, then at most 31 of a-z 0-9 _ . -",
        )
        for number, name in names
        if name and not is_user_name(name)
    ]
    if wrong:
        more = len(wrong) - _TOLD
        rest = [Problem(None, "users_file", f"and {more} more lines that are wrong")]
        raise InvalidDocument([*wrong[:_TOLD], *(rest if more > 0 else [])])
    users = tuple(dict.fromkeys(name for _, name in names if name))
    if len(users) > MOST:
        raise InvalidRequest(f"the list has {len(users)} users, and {MOST} are taken at most")
    return users


def with_users(request: Request, users: tuple[str, ...]) -> Request:
    """Make a request whole: what its file lists stands in it as if it had been written there."""
    values: dict[str, Any] = dict(request.values)
    for part in ("allocation", "project"):
        said = values.get(part)
        if isinstance(said, Mapping) and "users_file" in said:
            values[part] = {**said, "users": users}
    return replace(request, users=users, values=values, users_file=None)


Meant = tuple[Request, tuple[Problem, ...]]
"""A request as it counts, with a word about everybody who is left out of it."""


def spared(request: Request, left_out: Collection[str]) -> Meant:
    """Make a request go without some of its users, and without whose name a backend does not take.

    left_out: whose names are protected. Of the others routing says, step by step.
    """
    request = replace(request, spares=True)
    if not left_out:
        return request, ()
    key = f"{request.action.partition('.')[0]}.users"
    notes = tuple(
        Problem(
            None,
            f"{key}.{number}",
            f"{name} is left out: the name is protected, and no request touches it",
            "take the user out; see policy.protected in the configuration, system names stay so",
        )
        for number, name in enumerate(request.users)
        if name in left_out
    )
    return with_users(request, tuple(n for n in request.users if n not in left_out)), notes


def whole(body: bytes, listed: str | None) -> Request:
    """Parse a request as it was recorded, with the users for whom it counts.

    listed: their names with spaces between, its file's or fewer; None: those that stand in it.
    """
    request = parse_request(body)
    return request if listed is None else with_users(request, tuple(listed.split()))
