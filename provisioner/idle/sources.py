"""Sources of last use: handlers that know it, and programs of the site.

Promises: each is asked once, for everybody. An answer counts as a whole or not at all, and what is
in doubt is a problem in words. Leaves out: what follows (`decide`).
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from provisioner.config.idle import SourceConfig
from provisioner.contract import Fault, Permanent, Unavailable, Uses
from provisioner.contract.abilities import Witnesses, able
from provisioner.system import process
from provisioner.wiring import System

DAY = 86400.0

_MARGIN = 7 * DAY
"""The least seconds between how late a source may note a use, and the end."""

_ONE_DAY = 1.5 * DAY
"""How much later than the beginning of a date, in UTC, somebody may have used something on it."""

_BY_HAND = "run it by hand as the service's user"


@dataclass(frozen=True, slots=True)
class Use:
    """When somebody may last have used something, and by which source. noted: what that says."""

    at: float
    source: str
    noted: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What all sources say. uses: the latest of each person; again: the latest that opens somebody
    who was closed; problems: why nobody may be closed."""

    uses: Mapping[str, Use] = field(default_factory=dict)
    again: Mapping[str, Use] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def read(system: System, served: Collection[str], now: float) -> Reading:
    """Ask all sources. served: the people whom the service knows; now: seconds since the epoch."""
    settings = system.config.idle
    after = (settings.after or 0) * DAY
    latest: dict[str, Use] = {}
    again: dict[str, Use] = {}
    problems: list[str] = []
    for name, source in settings.sources.items():
        try:
            uses = _ask(system, name, source, now - after - DAY, now)
            uses = replace(uses, last=_by_name(uses.last))
            _check(uses, after, now)
            _check_names(uses.last, served)
        except Fault as fault:
            advice = f"; {fault.advice}" if fault.advice else ""
            problems.append(f"{name}: {fault.message}{advice}")
            continue
        except Exception as error:  # a third party's handler may break its promise
            problems.append(f"{name}: its answer could not be read: {error!r}")
            continue
        for person, noted in uses.last.items():
            use = Use(min(noted + uses.lag, max(now, noted)), name, noted)
            for into in (latest, again) if source.reopens else (latest,):
                if person not in into or into[person].at < use.at:
                    into[person] = use
    return Reading(latest, again, tuple(problems))


def _ask(system: System, name: str, source: SourceConfig, since: float, now: float) -> Uses:
    if source.program is not None:
        return parsed(source.program, _printed(source.program, source.timeout))
    handler = system.handlers.get(name)
    if handler is None or not able(handler, Witnesses):
        raise Permanent("it is not a handler that knows when people last used it")
    return handler.last_used(since, now)


def _check(uses: Uses, after: float, now: float) -> None:
    """Raise a Fault if an answer cannot be believed."""
    if uses.lag + _MARGIN > after:
        raise Permanent(
            f"it may note a use {uses.lag / DAY:.0f} days late, and `idle.after` is only "
            f"{after / DAY:.0f} days",
            advice=f"set `idle.after` to at least {(uses.lag + _MARGIN) / DAY:.0f}",
        )
    late = [person for person, at in uses.last.items() if at > now + DAY]
    if late:
        raise Permanent(
            f"it says that {late[0]!r} uses something in the future", advice="compare the clocks"
        )


def _by_name(last: Mapping[str, float]) -> dict[str, float]:
    """Return the latest uses by names as the service writes them: nobody's has a capital letter."""
    latest: dict[str, float] = {}
    for person, at in last.items():
        latest[person.lower()] = max(latest.get(person.lower(), 0.0), at)
    return latest


def _check_names(seen: Collection[str], served: Collection[str]) -> None:
    """Raise a Fault if a source names people, and none of them is known here."""
    if served and not set(served).intersection(seen):
        some = ", ".join(repr(name) for name in sorted(seen)[:3]) or "nobody"
        raise Permanent(
            f"it names {some}, and nobody whom the service knows",
            advice="it has to name people as requests do, such as jdoe",
        )


def _printed(program: tuple[str, ...], timeout: float) -> str:
    done = process.run(program, timeout=timeout)
    if done.timed_out:
        raise Unavailable(
            f"{shlex.join(program)} did not end in {timeout:g} s",
            advice="raise the source's `timeout`",
        )
    if done.returncode != 0:
        said = " ".join(done.stderr.split())[:300]
        raise Unavailable(
            f"{shlex.join(program)} exited with {done.returncode}: {said}", advice=_BY_HAND
        )
    return done.stdout


def parsed(program: tuple[str, ...], text: str) -> Uses:
    """Return what a program printed: USER, a tab, a date or a time, a line each.

    Raises Unavailable if it printed nothing, or something else.
    """
    if not text.endswith("\n"):
        what = "its last line has no end" if text else "it printed nothing"
        raise Unavailable(f"{shlex.join(program)}: {what}", advice=_BY_HAND)
    last: dict[str, float] = {}
    for number, line in enumerate(text.splitlines(), 1):
        person, tab, day = line.partition("\t")
        moment = _moment(day.strip())
        if not tab or not person.strip() or moment is None:
            raise Unavailable(
                f"{shlex.join(program)}: line {number} is {line[:60]!r}",
                advice="it has to be USER, a tab and a date such as 2026-11-29",
            )
        last[person.strip()] = max(last.get(person.strip(), 0.0), moment)
    return Uses(last, _ONE_DAY)


def _moment(text: str) -> float | None:
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        return None
