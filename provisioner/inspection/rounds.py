"""Rounds: each backend is compared with what is wanted by a schedule, and drift is repaired.

Promises: a handler is read as a whole, in the calls of `drift`. Only what was as wanted before
counts: what is due, waits or was given up is work, and not drift. A repair is a request of the
service like any other, so policy judges it, it is in the audit trail, and what takes something from
too many people is held. What was asked for and still differs is asked for once a day. Leaves out:
what differs (`drift`), and repairing (lanes).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from provisioner.contract import ConfigError, Key
from provisioner.inspection import drift
from provisioner.inspection.planning import Standing
from provisioner.journal import facts
from provisioner.journal.figures import drift as figures
from provisioner.journal.figures.drift import Look, Seen
from provisioner.journal.journal import Connection
from provisioner.journal.records import object_rows, request_rows
from provisioner.objects.states import OPEN
from provisioner.request.actions import MOST_OBJECTS
from provisioner.request.documents import InvalidDocument, dump
from provisioner.request.request import parse_request
from provisioner.spool.submit import drop
from provisioner.system import ulid, users
from provisioner.wiring import System

log = logging.getLogger(__name__)

ASKED_AGAIN = 86400.0
"""Seconds until a repair of the same objects is asked for again."""

SOON = 300.0
"""The most seconds from a repair to the next look, which shows whether it was done."""

_NAMED = 3
"""How many objects a line of the log names."""


class Rounds:
    """Looks for drift when it is due; `walk` is called every minute."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._schedule = {
            name: 60 * system.config.drift.minutes(name, system.lanes[name], system.kinds[name])
            for name in system.handlers
        }

    def walk(self, now: float) -> list[Look]:
        """Look at the handlers that are due, and ask for repairs; return what was seen.

        now: seconds since the epoch.
        """
        with self._system.journal.reading() as conn:
            before = figures.seen(conn)
            paused = {n for n, row in object_rows.lane_rows(conn).items() if row["paused_by"]}
            writes = facts.get(conn, facts.OBSERVING) is None
            open_still = _open_repairs(conn)
        due = [
            name
            for name in self._system.handlers
            if self._system.lanes[name] not in paused and self._due(name, before.get(name), now)
        ]
        looks: list[Look] = []
        wrong: dict[str, list[Standing]] = {}
        for name in due:
            look, wrong[name] = self._look(name, now)
            looks.append(look)
        asked: dict[str, list[Key]] = {}
        if writes and self._system.config.drift.repair:
            asked = self._repair(wrong, before, open_still, now)
        with self._system.journal.transaction() as conn:
            for look in looks:
                figures.record(
                    conn, look, before.get(look.instance), now, asked.get(look.instance, ())
                )
        for look in looks:
            _tell(look, look.instance in asked)
        return looks

    def _due(self, name: str, last: Seen | None, now: float) -> bool:
        """Return True if a handler is to be looked at: by schedule, or soon after a repair."""
        every = self._schedule[name]
        if every <= 0:
            return False
        if last is None or last.look.at > now:
            return True
        if last.look.differing and last.asked == last.look.at:
            every = min(every, SOON)
        return now - last.look.at >= every

    def _look(self, name: str, now: float) -> tuple[Look, list[Standing]]:
        """Compare the settled objects of a handler with what is wanted."""
        began = time.monotonic()
        with self._system.journal.reading() as conn:
            settled = object_rows.settled(conn, [name])
        seen = drift.known(self._system, [name])
        took = time.monotonic() - began
        with self._system.journal.reading() as conn:
            after = object_rows.settled(conn, [name])
        still = {key for key, generation in settled.items() if after.get(key) == generation}
        away = [s.error for s in seen.faults if s.error and s.error.type == "Unavailable"]
        if settled and len(away) >= len(settled):
            return Look(name, now, took, error=away[0].message), []
        wrong = [standing for standing in seen.changes if standing.key in still]
        look = Look(
            name,
            now,
            took,
            len(still),
            tuple(sorted(standing.key for standing in wrong)),
            sum(standing.closes for standing in wrong),
            sum(standing.key in still for standing in seen.faults),
        )
        return look, wrong

    def _repair(
        self,
        wrong: Mapping[str, Sequence[Standing]],
        before: Mapping[str, Seen],
        open_still: set[Key],
        now: float,
    ) -> dict[str, list[Key]]:
        """Ask for repairs of what was not asked for lately; return them by handler."""
        chosen = [
            standing
            for name, standings in wrong.items()
            for standing in standings
            if standing.key not in open_still and _newly(standing.key, before.get(name), now)
        ]
        for body in repairs(chosen, "found by the schedule of drift"):
            try:
                drop(self._system.config.spool / "staging", "drift.json", body)
            except (ConfigError, OSError) as error:
                log.error("drift: a repair cannot be asked for: %s", error)
                return {}
        later = left_over(chosen)
        if later:
            log.warning("drift: %d more would be closed: the next look asks for them", len(later))
        asked: dict[str, list[Key]] = {}
        left = {standing.key for standing in later}
        for standing in chosen:
            if standing.key not in left:
                asked.setdefault(standing.instance, []).append(standing.key)
        return asked


def _newly(key: Key, last: Seen | None, now: float) -> bool:
    """Return True if no repair of an object was asked for lately."""
    asked = last.repairs.get(key) if last is not None else None
    return asked is None or not 0 <= now - asked < ASKED_AGAIN


def repairs(standings: Iterable[Standing], reason: str) -> Iterator[bytes]:
    """Yield the requests that have objects made as they are wanted.

    Those that close or remove something are apart: policy may hold them, and the others go on. They
    are one request, so that all people who would lose something are counted together.
    """
    closing: list[Key] = []
    others: list[Key] = []
    for standing in standings:
        (closing if standing.closes else others).append(standing.key)
    others.sort()
    starts = range(0, len(others), MOST_OBJECTS)
    portions = [others[start : start + MOST_OBJECTS] for start in starts]
    portions += [sorted(closing)[:MOST_OBJECTS]] if closing else []
    for keys in portions:
        asked = {"provisioner": 1, "action": "reconcile", "id": f"drift-{ulid.new()}"}
        asked |= {"reason": reason} if reason else {}
        yield dump({**asked, "objects": keys}).encode()


def left_over(standings: Iterable[Standing]) -> list[Standing]:
    """Return what `repairs` closes in no request, because one has room for so many objects only."""
    closing = (standing for standing in standings if standing.closes)
    return sorted(closing, key=lambda standing: standing.key)[MOST_OBJECTS:]


def _open_repairs(conn: Connection) -> set[Key]:
    """Return the objects of repairs that the service asked for and that are not over."""
    keys: set[Key] = set()
    writer = users.find(os.geteuid()).name
    ids = request_rows.older_open(conn, ulid.new(), writer, "reconcile", OPEN)
    for record in request_rows.load(conn, ids).values():
        with suppress(InvalidDocument):
            keys.update(parse_request(record.body).values["objects"])
    return keys


def _tell(look: Look, asked: bool) -> None:
    """Log what a look found."""
    if look.error:
        log.warning("drift: %s could not be asked: %s", look.instance, look.error)
        return
    if not look.differing:
        log.info("drift: %s: %d objects as wanted", look.instance, look.looked)
        return
    more = len(look.differing) - _NAMED
    named = ", ".join(look.differing[:_NAMED]) + (f" and {more} more" if more > 0 else "")
    todo = "a repair is asked for" if asked else f"look: provisioner drift; repair: {drift.REPAIR}"
    log.warning("drift: %s: %d differ: %s; %s", look.instance, len(look.differing), named, todo)
