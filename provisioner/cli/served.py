"""The verb `config diff`: what the running service serves against the file as it is now.

Promises: reads the file and the journal, and writes nothing. Leaves out: what lies in files that
the configuration names, and what is wrong in the backends (`drift`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer

from provisioner.cli import paint, site
from provisioner.cli.exits import Exit
from provisioner.cli.words import when
from provisioner.config import served
from provisioner.config.schema import Config, examined
from provisioner.config.served import Difference, Served
from provisioner.contract import Finding, Level
from provisioner.inspection import configuration
from provisioner.journal import facts
from provisioner.journal.figures import figures
from provisioner.journal.figures.figures import Figures
from provisioner.journal.journal import Connection
from provisioner.outcome.results import moment

_LONGEST = 120
"""The most characters of a value; --json has all of it."""

_NAMED = 3
"""The most options that `doctor` names."""

_LEFT_OUT = (
    "not compared: what is in the files that it names (secrets, templates, certificates, keys)"
)

_SECTIONS = {
    "mode": "the service does not write before a person has released the journal",
    "service": "each mark in a backend has the former name: such objects are then another's",
    "spool": "requests and their files stay in the former one: move the directory first",
    "site": "steps that use `site` get the new values, also those of requests that wait",
    "policy": "it judges what comes, is released or is tried again after the restart",
    "idle": "whom it would warn or close: provisioner idle, which reads the file",
}
"""What a restart changes, by part of the configuration."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A file and what is served. process: what serves the spool now, None: nothing; start: what
    was served last, None: nothing; effects: what a restart changes, in words."""

    process: int | None
    start: Served | None
    differences: Sequence[Difference] = ()
    effects: Sequence[str] = ()


def run(*, as_json: bool) -> None:
    """Print what differs; exit with 1 if anything does, with 5 if no service ever started."""
    config = site.config()
    book = site.journal(config)
    with book.reading() as conn:
        seen = compare(config, conn)
    book.close()
    if as_json:
        site.print_json(_plain(seen))
    else:
        paint.show(_lines(seen))
    if seen.start is None:
        raise typer.Exit(Exit.AWAY)
    if seen.differences:
        raise typer.Exit(Exit.FAILED)


def compare(config: Config, conn: Connection) -> Compared:
    """Compare the file with the journal's record of the last start. config: of the file."""
    process, text = site.served_by(config.spool), facts.get(conn, facts.SERVED)
    if text is None:
        return Compared(process, None)
    start = Served.parse(text)
    lines = examined(site.path()).lines
    found = served.differences(start.values, served.values(config), lines)
    read = figures.read(conn, time.time()) if found else None
    return Compared(process, start, found, tuple(_effects(found, read)) if read else ())


def finding(config: Config, conn: Connection) -> Iterator[Finding]:
    """Report for `doctor` that the service that runs serves something else than the file."""
    seen = compare(config, conn)
    if seen.process is not None and seen.differences:
        names = [one.key for one in seen.differences[:_NAMED]]
        more = len(seen.differences) - len(names)
        listed = ", ".join(names) + (f" and {more} more" if more else "")
        message = f"{site.path()} was changed after the service started: {listed}"
        advice = "provisioner config diff; then restart the service"
        yield Finding(Level.WARNING, "configuration", message, advice)


def _effects(found: Sequence[Difference], read: Figures) -> Iterator[str]:
    """Yield what a restart changes for objects and requests."""
    parts: dict[tuple[str, ...], list[Difference]] = {}
    for one in found:
        wide = 2 if one.place[0] in ("handlers", "resources", "routes") else 1
        parts.setdefault(tuple(map(str, one.place[:wide])), []).append(one)
    rest = []
    for part, some in parts.items():
        match part:
            case "handlers", name:
                known = read.objects[name].known if name in read.objects else 0
                yield f"handler {name}: {_of_handler(name, some, known)}"
            case "resources", name:
                yield f"resource {name}: {_of_resource(some[0])}"
            case "routes", action:
                waiting = sum(n for (_, one), n in read.by_action.items() if one == action)
                yield f"route of {action}: {_of_route(waiting)}"
            case (name,) if name in _SECTIONS:
                yield f"{name}: {_SECTIONS[name]}"
            case _:
                rest.append(part[0])
    if rest:
        yield f"{', '.join(rest)}: in force from then on; no object changes by it"


def _of_handler(name: str, some: Sequence[Difference], known: int) -> str:
    whole, objects = some[0], site.many(known, "object")
    if len(whole.place) == 2 and whole.before is None:
        had = f"; the ledger still has {objects} of it: provisioner drift {name}" if known else ""
        return f"new, and makes what requests ask for from then on{had}"
    if len(whole.place) == 2:
        return (
            f"gone. Its backend keeps {objects}, and nobody looks there any more; requests that "
            "wait for it fail"
        )
    if any(one.place[2:] == ("use",) for one in some):
        return f"another kind, which takes the {objects} for its own: start with `mode: observe`"
    return (
        f"the restart itself writes nothing. The new settings reach its {objects} with the next "
        f"request or repair; what differs then: provisioner drift {name}"
    )


def _of_resource(whole: Difference) -> str:
    if len(whole.place) == 2 and whole.after is None:
        return "gone: requests that name it are refused; what they made stays"
    if len(whole.place) == 2 and whole.before is None:
        return "new: requests may name it"
    return "requests that come from then on get the new one; what was made stays until then"


def _of_route(waiting: int) -> str:
    return (
        "requests that come from then on have the new steps; what was made before stays until it "
        f"is asked for again. {site.many(waiting, 'request')} of it wait: their steps stay, with "
        "the new parameters, and fail if a step is gone or is about other objects"
    )


def _lines(seen: Compared) -> Iterator[paint.Line]:
    path, start = site.path(), seen.start
    if start is None:
        older = f"; process {seen.process} is an older program: restart it" if seen.process else ""
        yield paint.line(f"no service has recorded a start: nothing to compare with{older}")
        return
    yield paint.line(_who(seen, start))
    if start.version != version("hpc-provisioner"):
        text = f"its program was {start.version}, this one is {version('hpc-provisioner')}"
        yield paint.line(text, "yellow")
    if not seen.differences:
        serves = seen.process is not None
        what = "the service runs with this configuration" if serves else "nothing differs"
        yield paint.line(f"{what}: {path}", "green")
        return
    yield paint.line(f"{path}: {site.many(len(seen.differences), 'difference')}", "yellow")
    for one in seen.differences:
        where = f"line {one.line:<5}" if one.line else " " * 10
        default = "" if one.line or one.after is None else " (not in the file)"
        yield paint.line(
            f"  {where} {one.key}: {_value(one.before)} -> {_value(one.after)}{default}"
        )
    yield paint.line("after a restart:")
    yield from (paint.line(f"  {text}") for text in seen.effects)
    yield from _refused(path)
    yield paint.line(_LEFT_OUT, "dim")


def _who(seen: Compared, start: Served) -> str:
    if seen.process is not None:
        return f"process {seen.process} serves what has been served since {when(start.at)}"
    since = f"the last one served what had been served since {when(start.at)}"
    return f"no service on this host serves the spool; {since}"


def _refused(path: Path) -> Iterator[paint.Line]:
    """Yield that a service would not start with the file."""
    if configuration.problems(path):
        yield paint.line("a restart would fail now: provisioner config check says why", "bold red")


def _value(value: Any) -> str:
    if value is None:
        return "not set"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _plain(seen: Compared) -> Mapping[str, Any]:
    start = seen.start
    return {
        "served_by": seen.process,
        "since": None if start is None else moment(start.at),
        "version": None if start is None else start.version,
        "same": None if start is None else not seen.differences,
        "differences": [
            {"key": one.key, "line": one.line, "before": one.before, "after": one.after}
            for one in seen.differences
        ],
        "effects": list(seen.effects),
    }
