"""The verb `failed`: what needs a person, grouped by its cause, with what to do about each.

Promises: nothing is written. Leaves out: what a cause is (`failures`), and the retry itself
(`control`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

from provisioner.cli import site
from provisioner.cli.board import span
from provisioner.cli.waiting import moment
from provisioner.contract import InvalidRequest

if TYPE_CHECKING:
    from provisioner.inspection.failures import Cause, Failure

_NAMED = 5
"""The most subjects of a cause that are printed; --ids and --json list all."""

_RUNBOOK = "docs/runbook.md"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(failed)


def failed(
    cause: str = typer.Option("", help="only this cause, as `failed` prints it"),
    subject: str = typer.Option("", help="only this subject, or this user, project or allocation"),
    writer: str = typer.Option("", help="only what this writer asked for"),
    handler: str = typer.Option("", help="only what this handler reported"),
    ids: bool = typer.Option(False, "--ids", help="print only the ids of the requests, for xargs"),
    as_json: bool = typer.Option(False, "--json", help="for programs"),
) -> None:
    """Group what failed or was refused by its cause: how many, how old, who, and what to do."""
    groups = _narrowed(cause, subject, writer, handler)
    if as_json:
        site.print_json([_plain(group) for group in groups])
    elif ids:
        for group in groups:
            for failure in group.failures:
                site.say(failure.record.id)
    else:
        for line in _lines(groups, time.time()):
            site.say(line)


def of_cause(cause: str) -> list[str]:
    """Return the ids of the failed requests of a cause; '' stands for every cause.

    Raises InvalidRequest if there is no such cause.
    """
    groups = _narrowed(cause)
    return sorted(failure.record.id for group in groups for failure in group.failures)


def _narrowed(
    cause: str = "", subject: str = "", writer: str = "", handler: str = ""
) -> list[Cause]:
    """Return the causes of the failures that fit the filters; '' fits everything.

    Raises InvalidRequest if nothing has the cause.
    """
    from provisioner.inspection import failures

    book = site.journal(site.config())
    try:
        with book.reading() as conn:
            every = failures.unfixed(conn)
    finally:
        book.close()
    fitting = [
        failure
        for failure in every
        if writer in ("", failure.record.writer, failure.record.on_behalf_of)
        and handler in ("", failure.where)
        and _is_about(failure, subject)
    ]
    groups = [group for group in failures.causes(fitting) if cause in ("", group.id)]
    if cause and not groups:
        raise InvalidRequest(
            f"nothing that failed has the cause {cause!r}",
            field="cause",
            expected="a cause as `provisioner failed` prints it",
        )
    return groups


def _is_about(failure: Failure, subject: str) -> bool:
    """Return True if a failure is about a subject, given whole, or as its name alone."""
    whole = failure.record.subject
    parts = whole.split("/")
    return not subject or subject in (whole, *parts, *(part.partition(":")[2] for part in parts))


def _lines(groups: Sequence[Cause], now: float) -> Iterator[str]:
    count = sum(len(group.failures) for group in groups)
    if not count:
        yield "nothing that failed or was refused needs a person"
        return
    oldest = min(group.example.record.accepted for group in groups)
    causes = "1 cause" if len(groups) == 1 else f"{len(groups)} causes"
    requests = "1 request needs" if count == 1 else f"{count} requests need"
    yield f"{requests} a person: {causes}, the oldest {span(now - oldest)} old"
    for group in groups:
        yield ""
        yield from _of_group(group, now)


def _of_group(group: Cause, now: float) -> Iterator[str]:
    example, number = group.example, len(group.failures)
    where = f" {example.where}" if example.where else ""
    age = span(now - example.record.accepted)
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
    yield f"    meaning, and how to fix it: {_RUNBOOK}#{example.kind}"
    yield f"    when it is fixed: provisioner retry --cause {group.id}"


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
        "oldest": moment(example.record.accepted),
        "writers": group.writers,
        "subjects": group.subjects,
        "ids": [failure.record.id for failure in group.failures],
    }
