"""Homes: whether the steps of one request agree on where a person's home is. Pure.

Promises: if a home would be made at another path than the account names, the problem names both
handlers, for a route alone before anybody has asked for anything. Leaves out: what a backend says
itself (an account that the campus made, what resolves), which the home's step gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from provisioner.contract import Home
from provisioner.request.documents import Problem

SAMPLE = b"provisioner: 1\naction: user.provision\nuser: {name: jdoe}\n"
"""A request without values of its own: what a route makes of it comes from the configuration."""


@dataclass(frozen=True, slots=True)
class Lodged:
    """A home according to a step. step: its name, with the instance that serves it."""

    step: str
    instance: str
    home: Home


def apart(lodged: Sequence[Lodged]) -> list[Problem]:
    """Return a problem for each home that is made at another path than the account names.

    lodged: in the route's order: of several accounts the last one counts, which hosts read.
    """
    named: dict[str, Lodged] = {}
    problems = []
    for lodging in lodged:
        if not lodging.home.made:
            named[lodging.home.person] = lodging
            continue
        account = named.get(lodging.home.person)
        if account is not None and account.home.path != lodging.home.path:
            problems.append(_problem(account, lodging))
    return problems


def _problem(account: Lodged, made: Lodged) -> Problem:
    message = (
        f"{account.step} names {account.home.path} as the home of {made.home.person}, but "
        f"{made.step} makes it in {made.home.path}"
    )
    expected = (
        f"one path: `home` of {account.instance}, or `path` of {made.instance}, or its `known_as` "
        "if hosts see homes at another path than they are made at"
    )
    return Problem(None, "", message, expected)
