"""What this app adds to ColdFront's own pages: the status of an allocation's or project's users.

Promises: a few queries, for any number of users; at most `MOST` lines, with users who are not ready
first. Leaves out: the layout (templates), and error handling (`templatetags`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from coldfront.core.allocation.models import Allocation
from django.contrib.auth.models import User

from provisioner.coldfront.answering import answers, stands
from provisioner.coldfront.answering.answers import Part
from provisioner.coldfront.asking import earlier, mapping, options, snapshots
from provisioner.coldfront.pages import access, words

MOST = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One user of one allocation.

    cells: the state of each step, None if the user has no such step; number: the request that
    determines the status; since: when it was made, if the user is not ready.
    """

    user: str
    name: str
    where: str
    allocation: int
    look: words.Look
    ready: bool
    text: str
    cells: tuple[words.Look | None, ...] = ()
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


@dataclass(frozen=True, slots=True)
class Section:
    """The content of a section.

    columns: headings of the lines' cells; notes: what is missing, in words for this reader; more:
    the number of lines that were left out; unready: the number of users who are not ready; causes:
    of all lines that are not ready, each once; unused: attributes that no request uses, for staff;
    help: where readers other than staff ask, a page or a mail address.
    """

    role: access.Role
    lines: tuple[Line, ...]
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    more: int = 0
    unready: int = 0
    causes: tuple[Cause, ...] = ()
    unused: tuple[str, ...] = ()
    help: str = ""


def of_allocation(user: Any, allocation: Any) -> Section | None:
    """Return the status of an allocation's users; None if this reader may see none of it."""
    section = _section(user, allocation.project, [allocation], columns=True)
    if section is None or section.role != "staff":
        return section
    unused: list[str] = []
    notes = list(section.notes)
    for facts in snapshots.allocations([allocation.pk]):
        unused += mapping.unused(facts, options.mapping())
        kept, code = facts.project.kept, facts.project.code
        if kept and code and kept != code:
            notes.append(
                f"ColdFront now calls the project {code}; its requests keep the name {kept},"
                " because the backends use it."
            )
    return replace(section, unused=tuple(unused), notes=tuple(notes))


def of_project(user: Any, project: Any) -> Section | None:
    """Return the status of a project's users in its allocations; None if this reader sees none."""
    rows = Allocation.objects.filter(project=project).order_by("pk")
    return _section(user, project, list(rows), columns=False)


def _section(
    user: Any, project: Any, allocations: Sequence[Any], *, columns: bool
) -> Section | None:
    role = access.role(user, project)
    if role == "none":
        return None
    keys = {mapping.key_of("allocation", row.pk): row.pk for row in allocations}
    requests = stands.of(keys)
    names = _with_numbers(snapshots.resource_names(list(keys.values())))
    notes = _notes(role, keys, names)
    standings = sorted(stands.read(requests, done=True).items(), key=_first)
    if role == "member":
        standings = [standing for standing in standings if standing[0][1] == user.username]
    if not standings and not notes:
        return None
    shown = standings[:MOST]
    people = _full_names([user_name for (_, user_name), _ in shown])
    heads = dict.fromkeys(head for _, standing in shown for head in _cells(role, standing.parts))
    chosen = tuple(heads) if columns else ()
    lines = tuple(
        _line(role, at, standing, names.get(at[0], ""), people.get(at[1], ""), chosen)
        for at, standing in shown
    )
    waiting = (answers.WAITING, answers.FAILED)
    unready = len(
        {user_name for (_, user_name), standing in standings if standing.stand.state in waiting}
    )
    return Section(
        role=role,
        lines=lines,
        columns=chosen,
        notes=notes,
        more=len(standings) - len(shown),
        unready=unready,
        causes=_causes(lines),
        help=options.help_address() if unready and role != "staff" else "",
    )


def _causes(lines: Sequence[Line]) -> tuple[Cause, ...]:
    gathered: dict[str, list[Line]] = {}
    for line in lines:
        if not line.ready:
            todo = f". What to do: {line.advice}" if line.advice else ""
            gathered.setdefault(f"{line.message}{todo}" if line.message else line.text, []).append(
                line
            )
    return tuple(
        Cause(tuple(line.user for line in some), text, some[0].number, some[0].since)
        for text, some in gathered.items()
    )


def _with_numbers(names: dict[int, str]) -> dict[int, str]:
    """Return the names, with the allocation's number if several allocations are on one resource."""
    count = Counter(names.values())
    return {pk: name if count[name] == 1 else f"{name} #{pk}" for pk, name in names.items()}


_STOPPED = ("failed", "cancelled")
_ORDER = (answers.FAILED, answers.WAITING, answers.CLOSED, answers.READY)


def _first(found: tuple[tuple[int, str], stands.UserStand]) -> tuple[int, str, int]:
    (where, who), one = found
    return _ORDER.index(one.stand.state), who, where


def _full_names(names: Sequence[str]) -> dict[str, str]:
    rows = User.objects.filter(username__in=set(names))
    return {row.username: row.get_full_name() for row in rows}


def _notes(role: access.Role, keys: dict[str, int], names: dict[int, str]) -> tuple[str, ...]:
    """Return what has to be filled in: for staff each problem, for managers only that there is one.

    Members get no notes.
    """
    if role == "member":
        return ()
    notes = []
    for key, row in sorted(earlier.last(keys).items()):
        where = names.get(keys[key]) or f"allocation {keys[key]}"
        if role == "staff":
            notes += [f"{where}: {problem}" for problem in row.problems]
        elif row.problems:
            notes.append(f"{where}: the centre's staff still have to fill something in.")
    return tuple(notes)


def _cells(role: access.Role, parts: Sequence[Part]) -> dict[str, words.Look]:
    """Return the state of each step, by its name and backend for staff, or by what it makes."""
    if role == "staff":
        return {f"{part.name} ({part.handler})": words.of_step(part.state) for part in parts}
    cells = {}
    for thing in words.things(parts, options.words()):
        head = thing.name.removeprefix("the ")
        cells[f"{head[:1].upper()}{head[1:]}"] = words.of_step(thing.state)
    return cells


def _line(
    role: access.Role,
    at: tuple[int, str],
    standing: stands.UserStand,
    where: str,
    name: str,
    columns: Sequence[str],
) -> Line:
    allocation, user = at
    cells = _cells(role, standing.parts)
    staff = role == "staff"
    return Line(
        user=user,
        name=name,
        where=where,
        allocation=allocation,
        look=words.of_stand(standing.stand.state, staff=staff),
        ready=standing.stand.state == answers.READY,
        text=_text(standing.stand, standing.parts),
        cells=tuple(cells.get(column) for column in columns),
        message=standing.stand.message if staff else "",
        advice=standing.stand.advice if staff else "",
        number=standing.about if staff else 0,
        since=None if standing.stand.state in (answers.READY, answers.CLOSED) else standing.since,
    )


def _text(stand: answers.Stand, parts: Sequence[Part]) -> str:
    """Return, in plain words, what is ready and what is not."""
    if stand.state == answers.READY:
        return "Everything is ready."
    if stand.state == answers.CLOSED:
        return "Access is closed, because the allocation is not active. Nothing was deleted."
    text = words.sentence(parts, options.words())
    if stand.state == answers.FAILED and not any(p.state in _STOPPED for p in parts):
        return f"{text} The rest failed; the centre's staff can see why.".lstrip()
    if stand.state == answers.WAITING and all(part.state == "done" for part in parts):
        return f"{text} The rest has not started yet.".lstrip()
    return text
