"""What follows a commit: results, receipts, and files moved to where their request stands.

Promises: everything here can be done again from the journal, so a crash before it loses nothing;
`redo` does so at the start. Leaves out: deciding any outcome (`intake`, `steps`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from provisioner import audit, journal, receipts, records, results, stepbook
from provisioner.documents import Problem
from provisioner.requestfile import user_name
from provisioner.spool import Rejected, Spool
from provisioner.strikes import Strikes

log = logging.getLogger(__name__)

PLACE = {
    "accepted": "active",
    "deferred": "deferred",
    "scheduled": "deferred",
    "held": "held",
    "done": "done",
    "superseded": "done",
    "failed": "failed",
    "refused": "failed",
    "cancelled": "failed",
}
"""Where the file of a request in each state lies."""

_MOVING = ("active", "deferred", "held")

_TOLD = (*records.ENDED, "deferred")
"""States in which somebody may want to know of each step."""

_LATELY = 600.0
"""Seconds before the newest event that may not have been flushed when the power went; Linux keeps
what was written for half a minute where nobody tells it otherwise."""

_MOST = 200_000
"""Events that are looked at for that."""

_LONGEST = 500
"""Characters of a line of the log."""

_PORTION = 256
"""Requests whose records are in memory at once."""


DEADLY = (
    "the service died each time that it judged it: look into the service's log for why, then move "
    "the file back into staging, or a request in its place"
)
"""Why a file was set aside that nobody got to the end of."""


class Finisher:
    """Puts files, results and receipts where the journal says they belong.

    `settle`, `announce` and `resubmit` are for one thread.
    """

    def __init__(self, spool: Spool, book: journal.Journal, *, write_results: bool = True) -> None:
        self._spool = spool
        self._journal = book
        self._write_results = write_results
        self._complaints: dict[str, str] = {}
        self.strikes = Strikes(spool.root)
        self.observing = False

    def settle(self, ids: Collection[str]) -> list[str]:
        """Bring the files of requests to where their states say, with result and receipt.

        Return those that the disk did not let be brought there.
        """
        failed: list[str] = []
        if not ids:
            return failed
        with self._journal.reading() as conn:
            loaded = records.load(conn, ids)
            told = [who for who, record in loaded.items() if record.state in _TOLD]
            found = stepbook.steps_of(conn, told) if self._write_results else {}
        for who, record in loaded.items():
            listed = found.get(who, ())
            try:
                self._settle_one(record, listed)
            except OSError as error:
                self._complain(who, error)
                failed.append(who)
                continue
            self._complaints.pop(who, None)
            if record.state in records.ENDED and log.isEnabledFor(logging.INFO):
                log.info("%s", outcome_line(record, listed))
        return failed

    def _complain(self, who: str, error: OSError) -> None:
        """Log why a file is not in its place: once, as it is tried again each second."""
        why = str(error)
        if self._complaints.get(who) != why:
            self._complaints[who] = why
            log.error("%s: its file could not be put in place: %s; trying again", who, error)

    def announce(self, ids: Collection[str]) -> None:
        """Write the receipts of requests that were accepted."""
        if not ids or not self._write_results:
            return
        with self._journal.reading() as conn:
            loaded = records.load(conn, ids)
        for record in loaded.values():
            self._write_receipt(record)

    def _settle_one(self, record: records.Record, listed: Sequence[stepbook.StepRecord]) -> None:
        place = _place_of(record)
        ended = record.state in records.ENDED
        # The move comes last: a file that is where it belongs says that all the rest is done.
        if (ended and self._write_results) or not record.digest:
            self._write_result(place, record, listed)
        if self._write_results or not record.digest:
            self._write_receipt(record, listed)
        for source in _MOVING:
            if source != place and self._spool.move(record.id, source, place, record.name):
                return
        if place not in ("failed", "quarantine"):
            # It failed, and was tried again; it may be over by now.
            self._spool.discard_result("failed", record.id, record.name)
            self._spool.move(record.id, "failed", place, record.name)

    def _write_result(
        self, place: str, record: records.Record, listed: Sequence[stepbook.StepRecord]
    ) -> None:
        text = results.render(result_of(record, listed))
        self._spool.write_result(place, record.id, record.name, text)

    def _write_receipt(
        self, record: records.Record, listed: Sequence[stepbook.StepRecord] = ()
    ) -> None:
        name = receipt_name(record)
        receipt = receipt_of(record, listed, observing=self.observing)
        receipts.write(self._spool.receipts, record.writer, name, receipt)

    def resubmit(self, ulid: str) -> None:
        """Put a refused file through staging again."""
        with self._journal.reading() as conn:
            record = records.load(conn, [ulid])[ulid]
        self._spool.discard_result("failed", ulid, record.name)
        self._spool.return_to_staging(ulid, "failed", record.name)

    def reject(self, rejected: Rejected) -> None:
        """Record that a file was not even read, and why; `settle` sets it aside."""
        now = time.time()
        problem: dict[str, Any] = {"line": None, "key": "", "message": rejected.reason}
        if rejected.quarantine:
            problem["place"] = "quarantine"
        row = {
            "id": rejected.ulid,
            "name": rejected.name,
            "writer": rejected.writer,
            "uid": rejected.uid,
            "action": "",
            "subject": "",
            "digest": "",
            "body": b"",
            "state": "refused",
            "accepted": now,
            "ended": now,
            "problems": [problem],
        }
        with self._journal.transaction() as conn:
            records.insert_requests(conn, [row])
            audit.append(conn, [audit.asked(row, rejected.reason)], now)
        log.warning("%s of %s: %s", rejected.name, rejected.writer, rejected.reason)

    def redo(self) -> int:
        """Redo what a crash or a power cut may have undone, and remove what it left half written.

        To be called before anything is claimed. Return how many files were moving.
        """
        ids = {who for place in _MOVING for who in self._spool.listed(place)}
        failed = self._spool.listed("failed")
        with self._journal.reading() as conn:
            known = records.states_of(conn, ids)
            astray = {
                who
                for who, state in records.states_of(conn, failed).items()
                if PLACE[state] != "failed"
            }
            resubmitted = records.noted(conn, failed, "resubmitted")
        moving = [*known, *(astray - known.keys())]
        for start in range(0, len(moving), _PORTION):
            self.settle(moving[start : start + _PORTION])
        for who in sorted(ids - known.keys()):
            self._return(who)
        self.strikes.keep()
        for who in resubmitted:
            self.resubmit(who)
        self._mend()
        self._spool.remove_leftovers()
        return len(ids)

    def _return(self, who: str) -> None:
        """Put back what nobody had judged when the service died, unless it died of that."""
        taken = self._spool.taken(who)
        if taken is not None:
            name, found = taken
            if self.strikes.strike(found, time.time() - found.st_ctime):
                writer = user_name(found.st_uid)
                self.reject(Rejected(who, name, found.st_uid, writer, DEADLY, quarantine=True))
                self.settle([who])
                return
        back = self._spool.return_to_staging(who)
        if back is not None:
            self.strikes.suspects.add(back)

    def _mend(self) -> None:
        """Bring back what was not flushed: claims that were undone, results and receipts."""
        with self._journal.reading() as conn:
            ids = records.lately(conn, _LATELY, _MOST)
        newest: dict[tuple[str, str], str] = {}
        for start in range(0, len(ids), _PORTION):
            with self._journal.reading() as conn:
                loaded = records.load(conn, ids[start : start + _PORTION])
            newest.update({(r.writer, receipt_name(r)): r.id for r in loaded.values()})
        tell = set(newest.values())
        for start in range(0, len(ids), _PORTION):
            self._mend_some(ids[start : start + _PORTION], tell)

    def _mend_some(self, ids: Collection[str], tell: Collection[str]) -> None:
        """tell: requests that are the newest of those whose receipt has their name."""
        with self._journal.reading() as conn:
            loaded = records.load(conn, ids).values()
            unsaid = [record for record in loaded if self._lacks_result(record)]
            untold = [r for r in loaded if r.id in tell and self._lacks_receipt(r)]
            found = stepbook.steps_of(conn, [record.id for record in (*unsaid, *untold)])
        for record in unsaid:
            self._write_result(_place_of(record), record, found[record.id])
        for record in untold:
            self._write_receipt(record, found[record.id])

    def _lacks_result(self, record: records.Record) -> bool:
        """Say whether a file is in its place without its result; take it there from staging."""
        place = _place_of(record)
        if not self._spool.lies(place, record.id, record.name):
            if not record.digest:
                return False
            known = record.uid, record.digest, record.accepted
            if not self._spool.reclaim(place, record.id, record.name, *known):
                return False
            log.warning("%s: the power cut had undone its claim", record.id)
        if record.state not in records.ENDED or not self._write_results:
            return False
        return not self._spool.has_result(place, record.id, record.name)

    def _lacks_receipt(self, record: records.Record) -> bool:
        if not self._write_results:
            return False
        return not receipts.is_there(self._spool.receipts, record.writer, receipt_name(record))


def receipt_name(record: records.Record) -> str:
    """Name a receipt; what only repeats an own id leaves that one's receipt as it is."""
    return record.id if records.repeats(record.problems) else record.writer_id or record.id


def _place_of(record: records.Record) -> str:
    """Say where the file of a request belongs; one that was never read may be set aside."""
    aside = not record.digest and any("place" in problem for problem in record.problems or ())
    return "quarantine" if aside else PLACE[record.state]


def outcome_line(record: records.Record, listed: Sequence[stepbook.StepRecord] = ()) -> str:
    """Tell in one line what became of a request: how long it took, and its first error."""
    what = f"{record.action or record.name} {record.subject}".strip()
    took = (record.ended or record.accepted) - record.accepted
    errors = [
        f"step {step.name}: {error['message']}"
        for step in listed
        for error in (step.error, *(part.error for part in step.objects))
        if error
    ]
    errors += [str(_kept(one)) for one in record.problems or ()]
    first = f": {errors[0]}" if errors and record.state not in ("done", "cancelled") else ""
    line = f"{record.id} {what} of {record.asker}: {record.state} in {took:.2f} s{first}"
    # What a file or a backend said does not get to write lines of its own into the log.
    plain = "".join(one if one.isprintable() else " " for one in line)
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}..."


def _kept(told: Mapping[str, Any]) -> Problem:
    """Make a problem of what the journal keeps of one, which may know more of it."""
    keys = ("line", "key", "message", "expected", "nearest")
    return Problem(**{key: told[key] for key in keys if key in told})


def result_of(record: records.Record, listed: Sequence[stepbook.StepRecord]) -> results.Result:
    """Make a request's result from what the journal has of it."""
    again = record.state in ("failed", "refused", "cancelled") and bool(record.digest)
    return results.Result(
        id=record.id,
        name=record.name,
        action=record.action,
        subject=record.subject,
        writer=record.writer,
        outcome=record.state,
        accepted=record.accepted,
        ended=record.ended or record.accepted,
        steps=tuple(_step_of(step) for step in listed),
        problems=tuple(record.problems or ()),
        retry=f"provisioner retry {record.id}" if again else "",
        on_behalf_of=record.on_behalf_of,
    )


def _step_of(step: stepbook.StepRecord) -> results.StepResult:
    return results.StepResult(
        name=step.name,
        handler=step.instance,
        state=step.state,
        changed=tuple(f"{p.key}: {text}" for p in step.objects for text in p.changed),
        already=tuple(p.key for p in step.objects if p.state == "done" and _was_so(step, p)),
        read_back={p.key: p.read_back for p in step.objects if p.read_back is not None},
        started=step.started,
        ended=step.ended,
        error=step.error or _error_of([part.error for part in step.objects if part.error]),
    )


def _error_of(errors: Sequence[Mapping[str, str]]) -> Mapping[str, str] | None:
    """Choose the error that a step is told by: the first of its objects', with how many more."""
    if len(errors) < 2:
        return next(iter(errors), None)
    first = min(errors, key=lambda error: error.get("type") == "Skipped")
    return {**first, "message": f"{first['message']} (and {len(errors) - 1} more objects)"}


def _was_so(step: stepbook.StepRecord, part: stepbook.ObjectRecord) -> bool:
    """Say whether an object was as wanted before.

    One that a suspension kept unmade was not, nor one that was adopted as it is, and differs.
    """
    unmade = step.routed and part.read_back is not None and not part.read_back.get("present")
    return not part.changed and not part.error and not unmade


_OBSERVED = "observed"
"""What a receipt says of a request that waits because the service only observes."""


def receipt_of(
    record: records.Record,
    listed: Sequence[stepbook.StepRecord] = (),
    *,
    observing: bool = False,
) -> Mapping[str, Any]:
    """Say in a few lines how a request stands, for its writer.

    listed: its steps; of a request that is done their names and handlers alone; observing: the
    service only observes.
    """
    waits = observing and record.state in ("accepted", "deferred")
    return {
        "id": record.id,
        "request": record.name,
        "action": record.action,
        "subject": record.subject,
        "digest": record.digest,
        "state": _OBSERVED if waits else record.state,
        "accepted": results.moment(record.accepted),
        "ended": results.moment(record.ended) if record.ended else None,
        "problems": record.problems or [],
        "steps": [_named(s) if record.state == "done" else _told_of(s) for s in listed],
    }


def _named(step: stepbook.StepRecord) -> dict[str, Any]:
    return {"step": step.name, "handler": step.instance, "state": step.state}


def _told_of(step: stepbook.StepRecord) -> Mapping[str, Any]:
    """Say how a step stands, for each user where it has a part for each."""
    users: dict[str, str] = {}
    for part in step.objects:
        if part.item and users.get(part.item, "done") == "done":
            users[part.item] = part.state
    wrong = [("", step.error), *((part.item, part.error) for part in step.objects)]
    return {
        **_named(step),
        "needs": list(step.needs),
        "users": users,
        "problems": [
            {
                "user": user,
                "type": error.get("type", ""),
                "message": error.get("message", ""),
                "advice": error.get("advice", ""),
            }
            for user, error in wrong
            if error
        ],
    }
