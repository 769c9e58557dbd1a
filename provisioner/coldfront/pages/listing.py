"""The staff's list: which requests, and what is said of each.

Promises: the number of queries does not grow with what is shown. Leaves out: who may see it
(`access`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coldfront.core.allocation.models import Allocation
from coldfront.core.project.models import Project, ProjectUser
from django import forms
from django.db.models import Case, Count, Exists, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce

from provisioner.coldfront.asking import outbox
from provisioner.coldfront.models import INCOMPLETE, NEW, OPEN, PROMISED, Request, Standing, Step
from provisioner.coldfront.pages import controls, words

ATTENTION = "attention"
PAGE = 50
_WRONG = ("failed", "refused", INCOMPLETE)


_ASKED_BACK = ("release", "cancel")
"""Verbs whose effect nobody takes back by another button."""


class Filter(forms.Form):
    """What is looked for; without anything: what was said last of each subject."""

    state = forms.ChoiceField(
        required=False,
        choices=[
            ("", "Any"),
            (ATTENTION, "Needs somebody"),
            *((name, label) for name, (label, _) in words.GROUPS.items()),
        ],
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    project = forms.CharField(
        required=False,
        max_length=255,
        label="Project (title, code or number)",
        widget=forms.TextInput(attrs={"class": "form-control"}),
    )
    user = forms.CharField(
        required=False,
        max_length=150,
        label="User",
        widget=forms.TextInput(attrs={"class": "form-control"}),
    )
    earlier = forms.BooleanField(
        required=False,
        label="Earlier requests, too",
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )


@dataclass(frozen=True, slots=True)
class Button:
    """What may be asked of a request. asked_back: on the request's own page alone, beside what it
    is about and a reason."""

    verb: str
    label: str
    colour: str
    asked_back: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A request as the list shows it.

    why: what is wrong or waited for; notes: what to fill in; digest: that of the request which the
    service answered for, to be said again by who releases it; '' where it did not say.
    """

    row: Request
    id: str
    look: words.Look
    what: str
    why: str
    advice: str
    notes: tuple[str, ...]
    buttons: tuple[Button, ...]
    digest: str
    control: str
    project: Project | None
    allocation: int | None


def requests(asked: Mapping[str, Any]) -> QuerySet[Request]:
    """Choose the requests that a filter asks for: what is wrong first, then what is held, then the
    rest, the newest first of each; with earlier ones by time alone."""
    rows = _with_digest(_all())
    if not asked.get("earlier"):
        rows = rows.filter(newest=True)
    rows = rows.filter(_in_state(asked.get("state") or ""))
    if asked.get("project"):
        rows = rows.filter(project__in=_projects(asked["project"]).values("pk"))
    if asked.get("user"):
        rows = rows.filter(_about(asked["user"]))
    if asked.get("earlier"):
        return rows.order_by("-number")
    rank = Case(When(_wrong(), then=Value(0)), When(state="held", then=Value(1)), default=Value(2))
    return rows.annotate(rank=rank).order_by("rank", "-number")


def one(number: int) -> Request | None:
    """Find one request."""
    found: Request | None = _with_digest(_all()).filter(pk=number).first()
    return found


def counts() -> Sequence[tuple[str, str, int]]:
    """Count what was said last of each subject: (name, label, number), where there are any."""
    rows = _all().filter(newest=True).order_by().values("state").annotate(count=Count("pk"))
    by_state = {row["state"]: row["count"] for row in rows}
    found = [
        (name, label, sum(by_state.get(state, 0) for state in states))
        for name, (label, states) in words.GROUPS.items()
    ]
    needed = _all().filter(_in_state(ATTENTION), newest=True).count()
    return [(ATTENTION, "Needs somebody", needed), *(one for one in found if one[2])]


def entries(rows: Sequence[Any], person: str) -> list[Entry]:
    """Say of requests all that the list shows.

    person: who looks at it; a release is offered to nobody who caused the request, or one before it
    that was not done, which it says again.
    """
    told = Step.objects.in_bulk([row.told for row in rows if row.told])
    titles = Project.objects.in_bulk({row.project for row in rows if row.project})
    there = set(
        Allocation.objects.filter(pk__in={row.allocation for row in rows if row.allocation})
        .values_list("pk", flat=True)
    )  # fmt: skip
    asked = Request.objects.filter(of__in=[row.pk for row in rows]).defer("body", "answer")
    steered = {one.of: one for one in asked.order_by("number")}
    askers = _askers(rows)
    return [
        _entry(
            row,
            told.get(row.told),
            steered.get(row.pk),
            titles.get(row.project),
            row.allocation if row.allocation in there else None,
            person in askers.get(row.pk, ()),
        )
        for row in rows
    ]


def _all() -> QuerySet[Any]:
    newer = Request.objects.filter(key=OuterRef("key"), number__gt=OuterRef("number"))
    steps = Step.objects.filter(request=OuterRef("pk")).order_by("pk").values("pk")
    wrong = steps.filter(state__in=("failed", "cancelled"))
    rows = Request.objects.exclude(digest="", action="").filter(of=None).exclude(state=PROMISED)
    return rows.defer("body", "answer").annotate(
        newest=~Exists(newer.exclude(digest="", action="").exclude(state=PROMISED)),
        told=Coalesce(
            Subquery(wrong.exclude(message="")[:1]),
            Subquery(wrong[:1]),
            Subquery(steps.exclude(message="")[:1]),
        ),
    )


def _askers(rows: Sequence[Any]) -> dict[int, set[str]]:
    """Name for each row that is held who asked for it, or for the same since it was done last."""
    held = [row for row in rows if row.state == "held"]
    same = Request.objects.filter(key__in={row.key for row in held}, of=None).order_by("number")
    by_key: dict[str, list[Request]] = {}
    for one in same.only("number", "key", "action", "state", "by"):
        by_key.setdefault(one.key, []).append(one)
    found: dict[int, set[str]] = {}
    for row in held:
        before = [one for one in by_key[row.key] if one.number <= row.number]
        done = [one.number for one in before if (one.action, one.state) == (row.action, "done")]
        found[row.pk] = {one.by for one in before if one.number > max(done, default=-1)}
    return found


def _with_digest(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.annotate(answered_digest=KeyTextTransform("digest", "answer"))


def _wrong() -> Q:
    return Q(state__in=_WRONG) | (Q(state=NEW) & ~Q(error="")) | ~Q(problems=[])


def _about(user: str) -> Q:
    """Choose what is of a user, of an allocation or of a project that they are in."""
    there = Standing.objects.filter(user__icontains=user).values("allocation")
    projects = ProjectUser.objects.filter(user__username__icontains=user).values("project")
    of_project = Q(action__startswith="project.", project__in=projects)
    return Q(user__icontains=user) | Q(allocation__in=there) | of_project


def _in_state(name: str) -> Q:
    if name == ATTENTION:
        return _wrong() | Q(state="held")
    if name in words.GROUPS:
        return Q(state__in=words.GROUPS[name][1])
    return Q()


def _projects(text: str) -> QuerySet[Project]:
    found = Q(title__icontains=text) | Q(project_code__iexact=text)
    number = text.removeprefix("#")
    if number.isascii() and number.isdigit() and len(number) < 10:
        found |= Q(pk=int(number))
    return Project.objects.filter(found)


def _entry(
    row: Any,
    told: Step | None,
    control: Request | None,
    project: Any,
    allocation: int | None,
    own: bool,
) -> Entry:
    look = words.of_request(row.state, row.error)
    what = why = advice = ""
    if told is not None and row.state not in ("done", "superseded"):
        whose = f", {told.user}" if told.user else ""
        what = f"{told.name} ({told.handler}{whose})" if told.handler else f"{told.name}{whose}"
        why, advice = told.message or told.state, told.advice
    elif row.state not in ("done",):
        why, advice = row.error, row.advice
    open_control = control is not None and control.state in (NEW, *OPEN)
    verbs = controls.sensible(row.state, newest=row.newest, asked=open_control)
    verbs = tuple(verb for verb in verbs if verb != "release" or not own)
    return Entry(
        row=row,
        id=outbox.request_id(row.number),
        look=look,
        what=what,
        why=why,
        advice=advice or look.advice,
        notes=(
            *map(str, row.problems),
            *([row.error] if row.state == "done" and row.error else []),
        ),
        buttons=tuple(Button(verb, *controls.LABELS[verb], verb in _ASKED_BACK) for verb in verbs),
        digest=row.answered_digest or "",
        control=control_told(control) if control is not None else "",
        project=project,
        allocation=allocation,
    )


def control_told(control: Request) -> str:
    """Say in a line what was asked of a request, by whom, and how that stands."""
    verb = control.action.partition(".")[2]
    look = words.of_request(control.state, control.error)
    because = f": {control.error}" if control.error else ""
    todo = f". What to do: {control.advice}" if control.advice else ""
    return f"{verb}, asked by {control.by}: {look.word}{because}{todo}"
