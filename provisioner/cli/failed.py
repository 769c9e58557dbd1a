"""The verb `failed`: what needs a person, grouped by its cause, with what to do about each.

Promises: nothing is written. Several causes are a table; one cause, and with --all each, has all
that is known. Leaves out: what a cause is (`failures`), its row (`causes`), and the retry itself
(`control`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from provisioner.cli import choosing, files, finding, paint, site
from provisioner.cli.choosing import Filter
from provisioner.cli.options import flattened
from provisioner.cli.waiting import moment
from provisioner.cli.words import one_line, some, span
from provisioner.contract import InvalidRequest

if TYPE_CHECKING:
    from provisioner.inspection.failures import Cause, Failure
    from provisioner.inspection.worklist import Wanted
    from provisioner.system.ulid import RequestId

_NAMED = 5
"""The most subjects of a cause that are printed; --ids and --json list all."""

_LISTED = 20
"""The most requests of a cause that are listed; --ids and --json have all."""

_CAUSE = re.compile("[0-9a-f]{6}")

_RUNBOOK = "docs/runbook.md"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(flattened(failed))


def failed(
    name: str = typer.Argument(
        "", metavar="[ID|CAUSE]", help="only this request, as `show` takes it, or this cause"
    ),
    cause: str = typer.Option("", help="only this cause, as `failed` prints it"),
    chosen: Filter = choosing.ALL,
    everything: bool = typer.Option(False, "--all", help="all that is known of each cause"),
    ids: bool = typer.Option(False, "--ids", help="print only the ids of the requests, for xargs"),
    as_json: bool = typer.Option(False, "--json", help="for programs"),
) -> None:
    """Group what failed or was refused by its cause: how many, how old, who, and what to type."""
    wanted = choosing.wanted(chosen, cause)
    every = _every(cause)
    if name:
        every = _one(every, name)
    groups = _narrowed(every, wanted)
    if as_json:
        site.print_json([_plain(group) for group in groups])
    elif ids:
        for group in groups:
            for failure in group.failures:
                site.say(failure.record.id)
    elif not groups:
        site.say(_nothing(every, wanted))
    else:
        listed = [failure.record.id for group in groups for failure in group.failures]
        paint.show(_lines(groups, finding.short(listed), everything))


def _every(cause: str) -> list[Failure]:
    """Return all failures. Raises InvalidRequest if `cause` is not the id of any cause."""
    from provisioner.inspection import failures

    if cause and not _CAUSE.fullmatch(cause):
        raise InvalidRequest(
            f"{cause!r} is not a cause",
            field="cause",
            expected="six hexadecimal digits, as `provisioner failed` prints them",
        )
    book = site.journal(site.config())
    try:
        with book.reading() as conn:
            return failures.unfixed(conn)
    finally:
        book.close()


def _one(every: Sequence[Failure], name: str) -> list[Failure]:
    """Return the failure of one request, or those of a cause.

    Raises InvalidRequest if the request needs nobody.
    """
    from provisioner.inspection import failures
    from provisioner.journal.queries import replaced

    of_cause = [failure for failure in every if failures.cause_of(failure) == name]
    if of_cause:
        return of_cause
    record = finding.looked_up(name)
    chosen = [failure for failure in every if record is not None and failure.record.id == record.id]
    if record is not None and not chosen:
        why = replaced.closing(record) or f"it is {record.state}"
        raise InvalidRequest(
            f"{record.id} needs nobody: {why}", advice=f"provisioner show {record.id}"
        )
    return chosen


def _narrowed(every: Sequence[Failure], wanted: Wanted) -> list[Cause]:
    """Return the causes of the failures that fit."""
    from provisioner.inspection import failures, worklist

    return failures.causes([one for one in every if wanted.fits(worklist.item_of(one))])


def _nothing(every: Sequence[Failure], wanted: Wanted) -> str:
    """Return why no failure is listed."""
    from provisioner.inspection import failures

    if wanted.cause and wanted.cause not in map(failures.cause_of, every):
        return f"nothing has the cause {wanted.cause} any more"
    if not every:
        return "nothing that failed or was refused needs a person"
    return f"nothing matches the filter; {_need(len(every))} a person: provisioner failed"


def _need(count: int) -> str:
    return "1 request needs" if count == 1 else f"{count} requests need"


def _lines(
    groups: Sequence[Cause], short: Mapping[RequestId, str], everything: bool
) -> Iterator[paint.Line]:
    """Yield a table of the causes; of one cause, or of each, all that is known."""
    now = time.time()
    count = sum(len(group.failures) for group in groups)
    oldest = min(group.since for group in groups)
    number = "1 cause" if len(groups) == 1 else f"{len(groups)} causes"
    yield paint.line(f"{_need(count)} a person: {number}, the oldest {span(now - oldest)} old")
    yield ()
    if everything or len(groups) == 1:
        for place, group in enumerate(groups):
            yield from [()] if place else []
            yield from (paint.line(text) for text in _whole(group, short, now))
        return
    from provisioner.cli import causes

    yield from causes.table(groups, short, now)
    yield ()
    yield paint.line("all of one: provisioner failed CAUSE; of each: provisioner failed --all")
    yield paint.line("what nobody will fix: provisioner dismiss --cause CAUSE")


def _whole(group: Cause, short: Mapping[RequestId, str], now: float) -> Iterator[str]:
    """Yield all that is known of a cause."""
    example, number = group.example, len(group.failures)
    where = f" {example.where}" if example.where else ""
    age = span(now - group.since)
    yield f"{group.id}  {number} x {example.record.state}: {example.kind}{where}, oldest {age}"
    yield f"    such as: {one_line(example.message)}"
    for word, names in (
        ("about", group.subjects),
        ("people", group.people),
        ("projects", group.projects),
    ):
        if names:
            yield f"    {word}: {some(names, _NAMED)}"
    yield f"    asked for by: {', '.join(f'{who} ({n})' for who, n in group.writers.items())}"
    if example.expected:
        yield f"    expected: {one_line(example.expected)}"
    if example.advice:
        yield f"    what to do: {one_line(example.advice)}"
    yield f"    meaning, and how to fix it: {_RUNBOOK}#{example.kind}"
    spool = site.config().spool
    if all(failure.record.set_aside for failure in group.failures):
        yield f"    when it is fixed: mv the file to {spool}/staging/, under its own name"
    else:
        yield f"    when it is fixed: provisioner retry --cause {group.id}"
    yield f"    if nobody will fix it: provisioner dismiss --cause {group.id}"
    yield "    each of them: provisioner show ID, provisioner edit ID"
    for failure in group.failures[:_LISTED]:
        record = failure.record
        file = files.place(spool, record) or f"{record.name} is gone; `show` has its text"
        yield f"    {short[record.id]}  {span(now - failure.since):>6}  {file}"
    if number > _LISTED:
        yield f"    and {number - _LISTED} more: provisioner failed {group.id} --json"


def _plain(group: Cause) -> dict[str, Any]:
    example = group.example
    return {
        "cause": group.id,
        "kind": example.kind,
        "where": example.where,
        "count": len(group.failures),
        "message": example.message,
        "advice": example.advice,
        "expected": example.expected,
        "oldest": moment(group.since),
        "writers": group.writers,
        "subjects": group.subjects,
        "people": group.people,
        "projects": group.projects,
        "ids": [failure.record.id for failure in group.failures],
        "files": [
            path
            for failure in group.failures
            if (path := files.place(site.config().spool, failure.record))
        ],
    }
