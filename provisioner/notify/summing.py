"""Summing up: the daily digest, and a summary of many messages, as facts for their templates.

Promises: reads only. Leaves out: what a cause is (`inspection.failures`), which the caller gives.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from provisioner.journal.figures import drift
from provisioner.journal.journal import Connection
from provisioner.journal.outbox import messages, news
from provisioner.journal.outbox.messages import Message
from provisioner.journal.records import request_rows
from provisioner.objects.states import ENDED, OPEN, MessageState
from provisioner.outcome.results import moment

MOST_CAUSES = 20
"""The most causes that a digest lists."""


class Cause(Protocol):
    """One cause of failures, as `inspection.failures` finds it."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def failures(self) -> Sequence[Any]:
        """The failures, oldest first."""

    @property
    def since(self) -> float:
        """From when the oldest is: seconds since the epoch."""

    @property
    def subjects(self) -> list[str]:
        """Whom they are about."""


Causes = Callable[[Connection], Sequence[Cause]]
"""Returns the causes of what failed and needs a person."""


def last_due(clock: str, now: float) -> float:
    """Return the last moment at which a digest was due. clock: HH:MM, local time."""
    hour, minute = map(int, clock.split(":"))
    day = datetime.fromtimestamp(now).astimezone()
    today = day.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if today.timestamp() <= now:
        return today.timestamp()
    return today.timestamp() - 86400.0


def digest_facts(conn: Connection, causes: Causes, since: float, now: float) -> dict[str, Any]:
    """Return the facts of a digest since a time."""
    ended = Counter(news.ended_since(conn, since))
    states = request_rows.counts(conn)
    oldest = request_rows.in_states(conn, OPEN, 1)
    listed = causes(conn)
    return {
        "since": time.strftime("%Y-%m-%d %H:%M", time.localtime(since)),
        "done": ended.get("done", 0),
        "ended": {state: ended[state] for state in ENDED if ended[state]},
        "open": {str(state): states[state] for state in OPEN if states.get(state)},
        "oldest": _oldest(oldest[0], now) if oldest else None,
        "causes": [_cause(cause) for cause in listed[:MOST_CAUSES]],
        "drift": _drift(conn, since),
        "given_up": messages.counts(conn).get(MessageState.GIVEN_UP, 0),
    }


def _drift(conn: Connection, since: float) -> list[dict[str, Any]]:
    """Return what each handler's looks for drift found, if it is news or still differs."""
    told = drift.told_since(conn, since)
    nothing = {"found": 0, "repaired": 0}
    return [
        {
            "handler": name,
            **told.get(name, nothing),
            "differing": len(seen.look.differing),
            "error": seen.look.error,
        }
        for name, seen in sorted(drift.seen(conn).items())
        if name in told or seen.look.differing or seen.look.error
    ]


def _oldest(record: request_rows.Record, now: float) -> dict[str, Any]:
    return {
        "id": record.id,
        "action": record.action,
        "subject": record.subject,
        "state": str(record.state),
        "since": moment(record.accepted),
        "age": age(now - record.accepted),
    }


def _cause(cause: Cause) -> dict[str, Any]:
    example = cause.failures[0]
    return {
        "id": cause.id,
        "kind": str(example.kind),
        "where": example.where,
        "count": len(cause.failures),
        "message": example.message,
        "advice": example.advice,
        "oldest": moment(cause.since),
        "subjects": list(cause.subjects),
    }


def age(seconds: float) -> str:
    """Return a span in the largest unit that it fills."""
    for name, unit in (("day", 86400), ("hour", 3600), ("minute", 60)):
        number = int(seconds // unit)
        if number:
            return f"{number} {name}" if number == 1 else f"{number} {name}s"
    return "less than a minute"


def items(some: Sequence[Message]) -> list[dict[str, str]]:
    """Return one line for each of some messages."""
    return [{"at": moment(m.made), "text": line(m)} for m in some]


def line(message: Message) -> str:
    """Return what a message says, in a few words."""
    facts = message.facts
    what = message.event.replace("_", " ")
    failure = facts.get("failure")
    if failure:
        about = message.subject or facts["request"]["file"]
        return f"{about} {failure['state']}: {failure['problem']}"
    for key, name in (("ends", "at"), ("idle", "closes")):
        day = (facts.get(key) or {}).get(name)
        what += f": closed on {day}" if day else ""
    return f"{message.subject}: {what}" if message.subject else what
