"""The verb `top`: the queue on the whole screen, with a key for each verb that steers.

Promises: a key sends the same request as the verb of its name. Leaves out: the screen (`screen`).
"""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import typer

from provisioner.cli import choosing, control, queue, reading
from provisioner.cli.choosing import Filter
from provisioner.cli.exits import Exit
from provisioner.cli.options import flattened
from provisioner.objects.states import RequestState

if TYPE_CHECKING:
    from provisioner.cli.screen import Top
    from provisioner.journal.records.request_rows import Record

_WAITING = (RequestState.ACCEPTED, RequestState.DEFERRED)
ALLOWED = {**control.STATES, "retry": (*control.STATES["retry"], *_WAITING)}
"""The states that each verb is for; a retry of what waits tries it at once."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(flattened(top))


def top(chosen: Filter = choosing.ALL) -> None:
    """Show the queue on the whole screen: trouble first, with keys that steer."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        said = "provisioner: top needs a terminal; elsewhere: provisioner queue --watch"
        print(said, file=sys.stderr)
        raise typer.Exit(Exit.USAGE)
    screen_of(chosen).run()


def screen_of(chosen: Filter) -> Top:
    """Return the screen of what options ask for. Raises as `queue` does."""
    from provisioner.cli.screen import Top

    wanted = choosing.wanted(chosen)
    return Top(lambda: queue.look(wanted, queue.SHOWING), _steer, _show, ALLOWED)


def _steer(verb: str, record: Record) -> str:
    """Send a verb for a request; return what to tell."""
    target: dict[str, str] = {"request": record.id}
    if verb == "release":
        target["digest"] = record.digest
    with redirect_stdout(io.StringIO()) as told, redirect_stderr(io.StringIO()):
        control.drop(f"request.{verb}", target, "", control.SOON)
    return told.getvalue().strip()


def _show(record: Record) -> str:
    with redirect_stdout(io.StringIO()) as told:
        reading.show(record.id, as_json=False)
    return told.getvalue()
