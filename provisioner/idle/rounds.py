"""Rounds over idle people: each is warned, then closed by a request of the service's own.

Promises: a warning is made in the transaction that notes it. A closing is asked for once, under an
id that is noted first; its condition is checked again when it is judged (`admission.duplicates`).
While anything is in doubt nobody is warned or closed, and operators are told. Leaves out: who is
idle (`standing`), and closing (lanes).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from provisioner.config.notify import Event
from provisioner.contract import ConfigError
from provisioner.convergence import threads
from provisioner.idle.decide import DAY, Step
from provisioner.idle.standing import Look, Person, look
from provisioner.journal import facts
from provisioner.journal.figures import idle as figures
from provisioner.journal.figures.idle import BEGINS, Kept, Last
from provisioner.journal.journal import Connection
from provisioner.journal.outbox import messages
from provisioner.journal.outbox.messages import HOOK, KEYS, MAIL, Message
from provisioner.objects.states import MessageState
from provisioner.outcome.results import moment
from provisioner.request.documents import dump
from provisioner.spool.submit import drop
from provisioner.wiring import System

log = logging.getLogger(__name__)

_IN_DOUBT = 3600.0
"""Seconds until the next round after one that was in doubt, at most."""

_TOLD_AGAIN = 7 * DAY
"""Seconds after which operators are told again of the same doubt."""

_NAMED = 20
"""The most doubts that a message names."""


class Rounds:
    """Works in its own thread between `start` and `stop`."""

    def __init__(
        self,
        system: System,
        address: Callable[[Connection, str], str],
        dated: Callable[[], float],
    ) -> None:
        """address: returns where a person gets mail, '' if nowhere; dated: the time by which dates
        count, 0 for none."""
        self._system = system
        self._settings = system.config.idle
        self._notify = system.config.notify
        self._address = address
        self._dated = dated
        failed = "idle people could not be looked for"
        self._thread = threads.EveryMinute("idle", self._look, failed)

    def start(self) -> None:
        """Start the thread, if anybody is ever closed for being idle."""
        if self._settings.after is not None:
            self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._thread.stop()

    def _look(self) -> None:
        now = self._dated()
        if now and self.due(now):
            self.walk(now)

    def due(self, now: float) -> bool:
        """Return True if the last round is long ago. now: the time by which dates count."""
        with self._system.journal.reading() as conn:
            if facts.get(conn, facts.OBSERVING) is not None:
                return False
            before = figures.last(conn)
        if before is None:
            return True
        every = 60 * self._settings.minutes
        every = min(every, _IN_DOUBT) if before.problems else every
        return not 0 <= now - before.at < every

    def walk(self, now: float) -> Look:
        """Warn and close whose time has come; return how everybody stands.

        now: seconds since the epoch, the time by which dates count.
        """
        seen = look(self._system, now)
        agreed = self._dated()
        if agreed < now:  # sources take minutes, and somebody set the clock meanwhile
            log.warning("idle: the clock was set during a look, which decides nothing")
            return seen
        with self._system.journal.reading() as conn:
            before = figures.last(conn)
        if seen.problems:
            self._doubt(seen.problems, before, now)
            return seen
        with self._system.journal.reading() as conn:
            known = figures.kept(conn)
        rows: dict[str, Kept] = {}
        made: list[Message] = []
        with self._system.journal.transaction() as conn:
            for person in seen.people:
                row, warnings = self._of(conn, person, now, agreed)
                made += warnings
                if row != Kept(person.name):
                    rows[person.name] = row
            messages.add(conn, made)
            figures.put(conn, list(rows.values()), set(known) - set(rows))
            figures.note(conn, Last(now))
        closing = self._ask(seen, rows)
        if made or closing:
            log.info("idle: %d warnings, %d requests", len(made), closing)
        return seen

    def _of(
        self, conn: Connection, person: Person, now: float, agreed: float
    ) -> tuple[Kept, list[Message]]:
        """Return what is known of a person after a round, and the messages of it.

        agreed: when all sources had answered, in seconds since the epoch.
        """
        kept = person.kept
        if person.closed is not None:
            return kept, []
        if person.step is Step.NONE:
            return Kept(person.name, spared=kept.spared), []
        kept = replace(kept, since=kept.since or now, seen=agreed)
        if person.step is Step.CLOSE:
            own = kept.asked or f"{BEGINS}{person.name}-{int(kept.since or now)}"
            return replace(kept, asked=own), []
        kept = replace(kept, asked=None)
        if person.step is not Step.WARN:
            return kept, []
        made = list(self._messages(conn, person, now))
        sent = next((m for m in made if m.state is MessageState.WAITING), made[0])
        stage = person.outcome.stage
        return replace(kept, stage=stage, told=now, message=sent.id, heard=False), made

    def _messages(self, conn: Connection, person: Person, now: float) -> Iterator[Message]:
        name = person.name
        use = person.use
        told: dict[str, Any] = {
            "closes": moment(person.outcome.closes)[:10],
            "days": person.outcome.stage,
            "last": moment(use.noted)[:10] if use is not None else None,
            "after": self._settings.after,
            "problems": [],
        }
        if self._notify.mail is not None:
            address = self._address(conn, name)
            yield self._message(MAIL, Event.IDLE_WARNING, name, address, told, now)
        if self._notify.hook is not None:
            yield self._message(HOOK, Event.IDLE_WARNING, name, "", told, now)

    def _message(
        self,
        channel: str,
        event: Event,
        person: str,
        address: str,
        told: dict[str, Any],
        now: float,
    ) -> Message:
        mark = hashlib.sha256(f"{channel} {event} {person} {address}".encode()).hexdigest()[:10]
        name, lost = f"idle-{int(now)}-{mark}", channel == MAIL and not address
        warns = event is Event.IDLE_WARNING
        subject = f"user:{person}" if warns else ""
        given: dict[str, object] = {**dict.fromkeys(KEYS), "idle": told}
        given |= {"event": event.value, "service": self._system.config.service, "at": moment(now)}
        given |= {"request": None, "suspended": False, "again": False, "subject": subject}
        if channel == HOOK:
            people = [{"person": person, "role": "user"}] if warns else []
            given |= {"id": name, "people": people}
        else:
            given |= {"person": person, "role": "user" if warns else "operator"}
        return Message(
            id=name,
            channel=channel,
            event=event,
            person="" if channel == HOOK else person,
            address=address,
            subject=subject,
            facts=given,
            state=MessageState.GIVEN_UP if lost else MessageState.WAITING,
            made=now,
            due=now,
            ended=now if lost else None,
            error=f"there is no address for {person}" if lost else None,
        )

    def _ask(self, seen: Look, rows: dict[str, Kept]) -> int:
        """Ask for what the journal has noted and nobody has asked for yet; return how many."""
        number = 0
        for person in seen.people:
            own = rows.get(person.name, person.kept).asked
            if person.again and own:
                body = self._body("resume", person.name, f"back-{own}", "somebody saw them again")
            elif person.step is Step.CLOSE and person.closed is None and person.asked is None:
                why = f"nobody saw them use anything for {self._settings.after} days"
                body = self._body("suspend", person.name, str(own), why)
            else:
                continue
            try:
                drop(self._system.config.spool / "staging", f"idle-{person.name}.json", body)
            except (ConfigError, OSError, ValueError) as error:
                log.error("idle: the closing of %s cannot be asked for: %s", person.name, error)
                continue
            number += 1
        return number

    @staticmethod
    def _body(verb: str, name: str, own: str, reason: str) -> bytes:
        asked = {"provisioner": 1, "id": own, "action": f"user.{verb}", "user": {"name": name}}
        return dump({**asked, "cause": figures.CAUSE, "reason": reason}).encode()

    def _doubt(self, problems: Sequence[str], before: Last | None, now: float) -> None:
        """Note that nobody is closed, and tell operators why, if it is news."""
        for problem in problems:
            log.warning("idle: nobody is closed: %s", problem)
        same = before is not None and before.problems == tuple(problems)
        told_at = before.told if before is not None and same else 0.0
        tells = not 0 <= now - told_at < _TOLD_AGAIN and Event.IDLE_STOPPED in self._notify.events
        shown = list(problems[:_NAMED])
        if len(problems) > _NAMED:
            shown.append(f"and {len(problems) - _NAMED} more: provisioner idle")
        told: dict[str, Any] = {
            "problems": shown,
            "closes": None,
            "days": None,
            "last": None,
            "after": None,
        }
        mail = self._notify.mail
        with self._system.journal.transaction() as conn:
            if tells:
                stopped = Event.IDLE_STOPPED
                made = [
                    self._message(MAIL, stopped, "operators", address, told, now)
                    for address in (mail.operators if mail is not None else ())
                ]
                if self._notify.hook is not None:
                    made.append(self._message(HOOK, stopped, "", "", told, now))
                messages.add(conn, made)
            noted = Last(now, tuple(problems), now if tells else told_at)
            figures.note(conn, noted)
