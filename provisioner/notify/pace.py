"""Pace: which waiting mails go now, and which become one summary. Pure.

Promises: no address gets more mails an hour than allowed, nor do all together. More than that
become one summary for each address, so that a storm is one mail; a summary says all that it has
replaced, oldest first. Leaves out: whose turn it is (`outbox.messages`), and messages for the hook,
which have no limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from provisioner.journal.outbox.messages import Message, mailbox

WINDOW = 3600.0
"""Seconds in which mails are counted."""

ROUND = 10.0
"""Seconds after which a program of the site gets no more, until it is seen whose turn it is."""

MOST = 100
"""The most messages in one summary: a mail that is read to its end."""


@dataclass(slots=True)
class Plan:
    """What goes now. single: as it is; merged: lists that each become one mail; wait: mails that
    have to wait for room."""

    single: list[Message] = field(default_factory=list)
    merged: list[list[Message]] = field(default_factory=list)
    wait: int = 0


def plan(
    due: Sequence[Message],
    sent: Mapping[str, Sequence[float]],
    *,
    per_recipient: int,
    in_all: int,
) -> Plan:
    """Return which mails go now.

    due: in the order of their turns; sent: when each address (`mailbox`) got mail within
    the window.
    """
    made = Plan()
    room = max(0, in_all - sum(map(len, sent.values())))
    by_address: dict[str, list[Message]] = {}
    for message in due:
        by_address.setdefault(mailbox(message.address), []).append(message)
    left = len(due)
    for address, some in by_address.items():
        crowded, left = left > room, left - len(some)
        own = min(room, max(0, per_recipient - len(sent.get(address, ()))))
        if own == 0:
            made.wait += len(some)
        elif len(some) > own or (crowded and len(some) > 1):
            made.merged.append(sorted(some[:MOST], key=lambda message: message.made))
            made.wait += len(some[MOST:])
            room -= 1
        else:
            made.single += some
            room -= len(some)
    return made


def delay(attempts: int) -> float:
    """Return the seconds before the next try after some failed ones: 30 s, doubled, at most 1 h."""
    return float(min(WINDOW, 30 * 2 ** min(attempts, 10)))
