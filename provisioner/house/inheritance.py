"""Inheritance: what an intake that is gone for good has to answer goes to another one.

Promises: each request is one intake's at any moment, and none is taken from an intake that is
heard. The new one writes results and receipts of all that is open, and of what ended since the
former one was heard last; of the rest, when it changes. Should the former one come back, it answers
for none of them. Interrupted, it can be done again. Leaves out: files that were not accepted: they
are with the former one alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from provisioner.contract import InvalidRequest, Refused
from provisioner.hosts.member import announce_changed
from provisioner.journal import audit
from provisioner.journal.hosts import handed, presence, spools
from provisioner.journal.journal import Connection, Journal

EVENT = "taken over"
"""The kind of event that says so."""

UNFLUSHED = 600.0
"""Seconds before an intake was heard last in which it may not have written what had ended."""

_PORTION = 2000


@dataclass(frozen=True, slots=True)
class Estate:
    """What went to another intake.

    places: the spools of the former one, on its host; since: what has ended from then on may not
    have been written there, in seconds since the epoch; requests: all; answered: those of which the
    new one writes results or receipts now; waiting: requests that other hosts had handed on to it,
    and that may be lost.
    """

    places: tuple[str, ...]
    since: float
    requests: int = 0
    answered: int = 0
    waiting: int = 0


def take_over(book: Journal, former: str, heir: str, lease: float, who: str) -> Estate:
    """Give what one intake has to answer to another one. former, heir: their hosts.

    lease: seconds; who: does it. Raises Refused if the former one is heard, or InvalidRequest if
    there is no such intake.
    """
    with book.transaction() as conn:
        mine, theirs, found = _examined(conn, book.now(conn), former, heir, lease)
    while True:
        with book.transaction() as conn:
            portion = spools.portion(conn, [one.id for one in theirs], _PORTION)
            if not portion:
                break
            spools.give(conn, [one.id for one in portion], mine.id)
            told = [one.id for one in portion if one.ended is None or one.ended >= found.since]
            announce_changed(book, conn, told)
        requests, answered = found.requests + len(portion), found.answered + len(told)
        found = replace(found, requests=requests, answered=answered)
    with book.transaction() as conn:
        presence.leave(conn, presence.Host(former, presence.INTAKE, "", 0.0, 0.0))
        spools.begun(conn, former)
        text = f"{heir} answers for {former}, whose {found.requests} requests are now its own"
        facts = {"by": who, "former": former, "heir": heir, "requests": found.requests}
        audit.append(conn, [audit.Event(None, EVENT, text, None, facts)], book.now(conn))
    return found


def _examined(
    conn: Connection, now: float, former: str, heir: str, lease: float
) -> tuple[spools.Spool, list[spools.Spool], Estate]:
    """Return the heir's spool, and those of the former one."""
    heard = {each.host.name: each for each in presence.seen(conn, now, lease) if each.takes}
    there = {name for name, each in heard.items() if not each.missing}
    served = [one for one in spools.listed(conn) if one.mark]
    theirs = [one for one in served if one.host == former]
    if former in there:
        raise Refused(
            f"{former} takes requests, and was heard {heard[former].silent:.0f} s ago: {heir} "
            "cannot answer for it",
            advice=f"if {former} is to be given up, stop it first, there: systemctl disable --now "
            "provisioner",
        )
    if heir not in there:
        others = ", ".join(sorted(there)) or "none: start one"
        raise InvalidRequest(
            f"{heir} takes no requests, and cannot answer for {former}",
            expected=f"the name of a host that does: {others}",
        )
    if not theirs:
        others = ", ".join(sorted({one.host for one in served} - there)) or "none"
        raise InvalidRequest(
            f"no intake on {former} ever took a request",
            expected=f"the name of a host that does not any more: {others}",
        )
    mine = max((one for one in served if one.host == heir), key=lambda one: one.served)
    if spools.is_shared(mine.mark):
        raise InvalidRequest(
            f"{heir} shares its staging: whichever intake keeps house goes on with the files of "
            f"{former} by itself",
            expected="nothing to be typed",
        )
    known = [one.served for one in theirs]
    if former in heard:
        known.append(heard[former].host.heard)
    since = max(known)
    waiting = sum(len(handed.taken(conn, one.id)) for one in theirs)
    places = tuple(one.place for one in theirs)
    return mine, theirs, Estate(places, since - UNFLUSHED, waiting=waiting)
