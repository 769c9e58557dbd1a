"""One step of a route, rendered for a request: what its handler claims, and every mistake.

Promises: parameters are rendered and checked user by user, and a mistake of one user leaves out
only that user. What all users get of a step has a limit, which is checked at the first of them: a
request of 64 KiB may say much that each of ten thousand users gets. Leaves out: which steps a
request has (`choices`), and what expressions may use (`router`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from typing import Any

from provisioner.contract import ADOPTS, Fault, Handler, InvalidRequest, Key, Scalar, Want
from provisioner.contract.abilities import Adapts, Lodges, able
from provisioner.contract.late import steps_of
from provisioner.plain.values import value
from provisioner.request.documents import InvalidDocument, Problem
from provisioner.request.places import dotted
from provisioner.request.request import Request
from provisioner.routing import source_keys
from provisioner.routing.choices import Chosen
from provisioner.routing.homes import Lodged
from provisioner.routing.routes import rendered

Outputs = Mapping[tuple[str, str], Mapping[str, Scalar]]
"""Outputs of steps, by (step, item)."""


@value(frozen=True, slots=True)
class StepClaim:
    """One claim of a step.

    want None: it is known only after another step; outline: the want with `KnownAfter` for values
    that are known later.
    """

    claimant: str
    key: Key
    want: Want | None
    item: str
    outline: Want


@value(frozen=True, slots=True)
class Step:
    """One step of one request. late: the steps that some of its parameters come from; notes: what
    its handler holds in another form; lodged: the homes that it names; left_out: users whose names
    it does not take, and why; size: about how many bytes all users get of it, as JSON."""

    name: str
    instance: str
    needs: tuple[str, ...]
    claims: tuple[StepClaim, ...]
    late: frozenset[str]
    notes: tuple[Problem, ...] = ()
    lodged: tuple[Lodged, ...] = ()
    left_out: Mapping[str, Problem] = field(default_factory=dict, hash=False)
    size: int = 0


_MOST = 16 * 1024 * 1024
"""Bytes, as JSON, of what all users get of a step: 1.6 KiB for each of ten thousand."""

_TOLD = 200
"""The most mistakes of a step: more users would mostly repeat the same one."""


class Rendering:
    """A step while it is rendered."""

    def __init__(self, request: Request, chosen: Chosen, handler: Handler, *, bound: bool) -> None:
        """bound: True if outputs of earlier steps are known."""
        self._request = request
        self._chosen = chosen
        self._handler = handler
        self._bound = bound
        # Checked once: a protocol check takes longer than all the rest for a user.
        self._adapts = handler if able(handler, Adapts) else None
        self._lodges = handler if able(handler, Lodges) else None
        self._where = f"step {chosen.template.config.name} ({chosen.instance})"
        self._alike: Mapping[str, Any] = {}
        self._notes: list[Problem] = []
        self._lodged: list[Lodged] = []
        self._late: set[str] = set()
        self._claims: list[StepClaim] = []
        self._wrong: list[Problem] = []
        self._size: int | None = None
        self._left_out: dict[str, Problem] = {}

    @property
    def hopeless(self) -> bool:
        """Return True if so much is wrong that checking more users is useless."""
        return (self._size or 0) > _MOST or len(self._wrong) > _TOLD

    def add(self, item: str, values: Mapping[str, Any]) -> None:
        """Render the step for one user, or for the request if item is ''.

        values: what its expressions may use.
        """
        template = self._chosen.template
        try:
            parameters = rendered(template, values, self._alike)
            self._alike = {key: parameters[key] for key in template.alike}
            given = {key: value for key, value in parameters.items() if value is not None}
            wanted = _claims(self._handler, given, self._request.adopt)
            if item and self._size is None:
                self._weigh(given, wanted)
            self._hear(item, given)
        except Fault as fault:
            self._note(item, fault, values.get("steps") if self._bound else None)
            return
        waits = {step for value in parameters.values() for step in steps_of(value)}
        self._late |= waits
        claimant = self._claimant(item)
        for key, want in wanted.items():
            known = None if waits else want
            self._claims.append(StepClaim(claimant, key, known, item, want))

    def step(self) -> Step:
        """Return the step. Raises InvalidDocument with all its mistakes."""
        if self._wrong:
            raise InvalidDocument(list(dict.fromkeys(self._wrong)))
        return Step(
            name=self._chosen.template.config.name,
            instance=self._chosen.instance,
            needs=self._chosen.needs,
            claims=tuple(self._claims),
            late=frozenset(self._late),
            notes=tuple(dict.fromkeys(self._notes)),
            lodged=tuple(self._lodged),
            left_out=self._left_out,
            size=self._size or 0,
        )

    def _weigh(self, given: Mapping[str, Any], wanted: Mapping[Key, Want]) -> None:
        """Refuse the step if all users together get too much. Raises InvalidRequest."""
        users, each = len(self._request.users), sum(map(_size, wanted.values()))
        self._size = users * each
        if self._size <= _MOST:
            return
        largest = max(given, key=lambda name: _size(given[name]))
        raise InvalidRequest(
            f"each of {users:,} users gets {each:,} bytes, most of it from {largest}: together "
            f"more than {_MOST:,}",
            field=largest,
            expected=f"at most {_MOST // users:,} bytes for each of so many users",
        )

    def _hear(self, item: str, given: Mapping[str, Any]) -> None:
        """Keep where the handler says that a home is, and what it holds in another form."""
        if self._lodges is not None and (home := self._lodges.home(given)):
            self._lodged.append(Lodged(self._where, self._chosen.instance, home))
        if self._adapts is not None:
            for name, said in self._adapts.adapted(given).items():
                self._notes.append(self._problem(InvalidRequest(said, field=name), item))

    def _note(self, item: str, fault: Fault, before: Any) -> None:
        """Keep what is wrong; a user whose own name is the mistake is left out of this step."""
        every = (fault, *getattr(fault, "also", ()))
        problems = [self._problem(one, item, before) for one in every]
        if item and all(one.key == dotted(self._people[item]) for one in problems):
            self._left_out[item] = problems[0]
        else:
            self._wrong += problems

    def _problem(self, fault: Fault, item: str, before: Any = None) -> Problem:
        with_ = self._chosen.template.config.with_
        person = self._people[item] if item else ()
        return source_keys.problem(self._request, fault, self._where, with_, person, before)

    @cached_property
    def _people(self) -> source_keys.People:
        return source_keys.People(self._request)

    def _claimant(self, item: str) -> str:
        subject = self._request.subject
        if not item or subject.endswith(f"user:{item}"):
            return subject
        return f"{subject}/user:{item}"


def _size(value: object) -> int:
    return len(json.dumps(value, default=str))


def _claims(handler: Handler, given: Mapping[str, Any], adopt: bool) -> Mapping[Key, Want]:
    """Return a handler's claims. Those of a request that adopts say so, also to a handler that can
    take over: the leave goes with them if the request is cancelled."""
    if not adopt:
        return handler.claims(given)
    wants = _taking(handler, given)
    return {key: {**want, ADOPTS: True} for key, want in wants.items()}


def _taking(handler: Handler, given: Mapping[str, Any]) -> Mapping[Key, Want]:
    if "adopt" in given:
        return handler.claims(given)
    try:
        return handler.claims({**given, "adopt": True})
    except InvalidRequest as fault:
        if fault.field != "adopt":
            raise
    return handler.claims(given)
