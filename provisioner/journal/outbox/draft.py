"""A draft: what a portion of the news comes to, until it is written.

Promises: what a person knows is written with the message that says so, or after it: after a kill in
between, the message is made again and is there already. Leaves out: what is news (`notify`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from provisioner.journal.journal import Connection, Journal
from provisioner.journal.outbox import known, messages, news
from provisioner.journal.outbox.known import Known, Pair
from provisioner.journal.outbox.messages import Message

log = logging.getLogger(__name__)

MANY = 1_000
"""Messages, and facts that people know by them, after which no more is drafted; and messages that
are written in one transaction: an allocation can have ten thousand users."""


@dataclass(slots=True)
class Draft:
    """messages, known: what is made; forgotten: what is to be news again if it happens again."""

    messages: list[Message] = field(default_factory=list)
    known: dict[Pair, Known] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)

    @property
    def is_full(self) -> bool:
        """Return True if it is written before more is looked at."""
        return len(self.messages) + len(self.known) >= MANY

    def forget(self, about: str) -> None:
        """Let something be news again."""
        self.forgotten.add(about)
        self.known = {pair: fact for pair, fact in self.known.items() if pair[1] != about}

    def over(self, before: Mapping[Pair, Known]) -> dict[Pair, Known]:
        """Return what persons know after this draft. before: what the journal says."""
        left = {pair: fact for pair, fact in before.items() if pair[1] not in self.forgotten}
        return {**left, **self.known}

    def write(self, book: Journal, last: int) -> None:
        """Write it, and that the news were looked at. last: the number of the last event."""
        self.ahead(book)
        with book.transaction() as conn:
            known.forget(conn, self.forgotten)
            self.put(conn)
            news.through(conn, last)

    def ahead(self, book: Journal) -> None:
        """Write messages until no more than `MANY` are left, as many in each transaction."""
        while len(self.messages) > MANY:
            with book.transaction() as conn:
                _add(conn, self.messages[:MANY])
            del self.messages[:MANY]

    def put(self, conn: Connection) -> None:
        """Write messages, and what people know by them."""
        known.put(conn, self.known)
        _add(conn, self.messages)


def _add(conn: Connection, made: Sequence[Message]) -> None:
    for lost in messages.add(conn, made):
        log.error("%s %s to %s: another message has its id", lost.channel, lost.id, lost.person)
