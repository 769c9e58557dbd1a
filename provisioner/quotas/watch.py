"""The watch over quotas: use is read by schedule, and who answers for it is warned.

Promises: a warning is made in the transaction that notes its level, so that it is told once,
whatever is killed when. What hovers at a threshold gets one mail. Nobody is told anything unless
the site has mail or a hook. Receipts get the newest use. Leaves out: sending (`notify`), and the
words (templates).
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from provisioner.config.notify import Event
from provisioner.contract import format_size
from provisioner.convergence import threads
from provisioner.journal.figures import quota as figures
from provisioner.journal.figures.quota import Level
from provisioner.journal.journal import Connection
from provisioner.journal.outbox import messages
from provisioner.journal.outbox.messages import HOOK, KEYS, MAIL, Message
from provisioner.objects.states import MessageState
from provisioner.outcome.results import moment
from provisioner.quotas import gauges, levels
from provisioner.quotas.gauges import Gauge, Owner
from provisioner.system.ulid import RequestId
from provisioner.wiring import System

log = logging.getLogger(__name__)

_DAY = 86400.0


class Watch:
    """Works in its own thread between `start` and `stop`."""

    def __init__(
        self,
        system: System,
        address: Callable[[Connection, str], str],
        renew: Callable[[Collection[RequestId]], object],
        dated: Callable[[], float],
    ) -> None:
        """address: returns where a person gets mail, '' if nowhere; renew: has the receipts of
        requests written again; dated: the time by which old points of trends are dropped."""
        self._system = system
        self._settings = system.config.quota
        self._notify = system.config.notify
        self._address = address
        self._renew = renew
        self._dated = dated
        failed = "the use of quotas could not be read"
        self._thread = threads.EveryMinute("quotas", self._look_if_due, failed)

    def start(self) -> None:
        """Start the thread, unless use is never read."""
        if self._settings.minutes:
            self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._thread.stop()

    def _look_if_due(self) -> None:
        if self.due(time.time()):
            self.look(time.time())

    def due(self, now: float) -> bool:
        """Return True if use was not read for as long as the schedule says."""
        with self._system.journal.reading() as conn:
            last = figures.last(conn)
        return last is None or not 0 <= now - last < 60 * self._settings.minutes

    def look(self, now: float) -> None:
        """Read all use, note it, and make the warnings. now: seconds since the epoch."""
        read = gauges.read(self._system)
        for name, why in read.unread.items():
            log.warning("quotas: %s could not be asked: %s", name, why)
        with self._system.journal.reading() as conn:
            before = figures.levels(conn)
        dropped = min(now, self._dated()) - self._settings.days * _DAY
        after: dict[figures.Of, Level] = {}
        warned: list[Gauge] = []
        for gauge in read.gauges:
            old = before.get(gauge.of, Level(0.0, 0.0))
            settings = self._settings
            level = levels.level(gauge.meter, settings.thresholds, old.level, settings.margin)
            news = level > old.told and self._tells
            after[gauge.of] = Level(level, level if news else min(old.told, level))
            if news:
                warned.append(gauge)
        with self._system.journal.transaction() as conn:
            figures.put(conn, after, now)
            used = {gauge.of: gauge.meter.used for gauge in read.gauges}
            figures.note(conn, used, now, dropped)
            made = [m for g in warned for m in self._messages(conn, g, after[g.of].level, now)]
            messages.add(conn, made)
        owners = [owner for gauge in read.gauges for owner in gauge.owners]
        self._renew(dict.fromkeys(owner.request for owner in owners if owner.request))
        if warned:
            log.info("quotas: %d warnings of %d limits", len(made), len(read.gauges))

    @property
    def _tells(self) -> bool:
        return bool(self._notify.channels) and Event.QUOTA_WARNING in self._notify.events

    def _messages(
        self, conn: Connection, gauge: Gauge, level: float, now: float
    ) -> Iterator[Message]:
        """Yield a message for each who answers for an object, and one for the hook."""
        told = {name: (one, role) for one in gauge.owners for name, role in one.people.items()}
        facts = {**dict.fromkeys(KEYS), "quota": quota_facts(gauge, level)}
        facts |= {"event": Event.QUOTA_WARNING.value, "service": self._system.config.service}
        facts |= {"at": moment(now), "request": None, "suspended": False, "again": False}
        if self._notify.mail is not None:
            for person, (one, role) in told.items():
                to = replace(one, person=person, role=role)
                yield _message(MAIL, gauge, to, self._address(conn, person), facts, now)
        if self._notify.hook is not None:
            owner = next((one for one, _ in told.values()), Owner(""))
            named = [{"person": person, "role": role} for person, (_, role) in told.items()]
            yield _message(HOOK, gauge, owner, "", {**facts, "people": named}, now)


def quota_facts(gauge: Gauge, level: float) -> dict[str, object]:
    """Return what templates and the hook learn of a limit, as people write it."""
    meter = gauge.meter

    def amount(number: int) -> str:
        return about(number) if meter.what == "space" else f"{number:,}"

    return {
        "object": gauge.key,
        "what": meter.what,
        "path": meter.path,
        "percent": round(gauge.percent),
        "used": amount(meter.used),
        "soft": amount(meter.soft) if meter.soft else None,
        "hard": amount(meter.hard) if meter.hard else None,
        "grace": meter.grace or None,
        "full": level >= levels.FULL,
        "days": None if gauge.full is None else max(1, round(gauge.full)),
        "project": next((one.project for one in gauge.owners if one.project), None),
    }


def about(size: int) -> str:
    """Return a measured size, to a tenth of its unit: `2.6 TiB`."""
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if abs(value) < 1024:
            break
        value, unit = value / 1024, larger
    return format_size(size) if unit == "B" else f"{value:.1f}".removesuffix(".0") + f" {unit}"


def _message(
    channel: str,
    gauge: Gauge,
    owner: Owner,
    address: str,
    facts: dict[str, object],
    now: float,
) -> Message:
    told = f"{channel} {owner.person} {gauge.key} {gauge.meter.what}"
    mark = hashlib.sha256(told.encode()).hexdigest()[:10]
    name = f"quota-{int(now)}-{mark}"
    lost = channel == MAIL and not address
    whom: dict[str, object] = {"person": owner.person, "role": owner.role, "subject": owner.subject}
    if channel == HOOK:
        whom = {"id": name, "subject": owner.subject}
    return Message(
        id=name,
        channel=channel,
        event=Event.QUOTA_WARNING,
        person="" if channel == HOOK else owner.person,
        address=address,
        subject=owner.subject,
        facts={**facts, **whom},
        state=MessageState.GIVEN_UP if lost else MessageState.WAITING,
        made=now,
        due=now,
        ended=now if lost else None,
        error=f"there is no address for {owner.person}" if lost else None,
    )
