"""The staff's pages: what was asked for, how it stands, and buttons that ask for something.

Promises: only who may sees anything; a button is a POST with Django's CSRF token, and changes
nothing by itself. Leaves out: what a row says (`listing`), and what a button asks (`controls`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Case, Value, When
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from provisioner.coldfront.models import NEW, Request
from provisioner.coldfront.pages import access, controls, listing, words
from provisioner.contract import InvalidRequest

_MOST = 500
"""Steps that a page shows of one request."""

View = Callable[..., HttpResponse]


def _only(may: Callable[[Any], bool]) -> Callable[[View], View]:
    """Let a view be used by some alone; who is not logged in is asked to."""

    def around(view: View) -> View:
        @login_required
        @wraps(view)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not may(request.user):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        wrapped: View = inner
        return wrapped

    return around


@require_safe
@_only(access.sees)
def listing_page(request: HttpRequest) -> HttpResponse:
    """List what was asked for."""
    asked = listing.Filter(request.GET)
    valid = asked.is_valid()
    rows = listing.requests(asked.cleaned_data if valid else {})
    page = Paginator(rows, listing.PAGE).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    entries = listing.entries(list(page), request.user.get_username())
    context = {
        "filter": asked,
        "page": page,
        "entries": entries,
        "asks": any(entry.buttons for entry in entries),
        "chips": [_chip(query, *one) for one in listing.counts()],
        "query": query.urlencode(),
        "steers": access.steers(request.user),
    }
    return render(request, "provisioner_coldfront/list.html", context)


def _chip(query: QueryDict, name: str, label: str, count: int) -> Mapping[str, object]:
    """Say what a state's chip shows and where it leads: what else is filtered by stays."""
    there = query.copy()
    there["state"] = name
    chosen = query.get("state") == name
    return {"label": label, "count": count, "query": there.urlencode(), "chosen": chosen}


@require_safe
@_only(access.sees)
def detail(request: HttpRequest, number: int) -> HttpResponse:
    """Show one request with its steps."""
    row = listing.one(number)
    if row is None:
        raise Http404
    [entry] = listing.entries([row], request.user.get_username())
    unwell_first = Case(
        When(state__in=("failed", "cancelled"), then=Value(0)),
        When(state="done", then=Value(2)),
        default=Value(1),
    )
    steps = list(row.steps.order_by(unwell_first, "pk")[: _MOST + 1])
    others = Request.objects.filter(key=row.key).exclude(pk=row.pk).exclude(digest="", action="")
    steered = Request.objects.filter(of=row.pk).order_by("-number")
    context = {
        "entry": entry,
        "row": row,
        "steps": [(step, words.of_step(step.state)) for step in steps[:_MOST]],
        "more_steps": len(steps) > _MOST,
        "others": [
            (one, words.of_request(one.state, one.error))
            for one in others.order_by("-number").defer("body", "answer")[:20]
        ],
        "controls": [(one, listing.control_told(one)) for one in steered[:20]],
        "body": _pretty(row.body),
        "steers": access.steers(request.user),
    }
    return render(request, "provisioner_coldfront/detail.html", context)


@require_POST
@_only(access.steers)
def steer(request: HttpRequest, number: int, verb: str) -> HttpResponse:
    """Ask for something to be done with a request."""
    target = Request.objects.filter(pk=number, of=None).first()
    if target is None or verb not in controls.LABELS:
        raise Http404
    person = request.user.get_username()
    try:
        said = (request.POST.get("reason", ""), request.POST.get("digest", ""))
        row = controls.ask(target, verb, person, *said)
    except InvalidRequest as error:
        messages.error(request, f"{error.message}. {error.advice}.")
    else:
        _tell(request, row)
    if "listed" in request.POST:
        return redirect(f"{reverse('provisioning')}?{request.GET.urlencode()}")
    return redirect("provisioning-request", number=number)


def _tell(request: HttpRequest, row: Request) -> None:
    label = controls.LABELS[row.action.partition(".")[2]][0]
    if row.state == NEW and row.error:
        messages.warning(
            request,
            f"{label!r} was noted, but staging takes nothing now: {row.error}. It is sent by itself"
            " as soon as that is mended, within a day.",
        )
    else:
        messages.success(
            request, f"{label!r} was asked for. What becomes of it is seen here within a minute."
        )


def _pretty(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body
