"""The staff's pages: the requests and their states, and one request with its steps.

Promises: a page needs the permission to see it, and changes nothing. Leaves out: the words for
states, which are those of ColdFront 1's pages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from provisioner.coldfront.answering import news
from provisioner.coldfront.asking import outbox
from provisioner.coldfront.models import Request, Step
from provisioner.coldfront.pages import access, words

PAGE = 50
_MOST = 500
"""The number of steps that the page of one request shows at most."""
_FEW = 3
"""The number of failed steps that the list shows of one request."""


@require_safe
@login_required
def listing(request: HttpRequest) -> HttpResponse:
    """Return the page that lists the last request of each subject, by state and project."""
    _admit(request)
    newer = Request.objects.filter(key=OuterRef("key"), number__gt=OuterRef("number"))
    rows = Request.objects.exclude(digest="", body="").filter(~Exists(newer)).order_by("-number")
    chosen = request.GET.get("state", "")
    if chosen in words.GROUPS:
        rows = rows.filter(state__in=words.GROUPS[chosen][1])
    project = request.GET.get("project", "").lstrip("#")
    if project.isascii() and project.isdigit() and len(project) < 10:
        rows = rows.filter(project=int(project))
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    failed = _failed([row.pk for row in page])
    context = {
        "page": page,
        "entries": [_entry(row, failed.get(row.pk, ())) for row in page],
        "groups": [(name, label) for name, (label, _) in words.GROUPS.items()],
        "chosen": chosen,
        "project": project,
        "news": news.read(),
    }
    return render(request, "provisioner_coldfront2/list.html", context)


@require_safe
@login_required
def detail(request: HttpRequest, number: int) -> HttpResponse:
    """Return the page of one request: its steps, the failed ones first, and its text."""
    _admit(request)
    row = Request.objects.filter(pk=number).first()
    if row is None:
        raise Http404
    order = ("failed", "cancelled", "due", "waiting", "done")
    steps = sorted(
        row.steps.all()[:_MOST],
        key=lambda step: order.index(step.state) if step.state in order else len(order),
    )
    context = {
        "entry": _entry(row),
        "steps": [(step, words.of_step(step.state)) for step in steps],
        "text": json.dumps(json.loads(row.body), indent=2, ensure_ascii=False) if row.body else "",
        "news": news.read(),
    }
    return render(request, "provisioner_coldfront2/detail.html", context)


def _admit(request: HttpRequest) -> None:
    if not access.sees(request.user):
        raise PermissionDenied


def _failed(numbers: Sequence[int]) -> Mapping[int, list[Step]]:
    """Return the failed steps of requests, by request."""
    steps: dict[int, list[Step]] = {}
    for step in Step.objects.filter(request__in=numbers, state="failed"):
        steps.setdefault(step.request_id, []).append(step)
    return steps


def _entry(row: Any, failed: Sequence[Any] = ()) -> Mapping[str, Any]:
    look = words.of_request(row.state, row.error)
    problems = [*row.problems, *([row.error] if row.error else [])]
    for step in failed[:_FEW]:
        whose = f" for {step.user}" if step.user else ""
        problems.append(f"{step.name}{whose}: {step.message or step.state}")
    advice = next((step.advice for step in failed if step.advice), "")
    return {
        "row": row,
        "id": outbox.request_id(row.number),
        "look": look,
        "problems": problems,
        "more": len(failed[_FEW:]),
        "advice": row.advice or advice or look.advice,
    }
