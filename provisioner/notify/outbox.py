"""The outbox: outcomes become messages, in one transaction with what has been looked at.

Promises: an outcome is looked at once, and a message of it exists once, whatever is killed when;
its id follows from the event and the person. Leaves out: sending (`courier`).
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from provisioner.config.notify import Event, NotifyConfig
from provisioner.journal import audit, facts
from provisioner.journal.journal import Connection, Journal, JournalBroken, is_of_rows
from provisioner.journal.outbox import known, messages, news
from provisioner.journal.outbox.draft import MANY, Draft
from provisioner.journal.outbox.messages import HOOK, KEYS, MAIL, Message
from provisioner.journal.outbox.shelf import Shelf
from provisioner.journal.queries import dates, history
from provisioner.journal.queries.dates import End
from provisioner.journal.records.request_rows import Record
from provisioner.notify import summing, tellings
from provisioner.notify.addresses import Addresses
from provisioner.notify.occasions import Occasions, Requests, failing, said
from provisioner.notify.tellings import Telling
from provisioner.objects.states import MessageState, RequestState
from provisioner.outcome.results import moment
from provisioner.system.ulid import RequestId

log = logging.getLogger(__name__)

PORTION = 50
"""Outcomes that are looked at in one transaction."""

ON_A_SHELF = 25
"""Outcomes whose requests are in memory together: each may be as long as a request can be."""

DAY = 86400.0

OPERATORS = "operators"
"""Stands for a person in messages to the operators' addresses."""


@dataclass(frozen=True, slots=True)
class Outbox:
    """Makes messages. service: the site's name in them; addresses: None without mail.

    reader: returns the journal on a connection of its own, so that no request waits while news are
    read; book: takes what is written.
    """

    book: Journal
    reader: Callable[[], Journal]
    service: str
    settings: NotifyConfig
    occasions: Occasions
    addresses: Addresses | None

    def fill(self, now: float) -> bool:
        """Make the messages of a portion of the news. Return False if there was none."""
        for most in (PORTION, 1):
            try:
                return self._fill(now, most)
            except Exception as error:
                if not is_of_rows(error):
                    raise
                log.exception("messages of at most %d outcomes could not be written", most)
        with self.book.transaction() as conn:
            portion = news.portion(conn, 1)
            if portion is not None:
                news.through(conn, portion.last)
        return True

    def _fill(self, now: float, most: int) -> bool:
        """most: outcomes that are looked at together."""
        draft = Draft()
        with self.reader().reading() as conn:
            portion = news.portion(conn, most)
            if portion is None:
                return False
            last = portion.last
            for shelf, outcome in _shelved(conn, portion.outcomes):
                self._tell(shelf, outcome, now, draft)
                if draft.is_full:
                    last = outcome.seq
                    break
        draft.write(self.book, last)
        return True

    def _tell(self, shelf: Requests, outcome: news.Outcome, now: float, draft: Draft) -> None:
        conn, record = shelf.conn, shelf.record(outcome.request)
        if record is None:
            return
        if outcome.state == RequestState.DONE:
            draft.forget(failing(record))
        try:
            found = self.occasions.of(shelf, record, outcome.state)
            silent = not self.settings.manifests and _follows(conn, record)
            knows = draft.over(known.of(conn, [telling.pair for telling in found]))
            told, after = tellings.news(found, knows, now, silent=silent)
            told = [telling for telling in told if telling.event in self.settings.events]
            made = self._made(conn, record, outcome, told, now)
        except JournalBroken:
            raise
        except Exception:
            # One outcome, or a handler's outputs of it, must not keep all later ones from people.
            log.exception("%s: nobody is told of it: what it says could not be read", record.id)
            return
        draft.known.update(after)
        draft.messages += made

    def _made(
        self,
        conn: Connection,
        record: Record,
        outcome: news.Outcome,
        told: Sequence[Telling],
        now: float,
    ) -> list[Message]:
        made = []
        for telling in told:
            if self.settings.mail is not None and telling.role != "hook":
                address = self._address(conn, telling)
                made.append(self._message(MAIL, record, outcome, telling, address, now))
        if self.settings.hook is not None:
            for event in dict.fromkeys(telling.event for telling in told):
                same = [telling for telling in told if telling.event is event]
                made.append(self._for_hook(record, outcome, same, now))
        return made

    def _address(self, conn: Connection, telling: Telling) -> str:
        if telling.role == "operator":
            return telling.person
        return self.addresses.of(conn, telling.person) if self.addresses is not None else ""

    def _message(
        self,
        channel: str,
        record: Record,
        outcome: news.Outcome,
        telling: Telling,
        address: str,
        now: float,
    ) -> Message:
        facts = {**self._facts(record, outcome, telling.event, telling.facts)}
        person = OPERATORS if telling.role == "operator" else telling.person
        facts |= {"person": person, "role": telling.role, "subject": telling.subject}
        lost = channel == MAIL and not address
        return Message(
            id=_id(outcome, telling.event, f"{channel} {telling.pair}{telling.since}"),
            channel=channel,
            event=telling.event,
            person=person,
            address=address,
            subject=telling.subject,
            facts=plain(facts),
            state=MessageState.GIVEN_UP if lost else MessageState.WAITING,
            made=outcome.at,
            due=now,
            ended=now if lost else None,
            error=f"there is no address for {person}" if lost else None,
        )

    def _for_hook(
        self, record: Record, outcome: news.Outcome, same: Sequence[Telling], now: float
    ) -> Message:
        """Return one message for all whom an event concerns."""
        first = same[0]
        message = self._message(HOOK, record, outcome, first, "", now)
        people = [
            {"person": telling.person, "role": telling.role}
            for telling in same
            if telling.role not in ("operator", "hook")
        ]
        dropped = ("person", "role")
        facts = {name: value for name, value in message.facts.items() if name not in dropped}
        return Message(
            id=message.id,
            channel=HOOK,
            event=first.event,
            person="",
            address="",
            subject=first.subject,
            facts={"id": message.id, **facts, "people": people},
            state=MessageState.WAITING,
            made=outcome.at,
            due=now,
        )

    def _facts(
        self, record: Record | None, outcome: news.Outcome, event: str, more: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {
            "event": str(event),
            "service": self.service,
            "at": moment(outcome.at),
            "request": request_facts(record) if record is not None else None,
            **dict.fromkeys(KEYS),
            "suspended": False,
            "again": False,
            **more,
        }

    def warn(self, dated: float, now: float) -> bool:
        """Make the messages to people whose access ends soon. Return True if there was any.

        dated: the time by which access ends. Each date is told once at each of `before_end`.
        """
        stages = self.settings.before_end
        if not stages or Event.ACCESS_ENDS not in self.settings.events:
            return False
        drafts: dict[tuple[RequestId, str], Draft] = {}
        made = facts_known = 0
        with self.reader().reading() as conn:
            for end in dates.ends_until(conn, dated + stages[0] * DAY):
                if end.at > dated:
                    days = min(days for days in stages if end.at - dated <= days * DAY)
                    draft = self._warning(Shelf(conn, said), end, days, now)
                    drafts |= {(end.request, end.subject): draft} if draft.known else {}
                    made, facts_known = made + len(draft.messages), facts_known + len(draft.known)
                if facts_known >= MANY:
                    self._warn_all(drafts)
                    drafts, facts_known = {}, 0
        self._warn_all(drafts)
        return made > 0

    def _warn_all(self, drafts: Mapping[tuple[RequestId, str], Draft]) -> None:
        """Write warnings together, or each by itself if one cannot be written."""
        if not drafts:
            return
        try:
            for draft in drafts.values():
                draft.ahead(self.book)
            with self.book.transaction() as conn:
                for draft in drafts.values():
                    draft.put(conn)
        except Exception as error:
            if not is_of_rows(error):
                raise
            if len(drafts) > 1:
                for end, draft in drafts.items():
                    self._warn_all({end: draft})
                return
            log.exception("%s, of %s: nobody is told when its access ends", *next(iter(drafts)))

    def _warning(self, shelf: Requests, end: End, days: int, now: float) -> Draft:
        try:
            record = shelf.record(end.request)
            if record is None:
                return Draft()
            found = self.occasions.ending(shelf, record, end, days)
            knows = known.of(shelf.conn, [telling.pair for telling in found])
            told, after = tellings.news(found, knows, now)
            # A date can be in force again after another one was told: that is another message.
            told = [
                replace(one, since=f" {before.at}") if (before := knows.get(one.pair)) else one
                for one in told
            ]
            made = self._made(shelf.conn, record, news.Outcome(days, record.id, "", now), told, now)
        except JournalBroken:
            raise
        except Exception:
            log.exception("%s: nobody is told when its access ends", end.request)
            return Draft()
        return Draft(made, after)

    def digest(self, causes: summing.Causes, now: float) -> bool:
        """Make the daily digest if it is due. Return True if it was made."""
        mail = self.settings.mail
        if mail is None or not mail.digest or not mail.operators:
            return False
        if Event.DIGEST not in self.settings.events:
            return False
        due = summing.last_due(mail.digest, now)
        with self.reader().reading() as conn:
            last = float(facts.get(conn, facts.DIGESTED) or 0)
            if due <= last <= now:
                return False
            summed = summing.digest_facts(conn, causes, max(last, now - 7 * 86400.0), now)
        with self.book.transaction() as conn:
            facts.put(conn, facts.DIGESTED, repr(now))
            if not 0 < last <= now:  # the first day is not over, or the clock was ahead
                return False
            outcome = news.Outcome(0, record_of(due), "", now)
            for address in mail.operators:
                telling = Telling(
                    person=address,
                    role="operator",
                    event=Event.DIGEST,
                    subject="",
                    about=Event.DIGEST,
                    facts={"digest": summed},
                )
                messages.add(conn, [self._digest_for(outcome, telling, now)])
        return True

    def _digest_for(self, outcome: news.Outcome, telling: Telling, now: float) -> Message:
        facts = self._facts(None, outcome, telling.event, telling.facts)
        facts |= {"person": OPERATORS, "role": "operator", "subject": ""}
        return Message(
            id=_id(outcome, telling.event, telling.person),
            channel=MAIL,
            event=telling.event,
            person=OPERATORS,
            address=telling.person,
            subject="",
            facts=plain(facts),
            state=MessageState.WAITING,
            made=now,
            due=now,
        )

    def summary(self, merged: Sequence[Message], now: float) -> Message:
        """Put one message in the place of many for one address; return it."""
        first, last = merged[0], merged[-1]
        outcome = news.Outcome(len(merged), record_of(0.0), "", now)
        facts = self._facts(None, outcome, "summary", {"items": summing.items(merged)})
        facts |= {"person": first.person, "role": first.facts.get("role", ""), "subject": ""}
        made = Message(
            id=f"summary-{_short(f'{first.id} {last.id} {len(merged)}')}",
            channel=MAIL,
            event="summary",
            person=first.person,
            address=first.address,
            subject="",
            facts=plain(facts),
            state=MessageState.WAITING,
            made=now,
            due=now,
        )
        with self.book.transaction() as conn:
            ids = [message.id for message in merged]
            messages.merge(conn, ids, made.id, now)
            messages.add(conn, [made])
        return made


def _shelved(
    conn: Connection, outcomes: Sequence[news.Outcome]
) -> Iterator[tuple[Requests, news.Outcome]]:
    """Yield outcomes with the shelf that has their requests."""
    for start in range(0, len(outcomes), ON_A_SHELF):
        some = outcomes[start : start + ON_A_SHELF]
        shelf = Shelf(conn, said)
        shelf.load([outcome.request for outcome in some])
        yield from ((shelf, outcome) for outcome in some)


def record_of(due: float) -> Any:
    """Return what stands for a request in the id of a digest."""
    return f"day-{int(due)}"


def request_facts(record: Record) -> dict[str, Any]:
    """Return what templates and the hook learn of a request."""
    return {
        "id": RequestId(record.id),
        "action": record.action,
        "subject": record.subject,
        "file": record.name,
        "asker": record.asker,
        "accepted": moment(record.accepted),
    }


def plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts as JSON holds them."""
    value: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    return value


def _id(outcome: news.Outcome, event: str, whom: str) -> str:
    return f"{outcome.request}-{outcome.seq}-{_short(f'{event} {whom}')}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _follows(conn: Connection, record: Record) -> bool:
    """Return True if a request follows from a manifest. One whose date has come has others behind
    it, too, and people are told that their access has ended."""
    if not audit.follows(conn, record.id):
        return False
    named = record.name.startswith(history.DATED)  # as others may be, too
    return not (named and dates.follows_a_date(conn, record.id))
