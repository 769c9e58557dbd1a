"""Homes: whether the steps of one request agree where a person's home is. Pure.

Promises: a home that would be made elsewhere than the account names it is told with both handlers,
from a route alone where nobody has asked for anything yet. Leaves out: what a backend says by
itself (an account that the campus made, what resolves), which the home's step is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from provisioner.contract import Home
from provisioner.request.documents import Problem

SAMPLE = b"provisioner: 1\naction: user.provision\nuser: {name: jdoe}\n"
"""A request that says nothing of its own: what a route makes of it is the configuration's."""


@dataclass(frozen=True, slots=True)
class Lodged:
    """A home, as a step has it. step: its name, with the instance that serves it."""

    step: str
    instance: str
    home: Home


def apart(lodged: Sequence[Lodged]) -> list[Problem]:
    """Tell which homes are made elsewhere than the account names them.

    lodged: in the route's order: of several accounts the last one counts, which hosts ask.
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
        f"{account.step} names {account.home.path} as the home of {made.home.person}, and "
        f"{made.step} makes it in {made.home.path}"
    )
    expected = (
        f"one path: `home` of {account.instance}, or `path` of {made.instance}, or its `known_as` "
        "where hosts see homes elsewhere than they are made"
    )
    return Problem(None, "", message, expected)
