"""Collects the changes in ColdFront, and makes one request of each changed thing.

Promises: while a page is served, each change is noted by a row in the page's own transaction; the
changed thing becomes one request when the page is done, after any number of signals. Outside of a
page, it becomes one request when the transaction is committed; if one thing changes again and
again, as in a script, only its first changes do, and the others are noted. If the process is
killed, the note stays. `sending.flush` makes the requests for late notes. No handler that is
connected here raises. Leaves out: which signals there are (each version's own), and what a request
says (`outbox`).
"""

from __future__ import annotations

import functools
import logging
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from asgiref.local import Local
from django.core.signals import request_finished, request_started
from django.db import connection, transaction

from provisioner.coldfront.asking import options, outbox, sending
from provisioner.coldfront.asking.portal import portal
from provisioner.contract import ConfigError

log = logging.getLogger(__name__)

Kind = Literal["allocation", "project"]
About = tuple[Kind, int]

_here = Local()

SPELL = 30.0
"""Seconds in which the changes of a thing count together: half as long as a note waits."""

AT_ONCE = 10
"""How many changes of a thing are said at once in a spell."""


class Pace:
    """Counts the changes of things in this process.

    The first changes of a thing in a spell are said at once, and so is the first one after it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.began = clock()
        self._changes: Counter[Hashable] = Counter()

    def is_fast(self, about: Hashable) -> bool:
        """Count a change of a thing; return True if it had its fill of changes in this spell."""
        now = self.clock()
        if now - self.began >= SPELL:
            self.begin_anew()
        self._changes[about] += 1
        return self._changes[about] > AT_ONCE

    def begin_anew(self) -> None:
        """Begin a spell in which nothing has changed yet."""
        self.began = self.clock()
        self._changes.clear()


PACE = Pace()
"""How often things change outside of pages, in this process."""


@dataclass(slots=True)
class News:
    """The changes of one thing.

    row: the number of its note; by: the acting person; let_in: as in `outbox`.
    """

    row: int | None
    by: str
    events: dict[str, None] = field(default_factory=dict)
    let_in: int | None = None


@dataclass(slots=True)
class _Page:
    """The changes while one page is served. members: the thing that a member's row belongs to."""

    news: dict[About, News] = field(default_factory=dict)
    members: dict[About, int] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class _Commit:
    """The changes in one transaction outside of a page."""

    news: dict[About, News] = field(default_factory=dict)

    def __call__(self) -> None:
        _say_outside(self.news)


def connect() -> None:
    """Connect to the signals for the beginning and the end of a page."""
    where = "provisioner.coldfront page"
    request_started.connect(_begin, weak=False, dispatch_uid=f"{where} begins")
    request_finished.connect(_end, weak=False, dispatch_uid=f"{where} ends")


def listen(signal: Any, event: str, handler: Callable[..., None], model: Any = None) -> None:
    """Connect a handler, which gets the event's name and the signal's arguments; it never raises.

    model: whose rows the signal is about, if one model's.
    """

    @functools.wraps(handler)
    def hear(sender: object, **arguments: Any) -> None:
        try:
            if not arguments.get("raw"):
                handler(event, **arguments)
        except Exception:
            log.exception(
                "provisioner: failed to handle %s; the next provisioner_reconcile finds the change",
                event,
            )

    signal.connect(hear, sender=model, weak=False, dispatch_uid=f"provisioner.coldfront {event}")


def change(kind: Kind, pk: int, event: str, *, let_in: int | None = None) -> None:
    """Note that something changed; it becomes a request when the page or transaction ends.

    let_in: the key of an allocation user who gets access, although their row does not say so yet.
    """
    page: _Page | None = getattr(_here, "page", None)
    about = (kind, pk)
    if page is None and not connection.in_atomic_block:
        _say_outside({about: News(None, portal().acting(), {event: None}, let_in)})
        return
    news = page.news if page is not None else _of_transaction().news
    if about not in news:
        by = portal().acting()
        news[about] = News(_noted(about, event, by) if page is not None else None, by)
    item = news[about]
    item.events[event] = None
    if page is None:
        # When a page is done, ColdFront has saved the user's row.
        item.let_in = let_in or item.let_in


@contextmanager
def together() -> Iterator[None]:
    """Collect the changes within, as while a page is served; at the end, each thing is said."""
    if getattr(_here, "page", None) is not None:
        yield
        return
    _begin()
    try:
        yield
    finally:
        _end()


def owner(kind: Kind, member: int, read: Callable[[int], tuple[int, Iterable[int]]]) -> int:
    """Return the key of the thing that a member's row belongs to.

    read: returns that key and the rows of all its members, because each member sends a signal.
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
    """Return the collector of this transaction or savepoint; register one if there is none."""
    here = set(connection.savepoint_ids)
    for points, run, _ in connection.run_on_commit:
        if isinstance(run, _Commit) and points == here:
            return run
    made = _Commit()
    transaction.on_commit(made, robust=True)
    return made


def _noted(about: About, event: str, by: str) -> int | None:
    try:
        # An error here must not break the page's own transaction.
        with transaction.atomic():
            return outbox.note(*about, event, by)
    except Exception:
        log.exception(
            "provisioner: failed to note a change of %s; its request follows without the note",
            about,
        )
        return None


def _begin(**_: Any) -> None:
    # A page before this one may never have ended.
    _end()
    _here.page = _Page()


def _end(**_: Any) -> None:
    page: _Page | None = getattr(_here, "page", None)
    _here.page = None
    if page is not None and page.news:
        _say(page.news)


def _say_outside(news: dict[About, News]) -> None:
    """Make requests of changes outside of a page; one of a thing that changes too often waits."""
    now = {about: item for about, item in news.items() if not _waits(about, item)}
    if now:
        _say(now)


def _waits(about: About, item: News) -> bool:
    """Note a change of a thing that changes too often; return True if it was noted."""
    # Each change has its own note: a note that is there may just be on its way to be a request.
    return PACE.is_fast(about) and _noted(about, ", ".join(item.events), item.by) is not None


def _say(news: dict[About, News]) -> None:
    """Make requests of the changes, and write them; log any error, so that no page breaks."""
    try:
        for about, item in news.items():
            _say_one(about, item)
        sending.flush(options.at_once())
    except (ConfigError, OSError) as error:
        log.error("provisioner: cannot write to staging, will try again later: %s", error)
    except Exception:
        log.exception(
            "provisioner: failed to make requests of the changes; the next provisioner_reconcile"
            " finds them"
        )


def _say_one(about: About, item: News) -> None:
    kind, pk = about
    event = ", ".join(item.events)
    try:
        with transaction.atomic():
            if kind == "allocation":
                outbox.allocation(pk, event, by=item.by, let_in=item.let_in)
            else:
                outbox.project(pk, event, by=item.by)
            if item.row is not None:
                outbox.forget([item.row])
    except Exception:
        log.exception(
            "provisioner: failed to make a request for %s; the next provisioner_reconcile finds"
            " the change",
            about,
        )
