"""What an open request waits for, in words and as plain data.

Promises: reads only. Leaves out: who asks for it (`queue`, `show`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from provisioner.cli.words import one_line, span
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
            "second": record.held_by != record.writer,
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
        left = span((record.not_before or now) - now)
        return [f"until its not_before, in {left}"]
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
            when = f" (lane {lane_name} is paused: provisioner unpause {lane_name})"
        elif waiting_object["error"] and waiting_object["due"] is not None:
            # An object whose backend is away becomes due when the lane tries the backend again.
            away = waiting_object["error"]["type"] == "Unavailable"
            at = max(waiting_object["due"], (lane.get("breaker_until") or 0) if away else 0)
            when = f" (retry in {span(at - now)})"
        else:
            when = ""
        lines.append(f"{waiting_object['object']}: {why}{when}")
    return lines
