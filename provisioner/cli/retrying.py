"""Following retries: what becomes of the requests that were tried again.

Promises: a retry that is done says nothing; only the outcome of what it tried again counts, and a
request that still waits says for what. Leaves out: which requests are meant (`control`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from provisioner.cli import apart, files, outcomes, progress, site, submitting
from provisioner.cli.exits import Exit
from provisioner.cli.options import Sending
from provisioner.cli.outcomes import Asked, Outcome
from provisioner.cli.waiting import waits
from provisioner.objects.states import ENDED, OPEN, RequestState
from provisioner.system.ulid import RequestId

if TYPE_CHECKING:
    from provisioner.journal.journal import Connection, Journal
    from provisioner.journal.records.request_rows import Record

WAITS = "waits"
"""The outcome of a request that was tried, or cannot be tried now, and still waits."""


def follow(targets: Sequence[Record], asked: Sequence[Asked], sending: Sending) -> None:
    """Retry requests, follow them until each is over or still waits, and print a table.

    asked: the request that retries each of the targets. Ends with the worst code.
    """
    since, at = apart.begun(submitting.open_door()), time.time()
    began = time.monotonic()
    digests = _digests(targets)
    book = site.journal(site.config())
    try:
        with progress.screen("requests") as (say, advance):
            steered = outcomes.sent(asked, since, sending, advance)
            known = {one.place: target for one, target in zip(asked, targets, strict=True)}
            tried = {place: known[place] for place, each in steered.items() if each.code == Exit.OK}
            looking = _Looking(book, tried, digests, since, at)
            left = max(0.0, sending.timeout - (time.monotonic() - began))
            seen = outcomes.until_over({p: p for p in tried}, left, advance, looking.look)
            seen = {**steered, **outcomes.explained(book, seen)}
            for line, state in outcomes.table(list(seen.values()), time.monotonic() - began):
                say(line, state)
    except KeyboardInterrupt:
        site.say("the requests continue: provisioner queue", file=sys.stderr)
        raise typer.Exit(130) from None
    finally:
        book.close()
    raise typer.Exit(outcomes.worst(seen.values()))


@dataclass(frozen=True, slots=True)
class _Looking:
    """What to look at.

    tried: what each row is about; digests: of each refused file; since, at: when the retries were
    sent.
    """

    book: Journal
    tried: Mapping[str, Record]
    digests: Mapping[RequestId, str]
    since: str
    at: float

    def look(self) -> dict[str, Outcome]:
        """Return how each request stands, as far as it was taken again."""
        from provisioner.journal.records import request_rows

        with self.book.reading() as conn:
            anew = _sent_again(conn, list(self.tried.values()), self.digests, self.since)
            now = request_rows.load(conn, [record.id for record in self.tried.values()])
            return {
                place: self._outcome(conn, place, record)
                for place, before in self.tried.items()
                if (record := _now(before, now, anew)) is not None
            }

    def _outcome(self, conn: Connection, place: str, record: Record) -> Outcome:
        outcome = outcomes.of_record(place, record)
        if record.state in ENDED:
            return outcome
        still = still_waits(conn, record, self.at)
        return replace(outcome, state=WAITS, code=Exit.AWAY, text=still) if still else outcome


def _now(
    before: Record, now: Mapping[RequestId, Record], anew: Mapping[RequestId, Record]
) -> Record | None:
    """Return the request that counts after a retry; a refused one is sent again under a new id."""
    return (anew if before.state == RequestState.REFUSED else now).get(before.id)


def _digests(targets: Sequence[Record]) -> dict[RequestId, str]:
    """Return the SHA-256 of each refused file as it is now: somebody may have corrected it."""
    spool = site.config().spool
    return {
        record.id: _digest(files.path_of(spool, record)) or record.digest
        for record in targets
        if record.state == RequestState.REFUSED
    }


def _digest(file: Path) -> str:
    """Return the SHA-256 of a file; '' if the caller cannot read it."""
    import hashlib

    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""


def _sent_again(
    conn: Connection, targets: Sequence[Record], digests: Mapping[RequestId, str], since: str
) -> dict[RequestId, Record]:
    """Return what each refused file became: the new request of its writer, name and content."""
    from provisioner.journal.queries import lookup

    refused = sorted((one for one in targets if one.id in digests), key=lambda one: one.id)
    names = {name for record in refused for name in _names(record)}
    new = lookup.named_since(conn, names, since)
    became: dict[RequestId, Record] = {}
    for record in refused:
        fitting = (
            one
            for name in _names(record)
            for one in new
            if (one.uid, one.name) == (record.uid, name)
            # A file that cannot be read has no digest.
            and one.digest in (digests[record.id], "")
        )
        if (one := next(fitting, None)) is not None:
            became[record.id] = one
            new.remove(one)
    return became


def _names(record: Record) -> tuple[str, str]:
    """Return the names that a refused file may have in staging, the more special one first."""
    stem, dot, ending = record.name.rpartition(".")
    return f"{stem}-{record.id}{dot}{ending}", record.name


def still_waits(conn: Connection, record: Record, since: float) -> str:
    """Return what a request still waits for after a try, or because it cannot be tried; else ''.

    since: when it was to be tried, seconds since the epoch.
    """
    from provisioner.journal.records import event_rows, object_rows, step_rows

    if record.state not in OPEN:
        return ""
    lanes = object_rows.lane_rows(conn)
    waiting = step_rows.waiting_for(conn, [record.id])[record.id]
    now = time.time()

    def is_over(each: Mapping[str, object]) -> bool:
        lane = lanes.get(str(each["lane"]), {})
        stopped = lane.get("paused_by") or (lane.get("breaker_until") or 0) > now
        due = each["due"]
        return bool(stopped or (isinstance(due, float) and due > since and each["error"]))

    if record.state == RequestState.HELD:
        return f"held {event_rows.why_held(conn, [record.id]).get(record.id, '')}".strip()
    if record.state != RequestState.SCHEDULED and not (waiting and all(map(is_over, waiting))):
        return ""
    return waits(record, waiting, lanes, None, now)[0]


def follow_one(target: Record, body: bytes, sending: Sending) -> None:
    """Retry one request, and print its steps until it is over or still waits."""
    from provisioner.journal.records import request_rows

    since, at = apart.begun(submitting.open_door()), time.time()
    began = time.monotonic()
    digests = _digests([target])
    place = target.id
    steered = outcomes.sent([Asked(place, "retry.yaml", body)], since, sending, lambda *_: None)
    [outcome] = steered.values()
    if outcome.code != Exit.OK:
        site.say(f"{outcome.state}: {outcome.text}" if outcome.text else outcome.state)
        raise typer.Exit(outcomes.worst([outcome]))
    left = max(0.0, sending.timeout - (time.monotonic() - began))

    def look(conn: Connection) -> Record | None:
        if target.id in digests:
            return _sent_again(conn, [target], digests, since).get(target.id)
        return request_rows.load(conn, [target.id]).get(target.id)

    def still(conn: Connection, record: Record) -> str:
        # A file that was sent again is new: it waits as any other.
        return "" if target.id in digests else still_waits(conn, record, at)

    raise typer.Exit(progress.wait_for_request(target.id, look, left, still))
