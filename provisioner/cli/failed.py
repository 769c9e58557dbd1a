"""The verb `failed`: what needs a person, grouped by its cause, with what to do about each.

Promises: nothing is written. Leaves out: what a cause is (`failures`), and the retry itself
(`control`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

from provisioner.cli import choosing, files, finding, site
from provisioner.cli.board import span
from provisioner.cli.choosing import Filter
from provisioner.cli.options import flattened
from provisioner.cli.waiting import moment
from provisioner.contract import InvalidRequest

if TYPE_CHECKING:
    from provisioner.inspection.failures import Cause, Failure
    from provisioner.inspection.worklist import Wanted

_NAMED = 5
"""The most subjects of a cause that are printed; --ids and --json list all."""

_CAUSE = re.compile("[0-9a-f]{6}")

_RUNBOOK = "docs/runbook.md"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(flattened(failed))


def failed(
    name: str = typer.Argument("", metavar="[ID]", help="only this request, as `show` takes it"),
    cause: str = typer.Option("", help="only this cause, as `failed` prints it"),
    chosen: Filter = choosing.ALL,
    ids: bool = typer.Option(False, "--ids", help="print only the ids of the requests, for xargs"),
    as_json: bool = typer.Option(False, "--json", help="for programs"),
) -> None:
    """Group what failed or was refused by its cause: how many, how old, who, and what to do."""
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
        for line in _lines(groups, time.time()):
            site.say(line)


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


def _lines(groups: Sequence[Cause], now: float) -> Iterator[str]:
    count = sum(len(group.failures) for group in groups)
    oldest = min(group.since for group in groups)
    causes = "1 cause" if len(groups) == 1 else f"{len(groups)} causes"
    yield f"{_need(count)} a person: {causes}, the oldest {span(now - oldest)} old"
    for group in groups:
        yield ""
        yield from _of_group(group, now)


def _of_group(group: Cause, now: float) -> Iterator[str]:
    example, number = group.example, len(group.failures)
    where = f" {example.where}" if example.where else ""
    age = span(now - group.since)
    yield f"{group.id}  {number} x {example.record.state}: {example.kind}{where}, oldest {age}"
    yield f"    such as: {example.message}"
    if group.subjects:
        more = len(group.subjects) - _NAMED
        rest = f" and {more} more" if more > 0 else ""
        yield f"    about: {', '.join(group.subjects[:_NAMED])}{rest}"
    yield f"    asked for by: {', '.join(f'{who} ({n})' for who, n in group.writers.items())}"
    if example.expected:
        yield f"    expected: {example.expected}"
    if example.advice:
        yield f"    what to do: {example.advice}"
    yield f"    one of them: provisioner show {example.record.id}"
    spool = site.config().spool
    yield f"    its file: {files.place(spool, example.record) or 'gone; `show` has its text'}"
    yield f"    meaning, and how to fix it: {_RUNBOOK}#{example.kind}"
    if all(failure.record.set_aside for failure in group.failures):
        yield f"    when it is fixed: mv the file to {spool}/staging/, under its own name"
    else:
        yield f"    when it is fixed: provisioner retry --cause {group.id}"
    yield f"    if nobody will fix it: provisioner dismiss --cause {group.id}"


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
        "ids": [failure.record.id for failure in group.failures],
        "files": [
            path
            for failure in group.failures
            if (path := files.place(site.config().spool, failure.record))
        ],
    }
