"""Choosing requests by what they are about: the options that `queue`, `failed` and others share.

Promises: a time or state that is wrong is refused with what was expected. Leaves out: what fits
(`worklist`).
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli import site
from provisioner.contract import InvalidRequest, validation

if TYPE_CHECKING:
    from provisioner.inspection.worklist import Wanted
    from provisioner.journal.records.request_rows import Record


@dataclass(frozen=True, slots=True)
class Filter:
    """Which requests, by what they are about."""

    state: Annotated[
        str, typer.Option(metavar="STATE", help="only in this state, or these, with commas")
    ] = ""
    action: Annotated[str, typer.Option(help="only this action, such as user.* or reconcile")] = ""
    subject: Annotated[
        str, typer.Option(help="only this subject, or this user, project or allocation")
    ] = ""
    user: Annotated[str, typer.Option(metavar="NAME", help="only what this person is in")] = ""
    project: Annotated[str, typer.Option(metavar="CODE", help="only this project's")] = ""
    handler: Annotated[str, typer.Option(help="only what waits for or failed at this handler")] = ""
    writer: Annotated[str, typer.Option(help="only what this writer or person asked for")] = ""
    since: Annotated[
        str, typer.Option(metavar="AGE", help="only newer ones: 2h, 3d or 2026-11-24T10:00:00Z")
    ] = ""
    older: Annotated[str, typer.Option(metavar="AGE", help="only older ones: 2h, 3d ...")] = ""


ALL = Filter()


def wanted(chosen: Filter, cause: str = "") -> Wanted:
    """Return what options ask for. Raises InvalidRequest if one is wrong."""
    from provisioner.inspection.worklist import Wanted

    return Wanted(
        states=_states(chosen.state),
        action=chosen.action,
        subject=chosen.subject,
        user=chosen.user.removeprefix("user:"),
        project=chosen.project.removeprefix("project:"),
        handler=chosen.handler,
        writer=chosen.writer,
        cause=cause,
        since=_moment(chosen.since, "since"),
        before=_moment(chosen.older, "older"),
    )


def fitting(wanted: Wanted) -> list[Record]:
    """Return the requests that fit, the oldest first; none that steers others."""
    from provisioner.inspection import worklist

    book = site.journal(site.config())
    try:
        with book.reading() as conn:
            items = [*worklist.trouble(conn), *worklist.waiting(conn)]
    finally:
        book.close()
    fits = (i.record for i in items if wanted.fits(i) and not worklist.is_control(i.record))
    return sorted(fits, key=lambda record: record.id)


def _states(text: str) -> tuple[str, ...]:
    from provisioner.objects.states import RequestState

    states = tuple(filter(None, (word.strip().lower() for word in text.split(","))))
    known = [str(state) for state in RequestState]
    for state in states:
        if state not in known:
            raise InvalidRequest(
                f"{state!r} is not a state of a request",
                field="state",
                expected=", ".join(known),
                nearest=validation.nearest(state, known),
            )
    return states


_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)\Z")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def _moment(text: str, field: str) -> float | None:
    """Return a time, or an age before now, as seconds since the epoch; None for ''."""
    if not text:
        return None
    age = _AGE.match(text.lower())
    if age is not None:
        return time.time() - float(age[1]) * _UNITS[age[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(
            f"{text!r} is neither an age nor a time",
            field=field,
            expected="30min, 2h, 3d, 1w, 2026-11-24 or 2026-11-24T10:00:00Z",
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
