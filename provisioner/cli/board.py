"""The queue as lines: trouble first, grouped by state, with reasons; then lanes.

Promises: pure. Leaves out: reading (`queue`), and colours (`paint`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from provisioner.cli.paint import Line, line
from provisioner.cli.words import one_line, span
from provisioner.inspection.worklist import BOUNDS, ORDER, TROUBLE, Item, Shape
from provisioner.objects.states import RUNNING, RequestState
from provisioner.system.ulid import RequestId

if TYPE_CHECKING:
    from provisioner.journal.records.request_rows import Record

STYLES: Mapping[str, str] = {
    RequestState.FAILED: "bold red",
    RequestState.REFUSED: "red",
    RequestState.HELD: "magenta",
    RequestState.DEFERRED: "yellow",
    RequestState.ACCEPTED: "cyan",
    RequestState.SCHEDULED: "blue",
    RequestState.DONE: "green",
    RequestState.CANCELLED: "yellow",
}

_HEADS = ("ID", "ACTION", "SUBJECT")

_DAY = 86400.0
"""Seconds after which a request that still waits is told."""

_LONGEST = 160
"""The most characters of a reason that a row has; `show` has all of it."""


_OLDEST = 4
"""One row of so many is for the oldest, if a list of failures is shortened."""


def rows(
    items: Sequence[Item],
    short: Mapping[RequestId, str],
    reasons: Mapping[RequestId, Sequence[str]],
    limit: int,
    now: float,
) -> Iterator[Line]:
    """Yield the groups of a worklist. reasons: of open requests; limit: rows of each group."""
    groups = {state: [i for i in items if i.record.state == state] for state in ORDER}
    shown = [item for some in groups.values() for part in shortened(some, limit) for item in part]
    widths = [
        max((len(cell) for cell in cells), default=0)
        for cells in zip(*_table(shown, short), strict=True)
    ]
    if shown:
        heads = (f"{head:{width}}" for head, width in zip(_HEADS, widths, strict=True))
        ident, action, subject = heads
        yield ()
        yield line(f"  {ident}  {'AGE':>6}  {action}  {subject}  FILE", "bold")
    for state, some in groups.items():
        if not some:
            continue
        oldest = span(now - min(item.since for item in some))
        by_cause = "; by cause: provisioner failed" if state in TROUBLE and len(some) > 1 else ""
        style = STYLES[state]
        late = sum(now - item.record.accepted > _DAY for item in some) if state in RUNNING else 0
        yield (
            (f"{len(some)} {state}", style),
            (f", the oldest {oldest} old{by_cause}", "dim"),
            (f"; {late} for more than a day" if late else "", "red"),
        )
        first, last = shortened(some, limit)
        for number, item in enumerate((*first, *last)):
            if number == len(first) and len(some) > limit:
                yield line(f"and {len(some) - limit} more{_between(last)}: --limit", "dim")
            yield from _row(item, short, widths, now)
            lines = reasons.get(item.record.id) or why(item)
            yield from (line(f"    {text}") for text in lines)
        if len(some) > limit and not last:
            yield line(f"and {len(some) - limit} more: --limit", "dim")


def _between(last: Sequence[Item]) -> str:
    return f" before the oldest {len(last)}" if len(last) > 1 else " before the oldest"


def shortened(some: Sequence[Item], limit: int) -> tuple[Sequence[Item], Sequence[Item]]:
    """Return the items of a state that are shown: the first ones, and the oldest at the end.

    What failed is listed with the newest first, and the oldest is what matters most.
    """
    if len(some) <= limit or some[0].record.state not in TROUBLE:
        return some[:limit], ()
    oldest = max(1, limit // _OLDEST)
    return some[: limit - oldest], some[-oldest:]


def _table(items: Sequence[Item], short: Mapping[RequestId, str]) -> list[tuple[str, str, str]]:
    return [_HEADS, *((short[item.record.id], *_about(item)) for item in items)]


def _about(item: Item) -> tuple[str, str]:
    action, subject = item.about
    return action or "unreadable", subject or "-"


def _row(
    item: Item, short: Mapping[RequestId, str], widths: Sequence[int], now: float
) -> Iterator[Line]:
    record = item.record
    action, subject = _about(item)
    ident = short[record.id]
    yield (
        (f"  {ident:{widths[0]}}", "bold"),
        (f"  {span(now - item.since):>6}  ", STYLES.get(record.state, "")),
        (f"{action:{widths[1]}}  {subject:{widths[2]}}  ", ""),
        (f"{record.name} of {record.asker}", "dim"),
    )


def why(item: Item) -> list[str]:
    """Return why a request failed, and what to do."""
    where = item.where[0] if item.where and item.where[0] else ""
    lines = [f"{where}: {item.reason}" if where else item.reason]
    return [one_line(text)[:_LONGEST] for text in (*lines, item.advice) if text]


def ended(records: Sequence[Record], short: Mapping[RequestId, str], now: float) -> Iterator[Line]:
    """Yield the newest outcomes."""
    if records:
        yield ()
        yield line(f"the newest outcomes: {len(records)}", "bold")
    for record in records:
        what = f"{record.action} {record.subject}".strip() or "unreadable"
        age = span(now - (record.ended or record.accepted))
        yield (
            (f"  {short[record.id]}  ", "bold"),
            (f"{record.outcome:10}", STYLES.get(record.state, "")),
            (f" {what}", ""),
            (f"  ({record.name} of {record.asker}, {age} ago)", "dim"),
        )


def lanes(
    rows: Mapping[str, Mapping[str, Any]], kept: Mapping[str, int], now: float
) -> Iterator[Line]:
    """Yield the lanes that do something, a line each, and the idle ones together.

    kept: how many requests wait for a lane that is away.
    """
    idle = [name for name, row in rows.items() if _is_idle(row, now)]
    for name, row in rows.items():
        if name not in idle:
            style = "yellow" if row["paused_by"] or row["breaker_until"] else ""
            many = kept.get(name, 0)
            wait = "1 request waits" if many == 1 else f"{many} requests wait"
            waiting = f", {wait} for it" if many else ""
            text = f"lane {name}: {row['due']} due, {row['later']} later{waiting}"
            text += _lane_state(row, now)
            yield line(text, style)
    if idle:
        yield line(f"idle lanes: {', '.join(idle)}", "dim")


def _is_idle(row: Mapping[str, Any], now: float) -> bool:
    return not (row["due"] or row["later"] or row["paused_by"] or row["breaker_until"])


def _lane_state(row: Mapping[str, Any], now: float) -> str:
    text = f", paused by {row['paused_by']}" if row["paused_by"] else ""
    if row["breaker_until"]:
        wait = span(row["breaker_until"] - now)
        text += f", backend away, next try in {wait}: {row['breaker_reason']}"
    return text


def shape(shapes: Sequence[Shape]) -> Iterator[Line]:
    """Yield how many wait or failed, by reason and age: as `qshape` of Postfix."""
    heads = [*(f"<{span(bound)}".replace(" ", "") for bound in BOUNDS), "older"]
    yield line(f"{'TOTAL':>6} " + "".join(f"{head:>7}" for head in heads) + "  REASON", "bold")
    totals = [sum(column) for column in zip(*(each.counts for each in shapes), strict=True)]
    numbers = "".join(f"{number:7}" for number in totals or [0] * len(heads))
    yield line(f"{sum(totals):6} {numbers}  all")
    for each in shapes:
        numbers = "".join(f"{number or '.':>7}" for number in each.counts)
        where = f"{each.where}: " if each.where else ""
        yield (
            (f"{each.total:6} {numbers}  ", ""),
            (f"{each.state} ", STYLES.get(each.state, "")),
            (f"{each.cause} {where}{one_line(each.reason)[:_LONGEST]}", ""),
        )
