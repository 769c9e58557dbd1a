"""The worklist: requests that need a person or wait, each with its reason; filters; a summary.

Promises: reads only. What failed comes first, the newest first, then what waits, the oldest first.
Requests that control others are left out unless they are asked for. Leaves out: how it is printed
(`cli`), and what a cause is (`failures`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from provisioner.inspection import failures, glimpse
from provisioner.journal.journal import Connection
from provisioner.journal.queries import replaced
from provisioner.journal.records import event_rows, request_rows, step_rows
from provisioner.journal.records.request_rows import Record
from provisioner.objects.states import OPEN, RequestState
from provisioner.request.subjects import Glimpse

ORDER = (
    RequestState.FAILED,
    RequestState.REFUSED,
    RequestState.HELD,
    RequestState.DEFERRED,
    RequestState.ACCEPTED,
    RequestState.SCHEDULED,
)
"""The states of the worklist: trouble first."""

TROUBLE = (RequestState.FAILED, RequestState.REFUSED)

MOST = 10_000
"""The most open requests that a filter looks at, the oldest first."""


def about(record: Record) -> tuple[str, str]:
    """Return action and subject of a request, as far as they can be read."""
    if record.action:
        return record.action, record.subject
    seen = glimpse.of(record)
    return seen.action, seen.subject


@dataclass(frozen=True, slots=True)
class Item:
    """One request of the worklist.

    where: the handlers that it waits for or failed at, or the key that is wrong; reason: why, in
    words; advice: what to do, or ''; cause: the same for all with the same reason.
    """

    record: Record
    where: tuple[str, ...]
    reason: str
    advice: str
    cause: str

    @property
    def since(self) -> float:
        """When it was accepted, or its file first refused: seconds since the epoch."""
        return replaced.since(self.record)

    @property
    def glimpse(self) -> Glimpse:
        """What its file names; read each time."""
        return glimpse.of(self.record)

    @property
    def about(self) -> tuple[str, str]:
        """Action and subject, as far as they can be read."""
        return about(self.record)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests are asked for; what is empty fits all.

    action: with `*` and `?`; subject: whole, or a name in it; since, before: bounds of the time of
    acceptance, in seconds since the epoch.
    """

    states: Collection[str] = ()
    action: str = ""
    subject: str = ""
    user: str = ""
    project: str = ""
    handler: str = ""
    writer: str = ""
    cause: str = ""
    since: float | None = None
    before: float | None = None

    @property
    def everything(self) -> bool:
        """True if nothing narrows the list."""
        return self == Wanted()

    def fits(self, item: Item) -> bool:
        """Return True if a request is one of those that are asked for."""
        record = item.record
        action, subject = item.about
        return (
            (not self.states or record.state in self.states)
            and (not self.action or fnmatchcase(action, self.action))
            and (not self.subject or self.subject in _names(subject))
            and (not self.handler or self.handler in item.where)
            and (not self.cause or self.cause == item.cause)
            and self.writer in ("", record.writer, record.on_behalf_of)
            and (self.since is None or item.since >= self.since)
            and (self.before is None or item.since < self.before)
            and (not self.user or self.user in item.glimpse.users)
            and (not self.project or self.project == item.glimpse.project)
        )


def _names(subject: str) -> set[str]:
    """Return a subject, each part of it, and the name of each part."""
    parts = subject.split("/")
    return {subject, *parts, *(part.partition(":")[2] for part in parts)}


def is_control(record: Record) -> bool:
    """Return True if a request steers another one, a lane or the journal."""
    return record.action.startswith(failures.CONTROLS)


def trouble(conn: Connection) -> list[Item]:
    """List what failed or was refused and needs a person, the newest first."""
    return [item_of(failure) for failure in reversed(failures.unfixed(conn))]


def item_of(failure: failures.Failure) -> Item:
    """Return a failure as an item of the worklist."""
    cause, where = failures.cause_of(failure), (failure.where,)
    return Item(failure.record, where, failure.message, _advice(failure), cause)


def _advice(failure: failures.Failure) -> str:
    """Return what to do about a failure, as a sentence."""
    if failure.advice:
        return f"what to do: {failure.advice}"
    if failure.nearest:
        return f"did you mean {failure.nearest}?"
    return f"expected: {failure.expected}" if failure.expected else ""


def waiting(conn: Connection, limit: int = MOST) -> list[Item]:
    """List open requests with why they wait, the oldest first."""
    records = request_rows.in_states(conn, OPEN, limit)
    ids = [record.id for record in records]
    waits = step_rows.waiting_for(conn, ids)
    why = event_rows.why_held(conn, [r.id for r in records if r.state == RequestState.HELD])
    return [_open(record, waits[record.id], why.get(record.id, "")) for record in records]


def _open(record: Record, waits: Sequence[Mapping[str, object]], held: str) -> Item:
    where = tuple(dict.fromkeys(str(wait["object"]).partition("/")[0] for wait in waits))
    errors = [error for wait in waits if isinstance(error := wait["error"], Mapping)]
    reason, advice, kind = "waiting for its turn", "", str(record.state)
    if record.state == RequestState.HELD:
        where, reason = (), f"held {held}".strip()
        advice = f"provisioner release {record.id}"
    elif record.state == RequestState.SCHEDULED:
        reason = "until its not_before"
    elif errors:
        worst = errors[0]
        reason = str(worst["message"]).removeprefix(f"{worst.get('object', '')}: ")
        advice = str(worst.get("advice") or "")
        kind = failures.kind_of(str(worst["type"]), bug=bool(worst.get("traceback")))
        where = (str(worst.get("object", "")).partition("/")[0] or where[0],)
    cause = failures.of_words(record, kind, "".join(where[:1]), reason)
    return Item(record, where, reason, advice, cause)


@dataclass(frozen=True, slots=True)
class Shape:
    """How many requests of each age wait or failed for one reason. counts: by `BOUNDS`."""

    state: str
    where: str
    reason: str
    cause: str
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts)


BOUNDS = (300.0, 3600.0, 6 * 3600.0, 86400.0, 3 * 86400.0, 7 * 86400.0)
"""Upper bounds of the ages in a shape, in seconds; the last column is older."""


def shape(items: Iterable[Item], now: float) -> list[Shape]:
    """Count items by reason and age, the most frequent reason first."""
    groups: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        groups.setdefault((item.cause, item.record.state), []).append(item)
    shapes = []
    for (cause, _), some in groups.items():
        counts = [0] * (len(BOUNDS) + 1)
        for item in some:
            age = now - item.since
            counts[sum(age >= bound for bound in BOUNDS)] += 1
        first = some[0]
        where = "".join(first.where[:1])
        shapes.append(Shape(first.record.state, where, first.reason, cause, tuple(counts)))
    return sorted(shapes, key=lambda each: (-each.total, each.cause))
