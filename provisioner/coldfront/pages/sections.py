"""What this app adds to ColdFront's own pages: the status of an allocation's or project's users.

Promises: a few queries, for any number of users; at most `MOST` lines, with users who are not ready
first. Leaves out: one user's line (`lines`), the layout (templates), and error handling
(`templatetags`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from coldfront.core.allocation.models import Allocation
from coldfront.core.project.models import ProjectPermission

from provisioner.coldfront import snapshots
from provisioner.coldfront.answering import answers, news, stands
from provisioner.coldfront.asking import earlier, mapping, options
from provisioner.coldfront.pages import access, lines, missing, people, places
from provisioner.coldfront.pages.lines import Cause, Line
from provisioner.coldfront.pages.missing import Missing
from provisioner.coldfront.pages.places import Place

MOST = 200

ALARMS = 3
"""The number of causes of failures that the top of a page names."""

_LATER = "the centre's staff still have to fill something in."


@dataclass(frozen=True, slots=True)
class Section:
    """The content of a section, and of the notice at the top of its page.

    columns: headings of the lines' cells; missing: what to fill in, in words for this reader;
    approved: nobody has to approve it any more; blocked: nothing new can be set up until it is
    filled in; notes: what staff should know; more: the number of lines that were left out; people:
    of all lines; unready, failed: the number of users who are not ready, and of those for whom
    something failed; causes: of all lines that are not ready, each once; places: where allocations
    are that this reader may use; unused: attributes that no request uses, for staff; help: where
    readers other than staff ask, a page or a mail address; news: how old all this is.
    """

    role: access.Role
    lines: tuple[Line, ...]
    columns: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()
    approved: bool = True
    blocked: bool = False
    notes: tuple[str, ...] = ()
    more: int = 0
    people: int = 0
    unready: int = 0
    failed: int = 0
    causes: tuple[Cause, ...] = ()
    places: tuple[Place, ...] = ()
    unused: tuple[str, ...] = ()
    help: str = ""
    news: news.News = field(default_factory=news.News)

    @property
    def staff(self) -> bool:
        """Return True if the reader is staff."""
        return self.role == "staff"

    @property
    def alarms(self) -> tuple[Cause, ...]:
        """Return the first causes of failures."""
        return tuple(cause for cause in self.causes if cause.failed)[:ALARMS]

    @property
    def waiting(self) -> int:
        """Return the number of users for whom nothing failed and not all is ready yet."""
        return self.unready - self.failed


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
    rows = Allocation.objects.filter(project=project).select_related("status").order_by("pk")
    return _section(user, project, list(rows), columns=False)


def _section(
    user: Any, project: Any, allocations: Sequence[Any], *, columns: bool
) -> Section | None:
    role = _role(user, project)
    if role == "none":
        return None
    by_pk = {row.pk: row for row in allocations}
    requests = stands.of(mapping.key_of("allocation", pk) for pk in by_pk)
    names = _with_numbers(snapshots.resource_names(list(by_pk)))
    gaps = _gaps(role, by_pk)
    standings = sorted(stands.read(requests, done=True).items(), key=_first)
    if role == "member":
        standings = [standing for standing in standings if standing[0][1] == user.username]
    if not standings and not gaps.texts:
        return None
    shown = standings[:MOST]
    full = people.full_names(
        {name for (_, name), _ in shown} | {one.shut.by for _, one in shown if one.shut}
    )
    heads = dict.fromkeys(
        head for _, standing in shown for head in lines.cells(role, standing.parts)
    )
    chosen = tuple(heads) if columns else ()
    about = lines.About(role, names, full, {pk: _ended(row) for pk, row in by_pk.items()})
    drawn = tuple(lines.line(about, at, standing, chosen) for at, standing in shown)
    ready = {pk for (pk, _), standing in standings if standing.stand.state == answers.READY}
    failed = _people_of(standings, answers.FAILED)
    unready = _people_of(standings, answers.FAILED, answers.WAITING)
    return Section(
        role=role,
        lines=drawn,
        columns=chosen,
        missing=missing.linked(gaps.texts, names, user),
        approved=all(by_pk[pk].status.name in mapping.ENTITLED for pk in gaps.texts),
        blocked=bool(gaps.blocked),
        more=len(standings) - len(shown),
        people=len({name for (_, name), _ in standings}),
        unready=len(unready),
        failed=len(failed),
        causes=lines.causes(drawn),
        places=tuple(places.read(ready, names).values()),
        help=options.help_address() if unready and role != "staff" else "",
        news=news.read(),
    )


def _role(user: Any, project: Any) -> access.Role:
    """Return the role in which a user looks at a project, as ColdFront itself shows it."""
    if access.sees(user):
        return "staff"
    held = project.user_permissions(user)
    if ProjectPermission.MANAGER in held or ProjectPermission.PI in held:
        return "manager"
    return "member" if ProjectPermission.USER in held else "none"


def _ended(allocation: Any) -> str:
    """Return why an allocation has ended, if it has."""
    status = allocation.status.name
    return lines.INACTIVE if status in mapping.ENTITLED else f"the allocation is {status}"


_Standing = tuple[tuple[int, str], stands.UserStand]


def _people_of(standings: Sequence[_Standing], *states: str) -> set[str]:
    return {user for (_, user), standing in standings if standing.stand.state in states}


def _with_numbers(names: dict[int, str]) -> dict[int, str]:
    """Return the names, with the allocation's number if several allocations are on one resource."""
    count = Counter(names.values())
    return {pk: name if count[name] == 1 else f"{name} #{pk}" for pk, name in names.items()}


_ORDER = (answers.FAILED, answers.WAITING, answers.CLOSED, answers.READY)


def _first(found: _Standing) -> tuple[int, str, int]:
    (where, who), one = found
    return _ORDER.index(one.stand.state), who, where


def _gaps(role: access.Role, allocations: Mapping[int, Any]) -> missing.Gaps:
    """Return what has to be filled in: for staff each problem, for managers only that there is one.

    Staff see it before they approve an allocation. Members see none of it.
    """
    if role == "member":
        return missing.Gaps({})
    keys = {
        mapping.key_of("allocation", pk): pk
        for pk, row in allocations.items()
        if row.status.name in (*mapping.ENTITLED, *missing.BEFORE)
    }
    told = {keys[key]: row for key, row in sorted(earlier.last(keys).items()) if row.problems}
    if role != "staff":
        return missing.Gaps(dict.fromkeys(told, (_LATER,)))
    now = missing.of_allocations(keys.values())
    texts = {
        pk: (*now.texts.get(pk, ()), *(told[pk].problems if pk in told else ()))
        for pk in sorted({*now.texts, *told})
    }
    return missing.Gaps(texts, now.blocked)
