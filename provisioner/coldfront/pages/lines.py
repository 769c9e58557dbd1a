"""One user of one allocation as a page shows them, and the causes of what is not ready.

Promises: a reader who is not staff reads plain words, without backends and their messages. Leaves
out: which lines a page shows (`sections`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format

from provisioner.coldfront.answering import answers, stands
from provisioner.coldfront.answering.answers import Part
from provisioner.coldfront.asking import options
from provisioner.coldfront.models import Request
from provisioner.coldfront.pages import access, people, words

_STOPPED = ("failed", "cancelled")
INACTIVE = "the allocation is not active"

_EACH = 10
"""The number of users that a cause names; of more, it gives the number."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The state of one step of a user. head: of its column; look: None if there is no such step."""

    head: str
    look: words.Look | None


@dataclass(frozen=True, slots=True)
class Line:
    """One user of one allocation.

    cells: one for each column; number: the request that
    determines the status; since: when it was made, if the user is not ready.
    """

    user: str
    name: str
    where: str
    allocation: int
    look: words.Look
    state: str
    text: str
    cells: tuple[Cell, ...] = ()
    message: str = ""
    advice: str = ""
    number: int = 0
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """The reason why some users are not ready.

    number: the first request with this reason; since: when it was made.
    """

    users: tuple[str, ...]
    text: str
    number: int = 0
    since: datetime | None = None
    failed: bool = False

    @property
    def whose(self) -> str:
        """Return whom it concerns: the users, or how many there are."""
        if len(self.users) > _EACH:
            return f"{len(self.users)} users"
        return ", ".join(self.users)


@dataclass(frozen=True, slots=True)
class About:
    """What a line needs beside the user's status.

    names: of resources; full: full names of people; ended: why each allocation has ended, if it
    has; one that is not there was deleted.
    """

    role: access.Role
    names: Mapping[int, str]
    full: Mapping[str, str]
    ended: Mapping[int, str]


def line(
    about: About, at: tuple[int, str], standing: stands.UserStand, columns: Sequence[str]
) -> Line:
    """Return a user's line. at: the allocation and the user name; columns: headings of cells."""
    allocation, user = at
    stand, staff = standing.stand, about.role == "staff"
    shown = cells(about.role, standing.parts)
    told = staff and stand.state != answers.CLOSED
    return Line(
        user=user,
        name=about.full.get(user, ""),
        where=about.names.get(allocation, ""),
        allocation=allocation,
        look=words.of_stand(stand.state, staff=staff),
        state=stand.state,
        text=_text(about, allocation, standing),
        cells=tuple(Cell(column, shown.get(column)) for column in columns),
        message=stand.message if told else "",
        advice=stand.advice if told else "",
        number=standing.about if told else 0,
        since=None if stand.state in (answers.READY, answers.CLOSED) else standing.since,
    )


def cells(role: access.Role, parts: Sequence[Part]) -> dict[str, words.Look]:
    """Return the state of each step, by its name and backend for staff, or by what it makes."""
    if role == "staff":
        return {f"{part.name} ({part.handler})": words.of_step(part.state) for part in parts}
    shown = {}
    for thing in words.things(parts, options.words()):
        head = thing.name.removeprefix("the ")
        shown[f"{head[:1].upper()}{head[1:]}"] = words.of_step(thing.state)
    return shown


def causes(lines: Sequence[Line]) -> tuple[Cause, ...]:
    """Return each reason why users are not ready once, with its users."""
    gathered: dict[tuple[str, bool], list[Line]] = {}
    for item in lines:
        if item.state != answers.READY:
            todo = f". What to do: {item.advice}" if item.advice else ""
            text = f"{item.message}{todo}" if item.message else item.text
            text = text if text.endswith((".", "!", "?")) else f"{text}."
            gathered.setdefault((text, item.state == answers.FAILED), []).append(item)
    return tuple(
        Cause(
            tuple(dict.fromkeys(item.user for item in some)),
            text,
            some[0].number,
            some[0].since,
            failed,
        )
        for (text, failed), some in gathered.items()
    )


def _text(about: About, allocation: int, standing: stands.UserStand) -> str:
    """Return, in plain words, what is ready and what is not."""
    stand, parts = standing.stand, standing.parts
    if stand.state == answers.READY:
        return "Everything is ready."
    if stand.state == answers.CLOSED and standing.shut is None:
        return f"Access is closed: {stand.message}. Nothing was deleted."
    if stand.state == answers.CLOSED:
        why = _ended(about, allocation, standing.shut)
        return f"Access is closed: {why}. Nothing was deleted."
    if standing.moving is not None:
        return _moving(about, allocation, standing)
    text = words.sentence(parts, options.words())
    if stand.state == answers.FAILED and not any(p.state in _STOPPED for p in parts):
        return f"{text} The rest failed; the centre's staff can see why.".lstrip()
    if stand.state == answers.WAITING and all(part.state == "done" for part in parts):
        return f"{text} The rest has not started yet.".lstrip()
    return text


def _moving(about: About, allocation: int, standing: stands.UserStand) -> str:
    """Return, in plain words, that an allocation is not closed or not open again yet."""
    request, state = standing.moving, standing.stand.state
    assert request is not None
    if request.action == "allocation.suspend":
        text = f"Access is not closed: {_ended(about, allocation, request)}"
    else:
        text = "Access was closed, and is not given back yet"
    if state == answers.FAILED:
        return f"{text}. The change failed; the centre's staff can see why."
    if request.state == "held":
        return f"{text}. The change waits for the centre's staff."
    return f"{text}. The change was asked for."


def _ended(about: About, allocation: int, request: Request | None) -> str:
    """Return why an allocation ends, since when, and, except to its users, by whom."""
    why = about.ended.get(allocation, "the allocation is deleted")
    if request is None:
        return why
    by = f" by {people.called(request.by, about.full)}" if request.by else ""
    since = date_format(timezone.localtime(request.created))
    return f"{why}, since {since}{by if about.role != 'member' else ''}"
