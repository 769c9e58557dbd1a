"""What an open request waits for, in words and as plain data.

Promises: reads only. Leaves out: who asks for it (`queue`, `show`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from provisioner.cli import site
from provisioner.cli.words import one_line, span, when
from provisioner.objects.states import RequestState
from provisioner.system.ulid import RequestId

if TYPE_CHECKING:
    from provisioner.config.schema import Config
    from provisioner.journal.journal import Journal
    from provisioner.journal.records.request_rows import Record


def holds(
    settings: Config, book: Journal, loaded: Sequence[Record]
) -> dict[RequestId, dict[str, Any]]:
    """Return, by id, why each held request is held, and who may release it.

    second: the person who sent it may not release it.
    """
    from provisioner.journal.records import event_rows
    from provisioner.wiring import policy_of

    held = [record for record in loaded if record.state == RequestState.HELD]
    with book.reading() as conn:
        why = event_rows.why_held(conn, [record.id for record in held])
    release = list(policy_of(settings).releasers) if held else []
    return {
        record.id: {
            "why": why.get(record.id, ""),
            "release": release,
            "second": record.held_by != record.asker,
        }
        for record in held
    }


def plain_waits(waiting: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what an open request waits for, as plain data for `--json`."""
    return [{**waiting_object, "due": moment(waiting_object["due"])} for waiting_object in waiting]


def moment(seconds: float | None) -> str | None:
    """Return a time as ISO 8601 for programs; None stays None."""
    from provisioner.outcome import results

    return None if seconds is None else results.moment(seconds)


def waits(
    record: Record,
    waiting: Sequence[Mapping[str, Any]],
    lanes: Mapping[str, Mapping[str, Any]],
    hold: Mapping[str, Any] | None,
    now: float,
) -> list[str]:
    """Return what an open request waits for, one line each."""
    if hold is not None:
        by = ", ".join(hold["release"])
        but = f", but not {record.asker}, who sent it" if hold["second"] else ""
        return [
            f"held {one_line(hold['why'])}",
            f"to release it: provisioner release {record.id}",
            f"may be released by: {by}{but}",
        ]
    if record.state == RequestState.SCHEDULED:
        start = record.not_before or now
        return [f"until its not_before, {when(start)}, in {span(start - now)}"]
    lines = []
    for waiting_object in waiting:
        lane = lanes.get(waiting_object["lane"], {})
        why = (
            waiting_object["error"]["message"]
            if waiting_object["error"]
            else "waiting for its turn"
        )
        why = one_line(why).removeprefix(f"{waiting_object['object']}: ")
        if lane.get("paused_by"):
            lane_name = waiting_object["lane"]
            again = f" (lane {lane_name} is paused: provisioner unpause {lane_name})"
        elif lane.get("undrained"):
            again = f" (no host drains lane {waiting_object['lane']})"
        elif waiting_object["error"] and waiting_object["due"] is not None:
            # An object whose backend is away becomes due when the lane tries the backend again.
            away = waiting_object["error"]["type"] == "Unavailable"
            at = max(waiting_object["due"], (lane.get("breaker_until") or 0) if away else 0)
            again = f" (retry in {span(at - now)})"
        else:
            again = ""
        lines.append(f"{waiting_object['object']}: {why}{again}")
    return lines


Waits = Callable[
    [
        "Record",
        Sequence[Mapping[str, Any]],
        Mapping[str, Mapping[str, Any]],
        Mapping[str, Any] | None,
        float,
    ],
    list[str],
]
"""Tells what an open request waits for: `waits`, or `brief`."""


def brief(
    record: Record,
    waiting: Sequence[Mapping[str, Any]],
    lanes: Mapping[str, Mapping[str, Any]],
    hold: Mapping[str, Any] | None,
    now: float,
) -> list[str]:
    """Return what `waits` does, with a lane that is away only named: its own line says why."""
    away = [each for each in waiting if _is_away(each, lanes)]
    if hold is not None or not away:
        return waits(record, waiting, lanes, hold, now)
    counts = Counter(each["lane"] for each in away)
    named = [
        f"{site.many(number, 'object')} of lane {lane}, which is away: see below"
        for lane, number in counts.items()
    ]
    others = [each for each in waiting if not _is_away(each, lanes)]
    return [*named, *waits(record, others, lanes, hold, now)]


def kept_by(
    waiting: Mapping[RequestId, Sequence[Mapping[str, Any]]],
    lanes: Mapping[str, Mapping[str, Any]],
) -> Mapping[str, int]:
    """Return how many requests wait for each lane that is away."""
    return Counter(
        lane
        for objects in waiting.values()
        for lane in {each["lane"] for each in objects if _is_away(each, lanes)}
    )


def _is_away(waiting_object: Mapping[str, Any], lanes: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return True if an object waits for a backend that is away."""
    error, lane = waiting_object["error"], lanes.get(waiting_object["lane"], {})
    return bool(error and error["type"] == "Unavailable" and lane.get("breaker_until"))
