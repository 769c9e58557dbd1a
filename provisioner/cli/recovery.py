"""Verbs for the journal as a whole: backup, journal move, journal rebuild, journal release.

Promises: no verb writes to the journal while a service has it open; only a person who has seen how
many objects differ can release a journal that the service only observes. Leaves out: how copies and
journals are made (`backup`, `rebuild`), and what differs (`drift`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from provisioner.cli import control, site
from provisioner.cli.options import Sending, flattened
from provisioner.contract import ConfigError, InvalidRequest, Refused

if TYPE_CHECKING:
    from provisioner.recovery.rebuilding.rebuilt import Rebuilt

journal_app = typer.Typer(
    no_args_is_help=True,
    help="Rebuild a lost or damaged journal, and release it; move it into another database.",
)

_SHOWN = 1000
"""The most files that are named one by one: the newest."""


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(backup)
    app.add_typer(journal_app, name="journal")


def backup(
    file: str = typer.Argument(
        "", metavar="FILE", help="a new file; default: in `backup.directory`"
    ),
) -> None:
    """Copy the journal, even while the service runs; the copy is complete and on disk."""
    from provisioner.recovery import backup as copies
    from provisioner.system.ownership import check_user

    settings = site.config()
    site.journal(settings).close()
    if file:
        copies.copy_to(settings.journal, Path(file))
        made = copies.look(Path(file))
    else:
        directory = settings.backup_directory
        check_user(settings.spool)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = copies.back_up(settings.journal, directory, settings.backup.keep)
    site.say(f"{made.path}: complete and on disk, {made.size} bytes, position {made.position}")


@journal_app.command()
def rebuild(
    copy: str = typer.Option("", metavar="FILE", help="begin with this copy instead of the newest"),
    empty: bool = typer.Option(
        False, "--empty", help="begin with nothing, if no copy and no log is left"
    ),
) -> None:
    """Rebuild the journal from the newest complete copy and the redo log."""
    from provisioner.journal import stored
    from provisioner.recovery.rebuilding import rebuild as rebuilding
    from provisioner.spool.spool import Spool

    settings = site.config()
    journal = stored.of(settings.journal)
    journal.make_way()
    with closing(Spool.open(settings.spool)) as spool:
        spool.lock()
        late = rebuilding.compared(settings, spool)
        if late is not None:
            site.say(f"the journal was rebuilt already: {settings.spool} was compared with it")
            _name(late)
            return
        with journal.reserved():
            begin = Path(copy) if copy else None
            made = rebuilding.rebuild(settings, spool, copy=begin, empty=empty)
    _report(made)
    site.say(
        "the service only observes, and writes to no backend until you release the journal\n"
        "what to do: start the service, review `provisioner drift`, then `provisioner journal"
        " release`"
    )


@journal_app.command()
def move(
    place: str = typer.Argument(
        ..., metavar="PLACE", help="a new file, or postgresql:///NAME?host=HOST, an empty database"
    ),
) -> None:
    """Move the journal into another database while the service is stopped, and check each row."""
    from provisioner.config import keeping
    from provisioner.journal import stored
    from provisioner.recovery import startup
    from provisioner.recovery.rebuilding import move as moving
    from provisioner.spool.spool import Spool

    settings = site.config()
    target = keeping.named(place)
    if target == settings.journal:
        raise InvalidRequest(f"the journal is in {target} already", expected="another place")
    startup.check_there(settings.spool, settings.journal)
    if not stored.of(settings.journal).exists():
        raise ConfigError(f"the journal {settings.journal} does not exist")
    with ExitStack() as locks:
        if not site.apart(settings):
            spool = locks.enter_context(closing(Spool.open(settings.spool)))
            spool.lock()
        locks.enter_context(stored.of(settings.journal).reserved())
        made = moving.move(settings.journal, target, settings.spool, settings.backup_directory)
    site.say(
        f"moved {site.many(made.requests, 'request')} and {site.many(made.events, 'event')}: "
        f"{made.rows} rows of {made.tables} tables, each read back; the chain of events is whole"
    )
    site.say(f"the old journal is kept: {made.kept}")
    for path in made.left:
        site.say(f"not used any more, and kept: {path}")
    site.say(f"what to do: set `journal: {target}` in {site.path()}, then start the service")


def _report(made: Rebuilt) -> None:
    from provisioner.outcome.results import moment

    for why in made.damaged:
        site.say(f"not used: {why}")
    site.say(f"started from {made.base or 'an empty journal'}")
    until = f", the last of {moment(made.until)}" if made.until is not None else ""
    site.say(f"replayed {site.many(made.redone, 'transaction')} of the redo log{until}")
    if made.lost:
        site.say(f"lost: {made.lost} later transactions, after a gap in the log")
    if made.forked:
        site.say(f"{made.forked}; used: the first line, or the line of the copy given by --copy")
    for path in made.left:
        site.say(f"not used, and kept: {path}")
    if made.aside is not None:
        site.say(f"the old journal is kept in {made.aside}")
    counted = "  ".join(f"{state}: {number}" for state, number in sorted(made.counts.items()))
    site.say(counted or "the journal has no requests")
    _name(made.unknown)
    for host, place in made.others.items():
        site.say(
            f"requests were taken on {host}, too: `provisioner journal rebuild` there names what "
            f"{place} has and the journal does not know"
        )


def _name(unknown: Sequence[Path]) -> None:
    """Name requests of the spool that the journal does not know, the newest last."""
    if not unknown:
        site.say("the spool has no request that the journal does not know")
        return
    site.say(
        f"the spool has {site.many(len(unknown), 'request')} that the journal does not know; move "
        "those that are needed into staging again: what closes somebody before the release, the "
        "rest after it:"
    )
    if len(unknown) > _SHOWN:
        site.say(f"    {len(unknown) - _SHOWN} earlier ones")
    for path in unknown[-_SHOWN:]:
        site.say(f"    {path}-*")


@journal_app.command()
@flattened
def release(
    changes: int = typer.Option(
        ...,
        "--changes",
        metavar="N",
        min=0,
        help="number of objects that would change, as `provisioner drift` says",
    ),
    reason: str = control.REASON,
    sending: Sending = control.SOON,
) -> None:
    """Let the service write to the backends again, after a look at the drift."""
    from provisioner.inspection import drift
    from provisioner.journal import facts
    from provisioner.journal.hosts import spools

    system = site.reading()
    with system.journal.reading() as conn:
        observed = facts.get(conn, facts.OBSERVING)
        spools.refuse_awaited(conn)
    if observed is None:
        raise InvalidRequest("the service does not only observe: there is nothing to release")
    if observed == facts.CONFIGURED:
        raise Refused(
            f"cannot release the journal: {observed}",
            advice="set `mode: converge` there and restart the service, which still only observes; "
            "then review `provisioner drift`, and release again",
        )
    differing = len(drift.known(system).changes)
    if differing != changes:
        raise InvalidRequest(
            f"the service would change {site.many(differing, 'object')} now, not {changes}",
            expected="the number that `provisioner drift` prints",
        )
    control.drop("journal.release", {}, reason, sending)
