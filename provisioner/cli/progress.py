"""Prints the progress of requests, line by line.

Promises: each step is printed once when it is over, and each request once when it has its outcome:
on a terminal in colour above a bar, otherwise as plain lines. Only the journal is read, so
everything that is printed is durable. Leaves out: what the service logs.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provisioner.cli import site
from provisioner.cli.exits import Exit
from provisioner.contract import ConfigError, Unavailable
from provisioner.objects.states import ENDED, OPEN, OVER, RequestState, StepState
from provisioner.system.ulid import RequestId

if TYPE_CHECKING:
    from provisioner.journal.database import Place
    from provisioner.journal.journal import Connection, Journal
    from provisioner.journal.records.request_rows import Record
    from provisioner.journal.records.step_rows import StepRecord
    from provisioner.request.documents import Problem

Say = Callable[[str, str], None]
"""Print one line: (line, state); the state determines its colour."""

POLL = 0.1
"""The shortest time between two reads of the journal, in seconds."""

FOLLOWED = 50
"""The most requests whose steps are printed; of others only the outcomes are."""

COLOURS: Mapping[str, str] = {
    RequestState.DONE: "green",
    RequestState.FAILED: "red",
    RequestState.REFUSED: "red",
    RequestState.CANCELLED: "yellow",
    RequestState.DEFERRED: "yellow",
}
_EXITS = {
    RequestState.DONE: Exit.OK,
    RequestState.SUPERSEDED: Exit.OK,
    RequestState.REFUSED: Exit.INVALID,
}


class Follower:
    """Prints what has happened since the last look, or since it was made."""

    def __init__(self, journal: Journal, say: Say) -> None:
        """journal: opened for this follower only; say: called with each line."""
        self._journal = journal
        self._say = say
        self._reported: set[tuple[RequestId, str]]
        self._names: dict[RequestId, str] = {}
        self.ended = 0
        with journal.reading() as conn:
            from provisioner.journal.records.event_rows import last_event
            from provisioner.journal.records.request_rows import in_states
            from provisioner.journal.records.step_rows import outlines_of

            self._seq = last_event(conn)
            self._open = {record.id for record in in_states(conn, OPEN)}
            before = outlines_of(conn, sorted(self._open)[:FOLLOWED])
        self._reported = {
            (request_id, step.name)
            for request_id in before
            for step in before[request_id]
            if step.state in OVER
        }

    @property
    def seen(self) -> int:
        """Return the number of requests that were open at the start or are new since then."""
        return len(self._open) + self.ended

    def look(self) -> None:
        """Print what is new."""

        from provisioner.journal.records import event_rows, request_rows, step_rows

        with self._journal.reading() as conn:
            events = event_rows.events_after(conn, self._seq)
            self._seq = events[-1][0] if events else self._seq
            ended = {request_id: kind for _, request_id, kind, _ in events if kind in ENDED}
            stirred = {request_id for _, request_id, _, _ in events}
            self._open |= stirred
            # A step never ends without an event, so requests without events are not read again.
            stirring = [
                request_id for request_id in sorted(self._open)[:FOLLOWED] if request_id in stirred
            ]
            outlines = step_rows.outlines_of(conn, stirring)
            over = [
                step for request_id in stirring for step in self._unreported(outlines[request_id])
            ]
            steps = step_rows.wholes(conn, over)
            named = {*(step.request for step in steps), *ended}
            loaded = request_rows.load(conn, named - self._names.keys())
        self._names |= {record.id: record.name for record in loaded.values()}
        for step in steps:
            self._reported.add((step.request, step.name))
            self._say(f"{self._names[step.request]:24} {step_line(step)}", step.state)
        for request_id, state in ended.items():
            self._say(f"{self._names[request_id]:24} {state}", state)
        self.ended += len(ended)
        self._open -= ended.keys()

    def _unreported(self, steps: Sequence[StepRecord]) -> list[StepRecord]:
        """Return the steps that are over and not printed yet."""
        return [
            step
            for step in steps
            if step.state in OVER and (step.request, step.name) not in self._reported
        ]


def step_line(step: StepRecord) -> str:
    """Return a line that says how a step ended."""
    changes = [text for part in step.objects for text in part.changed]
    error = step.error or next((part.error for part in step.objects if part.error), None)
    if error is not None:
        advice = f" (what to do: {error.advice})" if error.advice else ""
        return f"{step.name}: {step.state}: {error.message}{advice}"
    if step.state != StepState.DONE:
        return f"{step.name}: {step.state}"
    if not changes:
        made = [p.read_back.get("present") for p in step.objects if p.read_back is not None]
        unmade = step.routed and made and not any(made)
        return f"{step.name}: {'not made' if unmade else 'already so'}"
    more = f", and {len(changes) - 1} more" if len(changes) > 1 else ""
    return f"{step.name}: {changes[0]}{more}"


@contextmanager
def following(place: Place) -> Iterator[None]:
    """Print what happens in a journal to standard output while the block runs."""
    from provisioner.journal.journal import Journal, JournalBroken

    book = Journal.open(place)
    over = threading.Event()
    with screen("requests") as (say, advance):
        follower = Follower(book, say)

        def look() -> None:
            follower.look()
            advance(follower.ended, follower.seen)

        def watch() -> None:
            pause = POLL
            # As with `| head`; and a service that has lost the journal, too, says so itself.
            with suppress(BrokenPipeError, JournalBroken):
                while not over.wait(pause):
                    began = time.monotonic()
                    look()
                    # Reading must not slow down the service.
                    pause = max(POLL, 10 * (time.monotonic() - began))

        thread = threading.Thread(target=watch, name="progress")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            with suppress(JournalBroken):
                look()
            book.close()


@contextmanager
def screen(unit: str) -> Iterator[tuple[Say, Callable[[int, int], None]]]:
    """Yield two functions: one prints a line, one moves the bar, which only a terminal has.

    unit: what the bar counts. What others print meanwhile stands above the bar, on its own lines.
    """
    if not sys.stdout.isatty():
        yield lambda line, _: site.say(line, file=sys.stdout), lambda done, of: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
    from rich.text import Text

    columns = (BarColumn(), MofNCompleteColumn(), unit, TimeElapsedColumn())
    with Progress(*columns, transient=True, redirect_stderr=sys.stderr.isatty()) as progress:
        task = progress.add_task("", visible=False)

        def say(line: str, state: str) -> None:
            progress.console.print(Text(site.printable(line), COLOURS.get(state, "")))

        def advance(done: int, of: int) -> None:
            progress.update(task, completed=done, total=of, visible=of > 0, refresh=done == of)

        yield say, advance


def wait_for(dropped: Path, since: str, timeout: float) -> Exit:
    """Print the steps of a dropped request until it has its outcome; return the exit code.

    dropped: the file in staging; since: the beginning of a ULID made before; timeout: seconds.
    Raises Unavailable if there is no outcome in time.
    """
    settings = site.config()
    try:
        book = site.journal(settings)
    except ConfigError:
        return _wait_for_receipt(settings.spool, dropped, since, timeout)
    from provisioner.journal.records import request_rows
    from provisioner.spool.submission import label

    def look(conn: Connection) -> Record | None:
        return request_rows.newest(conn, label(dropped.name), since)

    try:
        code = _wait_for_record(book, look, _until(dropped, timeout))
    finally:
        book.close()
    if code is None:
        raise _late(dropped, timeout)
    return code


def wait_for_request(
    name: str,
    look: Callable[[Connection], Record | None],
    timeout: float,
    still: Callable[[Connection, Record], str],
) -> Exit:
    """Print the steps of a request that was tried again until it is over; return the exit code.

    look: returns the request, once it is there; still: returns what it still waits for after a try,
    or ''. Raises Unavailable as `wait_for`.
    """
    book = site.journal(site.config())
    try:
        code = _wait_for_record(book, look, _until(Path(name), timeout), still)
    finally:
        book.close()
    if code is None:
        raise _late(Path(name), timeout)
    return code


def _wait_for_record(
    book: Journal,
    look: Callable[[Connection], Record | None],
    ticks: Iterator[None],
    still: Callable[[Connection, Record], str] = lambda *_: "",
) -> Exit | None:
    from provisioner.journal.records import step_rows

    shown: set[str] = set()

    def once(line: str, state: str) -> None:
        if line not in shown:
            shown.add(line)
            say(f"  {line}", state)

    with screen("steps") as (say, advance):
        for _ in ticks:
            with book.reading() as conn:
                record = look(conn)
                request_id = record.id if record else RequestId("")
                steps = step_rows.steps_of(conn, [request_id])[request_id]
                waiting = step_rows.waiting_for(conn, [request_id])[request_id]
                stuck = still(conn, record) if record else ""
            advance(sum(step.state in OVER for step in steps), len(steps))
            for step in steps:
                if step.state in OVER:
                    once(step_line(step), step.state)
            for waiting_object in waiting:
                if waiting_object["error"]:
                    once(
                        f"{waiting_object['step']}: waits: {waiting_object['error']['message']}",
                        RequestState.DEFERRED,
                    )
            if record is not None and record.state in ENDED:
                return _outcome(record, say)
            if record is not None and stuck:
                say(f"still waits: {stuck}; more: provisioner show {record.id}", record.state)
                return Exit.AWAY
    return None


def _outcome(record: Record, say: Say) -> Exit:
    for plain in record.problems or ():
        say(f"  {problem(plain)}", record.state)
    say(f"{record.outcome}; more: provisioner show {record.id}", record.state)
    return exit_of(record.state, record.problems)


def exit_of(state: str, problems: Sequence[Mapping[str, Any]] | None) -> Exit:
    """Return the code of an outcome. problems: from the journal or a receipt."""
    from provisioner.journal.records.request_rows import outcome

    found = outcome(state, problems)
    return Exit.UNMATCHED if found not in ENDED else _EXITS.get(RequestState(found), Exit.FAILED)


def problem(plain: Mapping[str, Any]) -> Problem:
    """Return a problem from the journal or a receipt."""
    from provisioner.request.documents import Problem

    fields = {name: plain[name] for name in ("expected", "nearest") if plain.get(name)}
    return Problem(plain.get("line"), plain.get("key") or "", plain["message"], **fields)


def _wait_for_receipt(spool: Path, dropped: Path, since: str, timeout: float) -> Exit:
    """Wait for the outcome in the caller's own receipts, without reading the journal."""
    from provisioner.spool.submission import label

    for _ in _until(dropped, timeout):
        for receipt in receipts(spool, since):
            if receipt["request"] == label(dropped.name) and receipt["state"] in ENDED:
                for plain in receipt["problems"] or ():
                    site.say(f"  {problem(plain)}")
                site.say(f"{receipt['state']}; more: {receipt['file']}")
                return exit_of(receipt["state"], receipt["problems"])
    raise _late(dropped, timeout)


def receipts(spool: Path, since: str) -> Iterator[Mapping[str, Any]]:
    """Return the caller's receipts, each with its `file`. since: the beginning of a ULID."""
    from provisioner.request.documents import parse

    for folder in (spool / "receipts" / me for me in _mine()):
        for file in folder.glob("*.yaml") if os.access(folder, os.R_OK | os.X_OK) else ():
            receipt = parse(file.read_bytes()).value
            if receipt["id"] >= since:
                yield {**receipt, "file": file}


def _mine() -> Iterator[str]:
    """Return the names of the caller's directories: the name may mean somebody else there."""
    import pwd

    from provisioner.outcome.receipts import safe
    from provisioner.system.users import beside

    me = os.geteuid()
    name = pwd.getpwuid(me).pw_name
    yield from (safe(beside(name, me)), safe(name))


def _until(dropped: Path, timeout: float) -> Iterator[None]:
    """Yield every `POLL` seconds until the timeout; warn if the service does not take the file."""
    began = time.monotonic()
    warned = False
    while time.monotonic() - began < timeout:
        yield
        time.sleep(POLL)
        if not warned and time.monotonic() - began > 3 and _lies(dropped):
            warned = True
            print(
                "the service has not taken the file yet: is `provisioner run` running?",
                file=sys.stderr,
            )


def _lies(dropped: Path) -> bool:
    try:
        return dropped.exists()
    except OSError:  # staging cannot be looked into, or another's mount has the name by now
        return False


def _late(dropped: Path, timeout: float) -> Unavailable:
    return Unavailable(
        f"no outcome of {dropped.name} within {timeout:g} s",
        advice="is `provisioner run` running? `provisioner queue` shows what the request waits for",
    )
