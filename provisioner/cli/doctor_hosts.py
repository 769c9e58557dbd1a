"""What `doctor` checks on one host of several, and what it says of the others.

Promises: a host is asked for what its own roles need: lanes for their backends, secrets and agents;
an intake, whose looks ask all backends, and a process that serves alone, for all of it. Leaves out:
the checks themselves (`doctor`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioner.cli import hosts, site
from provisioner.cli.waiting import moment
from provisioner.config.schema import Config
from provisioner.contract import ConfigError, Fault, Finding, Level
from provisioner.journal.hosts import spools
from provisioner.journal.hosts.together import Together


@dataclass(frozen=True, slots=True)
class Part:
    """What this host serves. lanes: those that it may drain, None: all; intake: it takes requests
    and keeps house."""

    intake: bool = True
    lanes: frozenset[str] | None = None

    def has(self, lane: str) -> bool:
        """Return True if this host may drain a lane."""
        return self.lanes is None or lane in self.lanes


def read(config: Config) -> Together:
    """Read who serves a journal; nobody if it cannot be read, as another check says."""
    try:
        book = site.journal(config)
        try:
            return hosts.read(book, config)
        finally:
            book.close()
    except Fault:
        return Together()


def part(config: Config, found: Together) -> Part:
    """Return what this host serves: by its processes, also those that died."""
    if not found.hosts:
        return Part()
    mine = [each for each in found.hosts if each.host.name == os.uname().nodename]
    lanes = {lane for each in mine for lane in each.host.lanes}
    takes = any(each.takes for each in mine) or not site.apart(config)
    return Part(takes, None if takes else frozenset(lanes))


def findings(found: Together, own: Part) -> Iterator[Finding]:
    """Report who serves what, and what nobody serves."""
    for each in found.hosts:
        if not each.missing:
            drains = f"; drains {', '.join(each.drains)}" if each.drains else ""
            text = f"{each.host.name}: {each.host.roles}, since {moment(each.host.since)}{drains}"
            yield Finding(Level.OK, "hosts", text)
    for trouble in found.troubles(hosts.lanes()):
        level = Level.ERROR if trouble.grave else Level.WARNING
        yield Finding(level, "hosts", trouble.text, trouble.advice)
    if found.hosts:
        lanes = ", ".join(sorted(own.lanes or ())) or "no backend"
        yield Finding(
            Level.OK, "hosts", f"this host is asked for {lanes}; doctor on each for its own"
        )


def unanswered(config: Config, found: Together) -> Iterator[Finding]:
    """Report intakes that are not heard although requests wait for them."""
    heard = {each.host.name for each in found.hosts if each.takes and not each.missing}
    if not heard:
        return
    try:
        book = site.journal(config)
    except Fault:  # another check says why
        return
    try:
        with book.reading() as conn:
            waiting, listed = spools.unanswered(conn), spools.listed(conn)
    finally:
        book.close()
    if any(spools.is_shared(one.mark) and one.host in heard for one in listed):
        return  # another one goes on with all
    for one in listed:
        number = 0 if one.host in heard else waiting.get(one.id, 0)
        if number:
            yield Finding(
                Level.WARNING,
                "hosts",
                f"{site.many(number, 'open request')} came to the intake on {one.host}, which is "
                f"not heard: nobody writes their results and receipts in {one.place}",
                f"start it; if {one.host} is gone for good, provisioner take-over {one.host}",
            )


def used(config: Config, own: Part) -> set[str] | None:
    """Return the words in the settings of what this host serves, secrets and agents among them;
    None if it serves all."""
    if own.lanes is None:
        return None
    try:
        lanes = site.system().lanes
    except ConfigError:  # another check says why
        return None
    mine = [one.settings for name, one in config.handlers.items() if own.has(lanes[name])]
    parts: list[Any] = [mine, *([config.notify.model_dump()] if own.intake else [])]
    return set(_words(parts))


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _words(one)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for one in value:
            yield from _words(one)
    elif isinstance(value, str):
        yield value
