"""Hosts, as `queue` and `status` show them: which process serves what, since when, who is missing.

Promises: nothing is shown where one process serves alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from provisioner.cli import paint
from provisioner.cli.waiting import moment
from provisioner.cli.words import span

if TYPE_CHECKING:
    from provisioner.config.schema import Config
    from provisioner.journal.hosts.presence import Seen
    from provisioner.journal.journal import Journal


def read(book: Journal, config: Config) -> Sequence[Seen]:
    """Read the processes that serve a journal together."""
    from provisioner.journal.hosts import presence

    with book.reading() as conn:
        return presence.seen(conn, book.now(conn), config.roles.lease)


def lines(found: Sequence[Seen], lanes: Collection[str]) -> Iterator[paint.Line]:
    """Yield a line for each process, and one for the lanes that nobody drains."""
    from provisioner.journal.hosts import presence

    for each in found:
        host = each.host
        drains = f"; drains {', '.join(each.drains)}" if each.drains else ""
        if each.missing:
            text = f"host {host.name} ({host.roles}) is missing: not heard for {span(each.silent)}"
            yield paint.line(text, "bold red")
        else:
            yield paint.line(f"host {host.name}: {host.roles}, since {moment(host.since)}{drains}")
    if idle := presence.undrained(found, lanes):
        yield paint.line(f"no host drains: {', '.join(idle)}", "bold red")


def plain(found: Sequence[Seen]) -> list[dict[str, Any]]:
    """Return them for programs."""
    return [
        {
            "name": each.host.name,
            "roles": each.host.roles,
            "version": each.host.version,
            "since": moment(each.host.since),
            "heard": moment(each.host.heard),
            "missing": each.missing,
            "drains": list(each.drains),
        }
        for each in found
    ]
