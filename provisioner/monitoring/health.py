"""Health: what a check of Nagios or Icinga says about a site. Pure.

Promises: the worst finding decides the state, every finding is named, and performance data follow
the plugin guidelines (https://nagios-plugins.org/doc/guidelines.html). Leaves out: reading the
journal (`figures`), and whether backends are right (`doctor`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from provisioner.journal.figures.figures import Figures
from provisioner.journal.hosts.together import ALONE, Together

_HOUR = 3600.0


class Status(IntEnum):
    """The state of a check, which is also its exit code."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_WORST = (Status.CRITICAL, Status.UNKNOWN, Status.WARNING, Status.OK)


@dataclass(frozen=True, slots=True)
class Limits:
    """From which value on something is worth a warning, or critical. Ages in seconds."""

    age: tuple[float, float] = (24 * _HOUR, 72 * _HOUR)
    failed: tuple[int, int] = (10, 100)
    due: tuple[int, int] = (1000, 10_000)
    backup: tuple[float, float] = (3 * _HOUR, 24 * _HOUR)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a check saw. served: a service runs; backup: age of the newest copy of the journal, None
    if there is none; full: why no request is taken, '' if there is room; observing: why nothing is
    written, '' if it is; misnamed: files in staging that are never taken; idle: why nobody is
    closed for being idle, '' if nothing is in doubt; together: who serves on which host; lanes: all
    that are configured."""

    figures: Figures
    served: bool
    backup: float | None
    full: str = ""
    observing: str = ""
    misnamed: Sequence[str] = ()
    idle: str = ""
    together: Together = ALONE
    lanes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not well."""

    status: Status
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check."""

    status: Status
    findings: Sequence[Finding]
    summary: str
    perfdata: str

    def line(self) -> str:
        """Return the one line that Nagios reads. `|` would begin the performance data."""
        told = "; ".join(finding.text for finding in self.findings) or self.summary
        plain = "".join(c if c.isprintable() and c != "|" else " " for c in told)
        return f"PROVISIONER {self.status.name} - {plain} | {self.perfdata}"


def report(seen: Seen, limits: Limits, now: float) -> Report:
    """Judge what was seen."""
    findings = sorted(_findings(seen, limits, now), key=lambda f: _WORST.index(f.status))
    status = findings[0].status if findings else Status.OK
    waiting = sum(some.number for some in seen.figures.open.values())
    summary = f"{waiting} open, {seen.figures.need_person} need a person"
    return Report(status, findings, summary, _perfdata(seen, limits, now))


def _findings(seen: Seen, limits: Limits, now: float) -> Iterator[Finding]:
    figures = seen.figures
    if not seen.served:
        yield Finding(Status.CRITICAL, "no service serves the spool")
    for trouble in seen.together.troubles(seen.lanes):
        yield Finding(Status.CRITICAL if trouble.grave else Status.WARNING, trouble.text)
    if seen.full:
        yield Finding(Status.CRITICAL, seen.full)
    if seen.observing:
        yield Finding(Status.WARNING, f"only observing: {seen.observing}")
    if seen.misnamed:
        files = "1 file" if len(seen.misnamed) == 1 else f"{len(seen.misnamed)} files"
        text = f"{files} in staging never taken because of the name: {seen.misnamed[0]}"
        yield Finding(Status.WARNING, text)
    if seen.idle:
        yield Finding(Status.WARNING, f"idle: {seen.idle}")
    for name, lane in sorted(figures.lanes.items()):
        if lane.away:
            yield Finding(Status.WARNING, f"lane {name}: backend away: {lane.away}")
        if lane.paused:
            yield Finding(Status.WARNING, f"lane {name} is paused")
    yield from _over("objects due", sum(lane.due for lane in figures.lanes.values()), limits.due)
    for state, some in sorted(figures.open.items()):
        age = now - some.oldest
        if state != "scheduled":
            yield from _over(f"oldest {state} request: hours", age, limits.age, _HOUR)
    yield from _over("failed requests need a person:", figures.need_person, limits.failed)
    if seen.backup is not None:
        yield from _over("newest copy of the journal: hours", seen.backup, limits.backup, _HOUR)


def _over(
    what: str, value: float, limits: tuple[float, float], unit: float = 1.0
) -> Iterator[Finding]:
    warning, critical = limits
    if value >= warning:
        status = Status.CRITICAL if value >= critical else Status.WARNING
        yield Finding(status, f"{what} {value / unit:.0f}")


def _perfdata(seen: Seen, limits: Limits, now: float) -> str:
    figures = seen.figures
    open_ = sum(some.number for some in figures.open.values())
    ages = [now - some.oldest for state, some in figures.open.items() if state != "scheduled"]
    away = sum(bool(lane.away) for lane in figures.lanes.values())
    due = sum(lane.due for lane in figures.lanes.values())
    stuck = figures.messages.get("waiting", 0)
    parts = [
        f"open={open_};;;0",
        f"failed={figures.need_person};{limits.failed[0]};{limits.failed[1]};0",
        f"oldest={max(ages, default=0.0):.0f}s;{limits.age[0]:.0f};{limits.age[1]:.0f};0",
        f"due={due};{limits.due[0]};{limits.due[1]};0",
        f"away={away};1;;0",
        f"messages={stuck};;;0",
    ]
    if hosts := seen.together.hosts:
        parts += [
            f"hosts={len(hosts)};;;0",
            f"missing={sum(each.missing for each in hosts)};1;;0",
            f"unserved={len(seen.together.undrained(seen.lanes))};;1;0",
        ]
    if seen.backup is not None:
        warning, critical = limits.backup
        parts.append(f"backup={seen.backup:.0f}s;{warning:.0f};{critical:.0f};0")
    return " ".join(parts)
