"""Standing: how every person stands with regard to `idle`, read from sources and journal.

Promises: writes nothing, so that the command shows what a round would do. What cannot be decided
about a person or for everybody is a problem, and then nobody is closed. Leaves out: warning and
closing (`rounds`).
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterable
from dataclasses import dataclass, replace

from provisioner.config.idle import ExemptConfig
from provisioner.contract import Fault, validation
from provisioner.idle import sources
from provisioner.idle.decide import Outcome, Step, decide
from provisioner.idle.sources import Reading, Use
from provisioner.journal.figures import idle as figures
from provisioner.journal.figures.idle import Asked, Kept
from provisioner.journal.journal import Connection
from provisioner.journal.outbox import rights
from provisioner.journal.records import request_rows
from provisioner.objects.states import OPEN, RequestState
from provisioner.request import crowds
from provisioner.request.documents import InvalidDocument
from provisioner.system import users
from provisioner.wiring import System

_ALL = 1_000_000


@dataclass(frozen=True, slots=True)
class Person:
    """How one person stands. exempt: why they are never closed, '' if they may be; asked: the
    request that closes them, while it is open; closed: since when they are closed for this; again:
    a source that opens people saw them since."""

    name: str
    since: float
    use: Use | None
    kept: Kept
    outcome: Outcome
    exempt: str = ""
    asked: Asked | None = None
    closed: float | None = None
    again: bool = False

    @property
    def step(self) -> Step:
        """What follows for them."""
        return Step.NONE if self.exempt else self.outcome.step


@dataclass(frozen=True, slots=True)
class Look:
    """All people, and why nobody may be closed."""

    people: tuple[Person, ...]
    problems: tuple[str, ...]


def writer() -> str:
    """Return the name under which the service asks."""
    return users.user_name(os.geteuid())


def look(system: System, now: float) -> Look:
    """Read all sources, and return how everybody stands. now: seconds since the epoch."""
    with system.journal.reading() as conn:
        served = figures.people(conn)
    reading = sources.read(system, served, now)
    with system.journal.reading() as conn:
        return _look(system, conn, reading, now)


def _look(system: System, conn: Connection, reading: Reading, now: float) -> Look:
    settings, problems = system.config.idle, list(reading.problems)
    served, out = figures.people(conn), figures.suspended(conn)
    known, closed = figures.kept(conn), figures.closings(conn, writer(), figures.CAUSE)
    ids = [one.asked for one in known.values() if one.asked]
    asked = figures.asked(conn, writer(), ids)
    heard = figures.taken(conn, [one.message for one in known.values() if one.message])
    exempt = Exempt(conn, settings.exempt, served)
    problems += exempt.problems()
    found: list[Person] = []
    for name, since in sorted(served.items()):
        kept = known.get(name, Kept(name))
        if kept.message in heard:
            kept = replace(kept, heard=True)
        request = asked.get(kept.asked or "")
        kept = _followed(kept, request, name in closed, now)
        use = reading.uses.get(name)
        outcome = decide(settings, use.at if use else None, since, kept, now)
        person = Person(name, since, use, kept, outcome)
        if name in closed:
            again = reading.again.get(name)
            back = again is not None and again.noted > closed[name]
            person = replace(person, closed=closed[name], again=back)
        elif name in out:
            continue  # somebody else has closed them
        elif outcome.step is not Step.NONE:
            why, doubt = exempt.of(name)
            problems += [doubt] if doubt else []
            still = request if request is not None and request.state in OPEN else None
            person = replace(person, exempt=why, asked=still)
        found.append(person)
        refused = request is not None and request.state == RequestState.REFUSED
        if request is not None and refused and person.step is Step.CLOSE:
            problems.append(f"the closing of {name} was refused: provisioner show {request.id}")
    closing = [one for one in found if one.step is Step.CLOSE and one.closed is None]
    if len(closing) > settings.cap:
        problems.append(
            f"{len(closing)} people would be closed, more than the {settings.cap} of `idle.cap`; "
            "look at them: provisioner idle; then raise it, or exempt people"
        )
    return Look(tuple(found), tuple(problems))


def _followed(kept: Kept, request: Asked | None, closed: bool, now: float) -> Kept:
    """Return what is known of a person after what became of the request that closes them."""
    if kept.asked is None or closed or request is None:
        return kept
    clean = Kept(kept.person)
    match request.state:
        case RequestState.CANCELLED:
            return replace(clean, spared=request.ended or now)
        case RequestState.SUPERSEDED if not request.began:
            # It was judged too late: the warnings stand, and a round asks again.
            return replace(kept, asked=None)
        case RequestState.DONE | RequestState.FAILED | RequestState.SUPERSEDED:
            return replace(clean, spared=now)  # somebody has opened them since
        case _:
            return kept


class Exempt:
    """Who is exempt, looked up for those whom it would matter for."""

    def __init__(self, conn: Connection, config: ExemptConfig, served: Iterable[str]) -> None:
        self._conn = conn
        self._config = config
        self._served = set(served)
        self._codes = {code.casefold() for code in config.projects}

    def problems(self) -> list[str]:
        """Return what is wrong with the names themselves: nobody knows whom they mean."""
        wrong = [
            f"idle.exempt.people: {name!r} is nobody who is served{_near(name, self._served)}"
            for name in self._config.people
            if name not in self._served
        ]
        for group in self._config.groups:
            try:
                grp.getgrnam(group)
            except KeyError:
                wrong.append(f"idle.exempt.groups: this host knows no group {group!r}")
        return wrong

    def of(self, name: str) -> tuple[str, str]:
        """Return why a person is exempt, '' if they are not; and what is in doubt about it."""
        if name in self._config.people:
            return "named", ""
        if self._config.groups:
            try:
                user = pwd.getpwnam(name)
                numbers = set(os.getgrouplist(name, user.pw_gid))
            except (KeyError, OSError):
                # Such a person may be in any group.
                return "this host does not know their groups", ""
            for group in self._config.groups:
                try:
                    if grp.getgrnam(group).gr_gid in numbers:
                        return f"in group {group}", ""
                except KeyError:
                    return f"there is no group {group}", ""
        return self._project_of(name) if self._codes else ("", "")

    def _project_of(self, name: str) -> tuple[str, str]:
        ids = rights.projects_of(self._conn, name, _ALL)
        for record in request_rows.load(self._conn, ids).values():
            try:
                values = crowds.whole(record.body, record.listed).values
            except (InvalidDocument, Fault):
                return "", f"{record.id} of {name} cannot be read: whose project is it?"
            code = str((values.get("project") or {}).get("code") or "")
            if code.casefold() in self._codes:
                return f"in project {code}", ""
        return "", ""


def _near(name: str, known: Iterable[str]) -> str:
    near = validation.nearest(name, known)
    return f"; did you mean {near!r}?" if near else ""
