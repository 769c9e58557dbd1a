"""The verb `take-over`: another intake answers for one that is gone for good.

Promises: it says what was given, and what only the former host had. Leaves out: how
(`house.inheritance`).
"""

from __future__ import annotations

import os
import shlex

import typer

from provisioner.cli import site
from provisioner.cli.words import when
from provisioner.contract import ConfigError
from provisioner.system.users import user_name


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("take-over")(take_over)


def take_over(
    host: str = typer.Argument(..., metavar="HOST", help="the one that is gone, as `queue` has it"),
    by: str = typer.Option("", metavar="HOST", help="the one that answers now; default: this one"),
) -> None:
    """Let another intake answer for one whose host is gone for good: results and receipts."""
    from provisioner.house import inheritance

    settings, heir = site.config(), by or os.uname().nodename
    if not isinstance(settings.journal, str):
        raise ConfigError(
            f"the journal {settings.journal} is a file: one process takes all requests into it",
            advice="docs/scale-out.md says how several hosts serve one",
        )
    book, who = site.journal(settings), user_name(os.geteuid())
    try:
        made = inheritance.take_over(book, host, heir, settings.roles.lease, who)
    finally:
        book.close()
    site.say(
        f"{heir} answers for {host}: {site.many(made.requests, 'request')}; it writes results and "
        f"receipts of {made.answered} now, which are open or have ended since {when(made.since)}"
    )
    for place in made.places:
        path = shlex.quote(place)
        site.say(
            f"only on {host}, if it can be read at all: files that were not accepted, in "
            f"{path}/staging and {path}/active, with lists of users, manifests and signatures"
        )
    site.say("their writers send them again, to another intake: the same `id` is the same request")
    if made.waiting:
        site.say(
            f"{site.many(made.waiting, 'request')} that other hosts had handed on to {host} may be "
            "lost: look at `provisioner queue`, and type again what is missing"
        )
