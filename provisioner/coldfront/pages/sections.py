"""What this app adds to ColdFront's own pages: how the users of an allocation or project stand.

Promises: a few queries, however many users; at most `MOST` lines, those first that are not ready.
Leaves out: how it looks (templates), and what may go wrong on the way (`templatetags`).
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

    cells: how each step stands, None where the user has no such step; number: the request that
    says so; since: when that was asked for, where it is not ready.
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
    """What keeps some users from being ready.

    number: the first request that says so; since: when that was asked for.
    """

    users: tuple[str, ...]
    text: str
    number: int = 0
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """What is shown. columns: heads of the lines' cells; notes: what is missing, for this reader.

    more: lines that were left out; unready: users who are not ready; causes: of all the lines that
    are not ready, each once; unused: attributes that
    nothing says which is asked for, for staff; help: where others ask, a page or a mail address.
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
    """Say how an allocation's users stand; None: nothing of it is for this reader."""
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
                f"ColdFront calls the project {code} by now; it stays {kept}, as what it has is"
                " called so."
            )
    return replace(section, unused=tuple(unused), notes=tuple(notes))


def of_project(user: Any, project: Any) -> Section | None:
    """Say how a project's users stand in its allocations; None: nothing is for this reader."""
    rows = Allocation.objects.filter(project=project).order_by("pk")
    return _section(user, project, list(rows), columns=False)


def _section(
    user: Any, project: Any, allocations: Sequence[Any], *, columns: bool
) -> Section | None:
    role = access.role(user, project)
    if role == "none":
        return None
    keys = {mapping.key_of("allocation", one.pk): one.pk for one in allocations}
    asked = stands.of(keys)
    names = _told_apart(snapshots.resource_names(list(keys.values())))
    notes = _notes(role, keys, names)
    found = sorted(stands.read(asked, done=True).items(), key=_first)
    if role == "member":
        found = [one for one in found if one[0][1] == user.username]
    if not found and not notes:
        return None
    shown = found[:MOST]
    people = _full_names([who for (_, who), _ in shown])
    heads = dict.fromkeys(head for _, one in shown for head in _cells(role, one.parts))
    chosen = tuple(heads) if columns else ()
    lines = tuple(
        _line(role, at, one, names.get(at[0], ""), people.get(at[1], ""), chosen)
        for at, one in shown
    )
    waiting = (answers.WAITING, answers.FAILED)
    unready = len({who for (_, who), one in found if one.stand.state in waiting})
    return Section(
        role=role,
        lines=lines,
        columns=chosen,
        notes=notes,
        more=len(found) - len(shown),
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


def _told_apart(names: dict[int, str]) -> dict[int, str]:
    """Add the number of each allocation where several are on one resource."""
    count = Counter(names.values())
    return {pk: name if count[name] == 1 else f"{name} #{pk}" for pk, name in names.items()}


_STOPPED = ("failed", "cancelled")
_ORDER = (answers.FAILED, answers.WAITING, answers.CLOSED, answers.READY)


def _first(found: tuple[tuple[int, str], stands.Found]) -> tuple[int, str, int]:
    (where, who), one = found
    return _ORDER.index(one.stand.state), who, where


def _full_names(names: Sequence[str]) -> dict[str, str]:
    rows = User.objects.filter(username__in=set(names))
    return {row.username: row.get_full_name() for row in rows}


def _notes(role: access.Role, keys: dict[str, int], names: dict[int, str]) -> tuple[str, ...]:
    """Say what is missing before something can be asked for; staff are told what, others that."""
    if role == "member":
        return ()
    found = []
    for key, row in sorted(earlier.last(keys).items()):
        where = names.get(keys[key]) or f"allocation {keys[key]}"
        if role == "staff":
            found += [f"{where}: {problem}" for problem in row.problems]
        elif row.problems:
            found.append(f"{where}: the centre's staff still have to fill something in.")
    return tuple(found)


def _cells(role: access.Role, parts: Sequence[Part]) -> dict[str, words.Look]:
    """Say how each step stands: by its name and backend for staff, for others by what it makes."""
    if role == "staff":
        return {f"{part.name} ({part.handler})": words.of_step(part.state) for part in parts}
    found = {}
    for one in words.things(parts, options.words()):
        head = one.name.removeprefix("the ")
        found[f"{head[:1].upper()}{head[1:]}"] = words.of_step(one.state)
    return found


def _line(
    role: access.Role,
    at: tuple[int, str],
    found: stands.Found,
    where: str,
    name: str,
    columns: Sequence[str],
) -> Line:
    allocation, user = at
    cells = _cells(role, found.parts)
    staff = role == "staff"
    return Line(
        user=user,
        name=name,
        where=where,
        allocation=allocation,
        look=words.of_stand(found.stand.state, staff=staff),
        ready=found.stand.state == answers.READY,
        text=_text(found.stand, found.parts),
        cells=tuple(cells.get(column) for column in columns),
        message=found.stand.message if staff else "",
        advice=found.stand.advice if staff else "",
        number=found.about if staff else 0,
        since=None if found.stand.state in (answers.READY, answers.CLOSED) else found.since,
    )


def _text(stand: answers.Stand, parts: Sequence[Part]) -> str:
    """Say in plain words what is ready and what is not."""
    if stand.state == answers.READY:
        return "Everything is ready."
    if stand.state == answers.CLOSED:
        return "Access is closed, as the allocation is not active; nothing was deleted."
    said = words.sentence(parts, options.words())
    if stand.state == answers.FAILED and not any(p.state in _STOPPED for p in parts):
        return f"{said} The rest could not be made, and the centre's staff see why.".lstrip()
    if stand.state == answers.WAITING and all(part.state == "done" for part in parts):
        return f"{said} The rest was asked for, and is not begun yet.".lstrip()
    return said
