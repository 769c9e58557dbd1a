"""Tellings: what a person may be told, and whether it is news to them. Pure.

Promises: the same fact is told to the same person once. What was there before anybody was told
anything, or follows from a manifest, is noted and not told. Leaves out: which tellings follow from
a request (`occasions`), and their words (`letters`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from provisioner.config.notify import Event
from provisioner.journal.outbox.known import Known, Pair

AGAIN = 86400.0
"""Seconds after which the same failure is told again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """Something that one person may be told.

    about: what it is about, for the ledger of what they know; fact: a digest of what they need to
    know; open: they may use it afterwards; fresh: it is new to who was never told about it; role:
    user, pi, asker or operator; facts: what the template gets; since: until when another fact was
    told, for what can become a fact again, '' else.
    """

    person: str
    role: str
    event: Event
    subject: str
    about: str
    fact: str = ""
    open: bool = True
    fresh: bool = True
    facts: Mapping[str, Any]
    since: str = ""

    @property
    def pair(self) -> Pair:
        """The person, and what it is about."""
        return self.person, self.about

    def known(self, now: float) -> Known:
        """Return what the person knows afterwards."""
        return Known(self.fact, self.open, now)


def digest(*values: Any) -> str:
    """Return a digest of values that JSON can hold."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def news(
    tellings: Sequence[Telling], knows: Mapping[Pair, Known], now: float, *, silent: bool = False
) -> tuple[list[Telling], dict[Pair, Known]]:
    """Return what is to be told, and what everybody knows afterwards.

    silent: nobody is told, but all count as told.
    """
    told: list[Telling] = []
    after: dict[Pair, Known] = {}
    for telling in tellings:
        before = knows.get(telling.pair)
        is_news = _is_news(telling, before, now)
        if is_news and not silent:
            told.append(_named(telling, before))
        if is_news or before is None:
            after[telling.pair] = telling.known(now)
    return told, after


def _is_news(telling: Telling, before: Known | None, now: float) -> bool:
    if before is None:
        return telling.fresh
    if telling.event is Event.REQUEST_FAILED:
        return before.fact != telling.fact or not 0 <= now - before.at < AGAIN
    return (before.fact, before.open) != (telling.fact, telling.open)


def _named(telling: Telling, before: Known | None) -> Telling:
    """Return a telling with the event that it is for who knows something already."""
    if telling.event is not Event.ALLOCATION_READY or before is None or not before.open:
        return telling
    return replace(telling, event=Event.ALLOCATION_CHANGED)


def leader_told(person: str, subject: str, facts: Mapping[str, Any], *, fresh: bool) -> Telling:
    """Return that a project's leader may use an allocation, as it is now."""
    allocation = facts["allocation"]
    names = ("path", "quota", "files", "slurm_account", "resource")
    return Telling(
        person=person,
        role="pi",
        event=Event.ALLOCATION_READY,
        subject=subject,
        about=f"{subject} (as PI)",
        fact=digest(*(allocation[name] for name in names)),
        fresh=fresh,
        facts=facts,
    )


def user_told(person: str, subject: str, facts: Mapping[str, Any], *, fresh: bool) -> Telling:
    """Return that a user may use an allocation."""
    return Telling(
        person=person,
        role="user",
        event=Event.ALLOCATION_READY,
        subject=subject,
        about=subject,
        fresh=fresh,
        facts=facts,
    )


def user_closed(person: str, subject: str, facts: Mapping[str, Any], *, fresh: bool) -> Telling:
    """Return that a user may no longer use an allocation."""
    told = user_told(person, subject, {"account": None, **facts}, fresh=fresh)
    return replace(told, event=Event.ACCESS_REMOVED, open=False)


def ending_told(person: str, root: str, subject: str, facts: Mapping[str, Any]) -> Telling:
    """Return that a person's access to an account or an allocation ends soon. subject: whose
    date it is."""
    return Telling(
        person=person,
        role="user",
        event=Event.ACCESS_ENDS,
        subject=root,
        about=f"end of {subject}",
        fact=digest(facts["ends"]),
        facts=facts,
    )
