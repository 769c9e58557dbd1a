"""The staff's list: which requests it shows, and what it shows of each.

Promises: the number of queries does not grow with the number of rows. Leaves out: who may see the
list (`access`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from coldfront.core.allocation.models import Allocation
from coldfront.core.project.models import Project, ProjectUser
from django import forms
from django.db.models import Case, Count, Exists, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce
from django.utils import timezone

from provisioner.coldfront import snapshots, whose
from provisioner.coldfront.answering import news
from provisioner.coldfront.asking import outbox
from provisioner.coldfront.models import (
    INCOMPLETE,
    NEW,
    OPEN,
    UNHEARD,
    Request,
    Standing,
    Step,
)
from provisioner.coldfront.pages import controls, missing, people, words

ATTENTION = "attention"
PAGE = 50
_WRONG = ("failed", "refused", INCOMPLETE, UNHEARD)


_IRREVERSIBLE = ("release", "cancel")
"""Verbs whose effect no other button undoes."""


class Filter(forms.Form):
    """The filter of the list; an empty filter shows the last request of each subject."""

    state = forms.ChoiceField(
        required=False,
        choices=[
            ("", "Any"),
            (ATTENTION, "Needs attention"),
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
        label="Include earlier requests",
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )


@dataclass(frozen=True, slots=True)
class Button:
    """A button for a request.

    needs_confirmation: it works only on the request's own page, which shows the details and asks
    for a reason.
    """

    verb: str
    label: str
    colour: str
    needs_confirmation: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A request as the list shows it.

    title: its subject as people call it; by: the person who caused it, with the full name; why: the
    error, or the reason to wait; notes: what to fill in; digest: of the request in the
    service's answer, which a release repeats, or ''; own: why the reader may not release it, or ''.
    """

    row: Request
    id: str
    look: words.Look
    what: str
    why: str
    advice: str
    notes: tuple[missing.Missing, ...]
    buttons: tuple[Button, ...]
    digest: str
    control: str
    project: Project | None
    allocation: int | None
    title: str
    by: str
    own: str

    @property
    def told(self) -> bool:
        """Return True if there is anything to say of the request beside its state."""
        return bool(self.what or self.why or self.advice or self.notes or self.control)


def requests(choice: Mapping[str, Any]) -> QuerySet[Request]:
    """Return the requests that match a filter.

    Failures come first, then held requests, then the others, each the newest first. With earlier
    requests included, the newest is first.
    """
    rows = _with_digest(_all())
    if not choice.get("earlier"):
        rows = rows.filter(newest=True)
    rows = rows.filter(_in_state(choice.get("state") or ""))
    if choice.get("project"):
        rows = rows.filter(project__in=_projects(choice["project"]).values("pk"))
    if choice.get("user"):
        rows = rows.filter(_about(choice["user"]))
    if choice.get("earlier"):
        return rows.order_by("-number")
    rank = Case(When(_wrong(), then=Value(0)), When(state="held", then=Value(1)), default=Value(2))
    return rows.annotate(rank=rank).order_by("rank", "-number")


def find(number: int) -> Request | None:
    """Return one request, or None."""
    row: Request | None = _with_digest(_all()).filter(pk=number).first()
    return row


def counts() -> Sequence[tuple[str, str, int]]:
    """Return (name, label, count) of each group of states, counting each subject's last request.

    Groups without requests are left out, except the group that needs attention.
    """
    rows = _all().filter(newest=True).order_by().values("state").annotate(count=Count("pk"))
    by_state = {row["state"]: row["count"] for row in rows}
    groups = [
        (name, label, sum(by_state.get(state, 0) for state in states))
        for name, (label, states) in words.GROUPS.items()
    ]
    needed = _all().filter(_in_state(ATTENTION), newest=True).count()
    return [(ATTENTION, "Needs attention", needed), *(group for group in groups if group[2])]


def entries(rows: Sequence[Any], user: Any) -> list[Entry]:
    """Return what the list shows of each request.

    user: the reader, who gets no release button for a request of their own (`whose`).
    """
    shown_steps = Step.objects.in_bulk([row.shown_step for row in rows if row.shown_step])
    titles = Project.objects.in_bulk({row.project for row in rows if row.project})
    there = set(
        Allocation.objects.filter(pk__in={row.allocation for row in rows if row.allocation})
        .values_list("pk", flat=True)
    )  # fmt: skip
    steering = Request.objects.filter(of__in=[row.pk for row in rows]).defer("body", "answer")
    steered = {control.of: control for control in steering.order_by("number")}
    own = whose.own(user.get_username(), [row for row in rows if row.state == "held"])
    full = people.full_names({name for row in rows for name in (row.user, row.by)})
    resources = snapshots.resource_names(there)
    return [
        replace(
            _entry(
                row,
                shown_steps.get(row.shown_step),
                steered.get(row.pk),
                user,
                own.get(row.pk, ""),
            ),
            project=titles.get(row.project),
            allocation=row.allocation if row.allocation in there else None,
            title=_title(row, resources, full),
            by=people.called(row.by, full),
        )
        for row in rows
    ]


def _title(row: Any, resources: Mapping[int, str], full: Mapping[str, str]) -> str:
    """Return what people call the subject of a request; '' if only its project has a name."""
    kind = (row.subject or row.key).replace("-", ":").partition(":")[0]
    if kind == "user":
        return people.called(row.user, full)
    if kind == "allocation" and row.allocation in resources:
        return f"{resources[row.allocation]}, allocation {row.allocation}"
    if kind in ("site", "reconcile"):
        return "Everything that ColdFront wants"
    return "" if row.project else str(row.subject or row.key)


def _all() -> QuerySet[Any]:
    newer = Request.objects.filter(key=OuterRef("key"), number__gt=OuterRef("number"))
    steps = Step.objects.filter(request=OuterRef("pk")).order_by("pk").values("pk")
    wrong = steps.filter(state__in=("failed", "cancelled"))
    rows = Request.objects.exclude(digest="", action="").filter(of=None)
    return rows.defer("body", "answer").annotate(
        newest=~Exists(newer.exclude(digest="", action="")),
        shown_step=Coalesce(
            Subquery(wrong.exclude(message="")[:1]),
            Subquery(wrong[:1]),
            Subquery(steps.exclude(message="")[:1]),
        ),
    )


def _with_digest(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.annotate(answered_digest=KeyTextTransform("digest", "answer"))


def _wrong() -> Q:
    return Q(state__in=_WRONG) | (Q(state=NEW) & ~Q(error="")) | ~Q(problems=[])


def _about(user: str) -> Q:
    """Match the requests of a user, and those of the user's allocations and projects."""
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
    matches = Q(title__icontains=text) | Q(project_code__iexact=text)
    number = text.removeprefix("#")
    if number.isascii() and number.isdigit() and len(number) < 10:
        matches |= Q(pk=int(number))
    return Project.objects.filter(matches)


def _entry(
    row: Any,
    step: Step | None,
    control: Request | None,
    user: Any,
    own: str,
) -> Entry:
    overdue = timezone.now() - row.created > news.STALE
    look = words.of_request(row.state, row.error, overdue=overdue)
    what = why = advice = ""
    if step is not None and row.state not in ("done", "superseded"):
        of = f", {step.user}" if step.user else ""
        what = f"{step.name} ({step.handler}{of})" if step.handler else f"{step.name}{of}"
        why, advice = step.message or step.state, step.advice
    elif row.state not in ("done",):
        why, advice = row.error, row.advice
    open_control = control is not None and control.state in (NEW, *OPEN)
    sensible = controls.sensible(row.state, newest=row.newest, busy=open_control)
    verbs = [verb for verb in sensible if verb != "release" or not own]
    return Entry(
        row=row,
        id=outbox.request_id(row.number),
        look=look,
        what=what,
        why=why,
        advice=advice or look.advice,
        notes=tuple(
            missing.note(row.allocation or 0, str(text), user)
            for text in (*row.problems, *([row.error] if row.state == "done" and row.error else []))
        ),
        buttons=tuple(
            Button(verb, *controls.LABELS[verb], verb in _IRREVERSIBLE) for verb in verbs
        ),
        digest=row.answered_digest or "",
        control=control_text(control) if control is not None else "",
        project=None,
        allocation=None,
        title="",
        by=row.by,
        own=f"{own}, and {whose.NOBODY}: {whose.ADVICE}" if "release" in sensible and own else "",
    )


def control_text(control: Request) -> str:
    """Return a line that says what a control request is, who sent it, and its state."""
    verb = control.action.partition(".")[2]
    look = words.of_request(control.state, control.error)
    because = f": {control.error}" if control.error else ""
    todo = f". What to do: {control.advice}" if control.advice else ""
    return f"{verb}, asked by {control.by}: {look.word}{because}{todo}"
