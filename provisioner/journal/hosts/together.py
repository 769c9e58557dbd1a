"""Together: how the processes that serve a journal stand, and what of it nobody serves.

Promises: everything is read inside the caller's transaction, and says the same on every host. A
process that serves alone is not listed, and then nothing is wrong. Leaves out: how it is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from provisioner.journal.hosts import holds, presence
from provisioner.journal.hosts.holds import Holder
from provisioner.journal.hosts.presence import Seen


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong. grave: something is served by nobody; else a process is missing that another
    one stands in for."""

    grave: bool
    text: str
    advice: str


@dataclass(frozen=True, slots=True)
class Together:
    """All processes, none if one serves alone. drained: who has each lane that is drained."""

    hosts: tuple[Seen, ...] = ()
    drained: Mapping[str, Holder] = field(default_factory=dict)

    @property
    def intakes(self) -> int:
        """How many processes take requests, and are heard."""
        return sum(each.takes and not each.missing for each in self.hosts)

    def undrained(self, lanes: Collection[str]) -> list[str]:
        """Return those of some lanes that nobody drains; none if one process has all."""
        return sorted(set(lanes) - self.drained.keys()) if self.hosts else []

    def troubles(self, lanes: Collection[str]) -> Iterator[Trouble]:
        """Yield what is wrong, the gravest first. lanes: all that are configured."""
        if self.hosts and not self.intakes:
            text, advice = "no host takes requests: there is no intake", "start it"
            if names := [each.host.name for each in self.hosts if each.takes]:
                text = f"no host takes requests: the intake on {', '.join(names)} is not heard"
                advice = f"systemctl status provisioner, on {names[0]}"
            yield Trouble(True, text, advice)
        if self.intakes and presence.HOUSE not in self.drained:
            text = "no host keeps house: dates, manifests, copies of the journal and mail wait"
            names = [each.host.name for each in self.hosts if each.takes]
            advice = f"journalctl -u provisioner, on {' and '.join(names)}, says why"
            yield Trouble(True, text, advice)
        if idle := self.undrained(lanes):
            advice = "start a process with --lanes on a host that reaches its backend"
            yield Trouble(True, f"no host drains: {', '.join(idle)}", advice)
        for each in self.hosts:
            if each.missing:
                host, since = each.host, _long(each.silent)
                text = f"host {host.name} ({host.roles}) is missing: not heard for {since}"
                advice = f"systemctl status 'provisioner*', on {host.name}"
                if each.takes:
                    advice += "; if it is gone for good: docs/recovery.md"
                yield Trouble(False, text, advice)


ALONE = Together()
"""One process serves alone, or none."""


def look(conn: Connection, now: float, lease: float) -> Together:
    """Return how everybody stands. now: the server's time; lease: in seconds."""
    found, holders = presence.seen(conn, now, lease), holds.listed(conn)
    drained = {lane: holders[lane] for each in found if not each.missing for lane in each.drains}
    return Together(tuple(found), drained)


def _long(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
