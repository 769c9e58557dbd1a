"""What changed in ColdFront, noted as it is heard of and said once.

Promises: while a page is served, what changes is noted by a row in the page's own transaction, and
said once when the page is done, however many signals tell of it; outside of a page it is said once
when its transaction is over. A process that is killed leaves the row, and `outbox.mend` says it.
Leaves out: which signals there are (`signals`), and what is said (`outbox`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from asgiref.local import Local
from django.core.signals import request_finished, request_started
from django.db import connection, transaction

from provisioner.coldfront import actor
from provisioner.coldfront.asking import options, outbox
from provisioner.contract import ConfigError

log = logging.getLogger(__name__)

Kind = Literal["allocation", "project"]
About = tuple[Kind, int]

_here = Local()


@dataclass(slots=True)
class News:
    """What was heard of one thing. row: notes it; by: who is at work; let_in: as in `outbox`."""

    row: int | None
    by: str
    events: dict[str, None] = field(default_factory=dict)
    let_in: int | None = None


@dataclass(slots=True)
class _Page:
    """What was heard while a page is served. members: whose rows are of which thing."""

    news: dict[About, News] = field(default_factory=dict)
    members: dict[About, int] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class _Commit:
    """What was heard in a transaction outside of a page."""

    news: dict[About, News] = field(default_factory=dict)

    def __call__(self) -> None:
        _say(self.news)


def connect() -> None:
    """Listen for the begin and the end of pages."""
    where = "provisioner.coldfront page"
    request_started.connect(_begin, weak=False, dispatch_uid=f"{where} begins")
    request_finished.connect(_end, weak=False, dispatch_uid=f"{where} ends")


def change(kind: Kind, pk: int, event: str, *, let_in: int | None = None) -> None:
    """Have something said anew, soon.

    let_in: the key of an allocation user who is let in, though the row does not say so yet.
    """
    page: _Page | None = getattr(_here, "page", None)
    about = (kind, pk)
    if page is None and not connection.in_atomic_block:
        _say({about: News(None, actor.acting(), {event: None}, let_in)})
        return
    news = page.news if page is not None else _of_transaction().news
    if about not in news:
        by = actor.acting()
        news[about] = News(_noted(about, event, by) if page is not None else None, by)
    one = news[about]
    one.events[event] = None
    if page is None:
        # When a page is done, ColdFront has saved what it told of.
        one.let_in = let_in or one.let_in


def owner(kind: Kind, member: int, read: Callable[[int], tuple[int, Iterable[int]]]) -> int:
    """Say of which thing a member's row is.

    read: looks it up, with the rows of all members of that thing: signals come for each of them.
    """
    page: _Page | None = getattr(_here, "page", None)
    if page is None:
        return read(member)[0]
    if (kind, member) not in page.members:
        pk, rows = read(member)
        page.members |= dict.fromkeys(((kind, row) for row in rows), pk)
        page.members[kind, member] = pk
    return page.members[kind, member]


def _of_transaction() -> _Commit:
    """Find what says the rest of this transaction, or of its savepoint; else have it said."""
    here = set(connection.savepoint_ids)
    for points, run, _ in connection.run_on_commit:
        if isinstance(run, _Commit) and points == here:
            return run
    made = _Commit()
    transaction.on_commit(made, robust=True)
    return made


def _noted(about: About, event: str, by: str) -> int | None:
    try:
        # Where it fails, the page's own transaction is to go on.
        with transaction.atomic():
            return outbox.note(*about, event, by)
    except Exception:
        log.exception("provisioner: %s could not be noted; it is said when the page is done", about)
        return None


def _begin(**_: Any) -> None:
    # What a page left that was never ended.
    _end()
    _here.page = _Page()


def _end(**_: Any) -> None:
    page: _Page | None = getattr(_here, "page", None)
    _here.page = None
    if page is not None and page.news:
        _say(page.news)


def _say(news: dict[About, News]) -> None:
    """Say what was heard; whatever becomes of it, no page breaks."""
    try:
        for about, one in news.items():
            _say_one(about, one)
        outbox.flush(options.at_once())
    except (ConfigError, OSError) as error:
        log.error("provisioner: staging takes nothing, and is tried again later: %s", error)
    except Exception:
        log.exception("provisioner: what changed could not be said; the next reconcile finds it")


def _say_one(about: About, one: News) -> None:
    kind, pk = about
    event = ", ".join(one.events)
    try:
        with transaction.atomic():
            if kind == "allocation":
                outbox.allocation(pk, event, by=one.by, let_in=one.let_in)
            else:
                outbox.project(pk, event, by=one.by)
            if one.row is not None:
                outbox.forget(one.row)
    except Exception:
        log.exception("provisioner: %s could not be said; the next reconcile finds it", about)
