"""Verbs about lanes: pause and unpause.

Promises: a lane that the configuration does not have is refused, with those that it has. Leaves
out: draining (`convergence`).
"""

from __future__ import annotations

from provisioner.contract import InvalidRequest
from provisioner.controls.effects import Command, Effect
from provisioner.journal.journal import Connection
from provisioner.journal.records import object_rows


def pause(conn: Connection, command: Command) -> Effect:
    """Have nothing written to a lane's backends. Raises InvalidRequest if there is no such lane."""
    lane = _named(command)
    object_rows.set_lane(conn, lane, paused_by=command.writer)
    return Effect(lanes={lane: True})


def unpause(conn: Connection, command: Command) -> Effect:
    """Let a lane go on. Raises InvalidRequest if there is no such lane."""
    lane = _named(command)
    object_rows.set_lane(conn, lane, paused_by=None)
    return Effect(lanes={lane: False})


def _named(command: Command) -> str:
    name = command.request.subject.partition(":")[2]
    known = sorted(set(command.lanes.values()))
    if name not in known:
        raise InvalidRequest(f"there is no lane {name!r}", field="lane", expected=", ".join(known))
    return name
