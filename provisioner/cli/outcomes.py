"""Several requests on their way: put into staging, followed together, and told as a table.

Promises: every outcome that is printed is durable. Leaves out: where the requests come from
(`many`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from provisioner.cli import apart, progress, site, submitting
from provisioner.cli.exits import Exit
from provisioner.cli.options import Sending
from provisioner.contract import ConfigError, InvalidRequest
from provisioner.objects.states import ENDED, RequestState
from provisioner.spool.submission import label
from provisioner.system.ulid import RequestId

if TYPE_CHECKING:
    from provisioner.journal.journal import Journal
    from provisioner.journal.records.request_rows import Record
    from provisioner.request.documents import Problem

WRONG = "wrong"
"""The outcome of a row that makes no request."""

UNKNOWN = "no outcome"
"""The outcome of a request that has none in time."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to send. place: the row's line, or the file; wrong: why it is not sent."""

    place: str
    name: str
    body: bytes = b""
    folder: Path | None = None
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one request ended, or stands, in a word.

    code: the exit code of its end; None while it has none. text: why, if it did not end well.
    """

    place: str
    state: str
    code: Exit | None
    subject: str = ""
    id: str = ""
    text: str = ""


def short(problems: Sequence[Problem]) -> str:
    """Return the first of some problems, without what would be right, and how many more."""
    if not problems:
        return ""
    text = str(replace(problems[0], expected=""))
    return f"{text}; and {len(problems) - 1} more" if len(problems) > 1 else text


def send_all(asked: Sequence[Asked], sending: Sending) -> None:
    """Put the requests into staging, and follow them if `sending` says so."""
    since = apart.begun(submitting.open_door())
    if not sending.wait:
        _, outcomes = _put(asked, sending)
        submitting.warn_unserved(submitting.open_door())
        raise typer.Exit(worst(outcomes.values()))
    began = time.monotonic()
    try:
        with progress.screen("requests") as (say, advance):
            outcomes = sent(asked, since, sending, advance)
            for line, state in table(list(outcomes.values()), time.monotonic() - began):
                say(line, state)
    except KeyboardInterrupt:
        site.say("the requests continue: provisioner queue", file=sys.stderr)
        raise typer.Exit(130) from None
    raise typer.Exit(worst(outcomes.values()))


def sent(
    asked: Sequence[Asked], since: str, sending: Sending, advance: Callable[[int, int], None]
) -> dict[str, Outcome]:
    """Put requests into staging; return the outcome of each by its place.

    since: the beginning of a ULID made before.
    """
    names, outcomes = _put(asked, sending)
    return outcomes | _followed(names, since, sending.timeout, advance)


def _put(asked: Sequence[Asked], sending: Sending) -> tuple[dict[str, str], dict[str, Outcome]]:
    """Put requests into staging; return the place of each by its name, and those that are wrong."""
    door = submitting.open_door()
    outcomes: dict[str, Outcome] = {}
    names: dict[str, str] = {}
    for one in asked:
        wrong = one.wrong
        if not wrong:
            try:
                # A name that the service took meanwhile is free again, and is no longer a key.
                wanted = _unused(one.name, names)
                name = submitting.put(door, wanted, one.body, sending.key, one.folder)
            except InvalidRequest as error:
                wrong = error.message
        if wrong:
            outcomes[one.place] = Outcome(one.place, WRONG, Exit.INVALID, text=wrong)
            continue
        names[label(name)] = one.place
        if not sending.wait:
            site.say(f"{one.place}: dropped as {name}")
    return names, outcomes


def _unused(name: str, names: Collection[str]) -> str:
    """Return a file's name, with a number before its ending if another one had it."""
    stem, dot, ending = name.rpartition(".")
    free, number = name, len(names)
    while label(free) in names:
        number += 1
        free = submitting.staged(f"{stem}-{number}{dot}{ending}", f"request-{number}.yaml")
    return free


def _followed(
    sent: Mapping[str, str], since: str, timeout: float, advance: Callable[[int, int], None]
) -> dict[str, Outcome]:
    """Return the outcome of each request by its place, when all have one or the time is over."""
    settings = site.config()
    try:
        book = site.journal(settings)
    except ConfigError:
        return until_over(sent, timeout, advance, lambda: _of_receipts(settings.spool, sent, since))
    try:

        def look() -> dict[str, Outcome]:
            from provisioner.journal.records import request_rows

            with book.reading() as conn:
                records = request_rows.named(conn, sent, since)
            return {name: of_record(sent[name], record) for name, record in records.items()}

        return explained(book, until_over(sent, timeout, advance, look))
    finally:
        book.close()


def explained(book: Journal, outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Return outcomes with short ids, those of failed requests with the first step that failed."""
    from provisioner.journal.queries import lookup

    failed = [each.id for each in outcomes.values() if each.state == RequestState.FAILED]
    causes = _causes(book, failed)
    with book.reading() as conn:
        short = lookup.short(conn, [RequestId(each.id) for each in outcomes.values() if each.id])
    return {
        place: replace(
            each,
            id=short.get(RequestId(each.id), each.id),
            text=causes.get(each.id) or each.text,
        )
        for place, each in outcomes.items()
    }


def until_over(
    sent: Mapping[str, str],
    timeout: float,
    advance: Callable[[int, int], None],
    look: Callable[[], dict[str, Outcome]],
) -> dict[str, Outcome]:
    """Return the outcomes by their place, when all have one or the time is over.

    sent: the place of each name; look: returns how requests stand, by name.
    """
    began = time.monotonic()
    while True:
        before = time.monotonic()
        seen = look()
        over = sum(each.code is not None for each in seen.values())
        advance(over, len(sent))
        if over == len(sent) or time.monotonic() - began > timeout:
            break
        # Reading must not slow down the service.
        time.sleep(max(progress.POLL, 10 * (time.monotonic() - before)))
    waiting = "`provisioner queue` says what it waits for"
    return {
        place: replace(seen[name], text=waiting if seen[name].code is None else seen[name].text)
        if name in seen
        else Outcome(place, UNKNOWN, None, text="still in staging: does the service run?")
        for name, place in sent.items()
    }


def of_record(place: str, record: Record) -> Outcome:
    """Return how a request stands."""
    return _outcome(place, record.state, record.subject, record.id, record.problems)


def _of_receipts(spool: Path, sent: Mapping[str, str], since: str) -> dict[str, Outcome]:
    """Return what the caller's own receipts say, without reading the journal."""
    seen = {}
    for receipt in progress.receipts(spool, since):
        name = receipt["request"]
        if name in sent:
            about = str(receipt.get("subject") or ""), receipt["id"], receipt["problems"]
            seen[name] = _outcome(sent[name], receipt["state"], *about)
    return seen


def _outcome(
    place: str, state: str, subject: str, request: str, problems: Sequence[Mapping[str, Any]] | None
) -> Outcome:
    """Return how a request stands. problems: from the journal or a receipt."""
    from provisioner.journal.records.request_rows import outcome

    code = progress.exit_of(state, problems) if state in ENDED else None
    text = short([progress.problem(plain) for plain in problems or ()])
    return Outcome(place, outcome(state, problems), code, subject, request, text)


def _causes(book: Journal, failed: Sequence[str]) -> dict[str, str]:
    """Return why requests failed: the first step that did."""
    from provisioner.journal.records import step_rows
    from provisioner.objects.states import StepState

    with book.reading() as conn:
        listed = step_rows.steps_of(conn, [RequestId(request) for request in failed])
    return {
        request: next(
            (progress.step_line(step) for step in steps if step.state == StepState.FAILED), ""
        )
        for request, steps in listed.items()
    }


def table(outcomes: Sequence[Outcome], seconds: float) -> Iterator[tuple[str, str]]:
    """Return the table of outcomes, those that need a look last, each line with its state."""
    ordered = sorted(outcomes, key=lambda each: each.code != Exit.OK)
    rows = [(each.place, each.state, each.subject, each.id) for each in ordered]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row, each in zip(rows, ordered, strict=True):
        cells = "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        yield f"{cells}  {each.text}".rstrip(), each.state
    counts: dict[str, int] = {}
    for each in ordered:
        counts[each.state] = counts.get(each.state, 0) + 1
    told = ", ".join(f"{number} {state}" for state, number in counts.items())
    yield f"{told}; {seconds:.1f} s", ""


def worst(outcomes: Iterable[Outcome]) -> Exit:
    """Return the worst code."""
    codes = (Exit.AWAY if each.code is None else each.code for each in outcomes)
    return max(codes, default=Exit.OK)
