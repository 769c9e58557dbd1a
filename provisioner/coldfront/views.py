"""The staff's pages: the requests, their states, and buttons that send control requests.

Promises: a page needs the permission to see it; a button is a POST with Django's CSRF token, and
only sends a request. Leaves out: what a row shows (`listing`), and what a button sends
(`controls`).
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

from provisioner.coldfront.answering import news
from provisioner.coldfront.models import NEW, Request
from provisioner.coldfront.pages import access, controls, listing, words
from provisioner.contract import InvalidRequest

_MOST = 500
"""The number of steps that the page of one request shows at most."""

View = Callable[..., HttpResponse]


def _only(may: Callable[[Any], bool]) -> Callable[[View], View]:
    """Return a decorator that admits users for whom `may` is true, and asks others to log in."""

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
    """Return the page that lists the requests."""
    wanted_filter = listing.Filter(request.GET)
    valid = wanted_filter.is_valid()
    rows = listing.requests(wanted_filter.cleaned_data if valid else {})
    page = Paginator(rows, listing.PAGE).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    entries = listing.entries(list(page), request.user)
    context = {
        "filter": wanted_filter,
        "page": page,
        "entries": entries,
        "asks": any(entry.buttons for entry in entries),
        "chips": [_chip(query, *group) for group in listing.counts()],
        "query": query.urlencode(),
        "steers": access.steers(request.user),
        "news": news.read(),
    }
    return render(request, "provisioner_coldfront/list.html", context)


def _chip(query: QueryDict, name: str, label: str, count: int) -> Mapping[str, object]:
    """Return what the button for one group of states shows; its link keeps the other filters."""
    there = query.copy()
    there["state"] = name
    chosen = query.get("state") == name
    return {"label": label, "count": count, "query": there.urlencode(), "chosen": chosen}


@require_safe
@_only(access.sees)
def detail(request: HttpRequest, number: int) -> HttpResponse:
    """Return the page of one request, with its steps."""
    row = listing.find(number)
    if row is None:
        raise Http404
    [entry] = listing.entries([row], request.user)
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
            (other, words.of_request(other.state, other.error))
            for other in others.order_by("-number").defer("body", "answer")[:20]
        ],
        "controls": [(control, listing.control_text(control)) for control in steered[:20]],
        "body": _pretty(row.body),
        "steers": access.steers(request.user),
        "news": news.read(),
    }
    return render(request, "provisioner_coldfront/detail.html", context)


@require_POST
@_only(access.steers)
def steer(request: HttpRequest, number: int, verb: str) -> HttpResponse:
    """Send a control request about a request, then redirect to the page that asked for it."""
    target = Request.objects.filter(pk=number, of=None).first()
    if target is None or verb not in controls.LABELS:
        raise Http404
    person = request.user.get_username()
    try:
        texts = (request.POST.get("reason", ""), request.POST.get("digest", ""))
        row = controls.ask(target, verb, person, *texts)
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
            f"{label!r} is saved but not sent, because ColdFront cannot write to staging:"
            f" {row.error}. ColdFront sends it as soon as somebody fixes that, within a day.",
        )
    else:
        messages.success(
            request, f"{label!r} is sent. This page shows the outcome within a minute."
        )


def _pretty(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body
