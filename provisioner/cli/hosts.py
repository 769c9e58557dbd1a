"""Hosts, as `queue` and `status` show them: which process serves what, since when, who is missing.

Promises: nothing is shown where one process serves alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from provisioner.cli import paint, site
from provisioner.cli.waiting import moment
from provisioner.contract import ConfigError

if TYPE_CHECKING:
    from provisioner.config.schema import Config
    from provisioner.journal.hosts.together import Together
    from provisioner.journal.journal import Journal


def read(book: Journal, config: Config) -> Together:
    """Read the processes that serve a journal together."""
    from provisioner.journal.hosts import together

    with book.reading() as conn:
        return together.look(conn, book.now(conn), config.roles.lease)


def names(found: Together) -> str:
    """Return the hosts with a process, also those that are missing."""
    return ", ".join(dict.fromkeys(each.host.name for each in found.hosts))


def lanes() -> list[str]:
    """Return the lanes of the configuration; none if its handlers cannot be built."""
    try:
        return sorted(set(site.system().lanes.values()))
    except ConfigError:
        return []


def beside(
    rows: Mapping[str, Mapping[str, Any]], found: Together, lanes: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Return the rows of lanes with the host that drains each, and since when; None: no host.

    undrained: whether somebody should. lanes: all that are configured.
    """
    idle = found.undrained(lanes)
    return {
        name: {
            **rows.get(name, {}),
            "host": found.drained[name].host if name in found.drained else None,
            "host_since": found.drained[name].since if name in found.drained else None,
            "undrained": name in idle,
        }
        for name in sorted({*rows, *lanes})
    }


def lines(found: Together, lanes: Collection[str]) -> Iterator[paint.Line]:
    """Yield a line for each process that is heard, and what is wrong."""
    for each in found.hosts:
        if each.missing:  # told below
            continue
        host = each.host
        drains = [f"{lane} since {moment(found.drained[lane].since)}" for lane in each.drains]
        has = f"; drains {', '.join(drains)}" if drains else ""
        yield paint.line(f"host {host.name}: {host.roles}, since {moment(host.since)}{has}")
    for trouble in found.troubles(lanes):
        yield paint.line(trouble.text, "bold red" if trouble.grave else "yellow")


def plain(found: Together) -> list[dict[str, Any]]:
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
        for each in found.hosts
    ]
