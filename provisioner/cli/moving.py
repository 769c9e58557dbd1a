"""Verbs of moving in: drift, adopt.

Promises: `drift` only reads; with --repair it puts requests into staging. `adopt` puts a request
there. Both print what they found before they ask. Leaves out: comparing (`drift`, `comparison`),
and taking over (`adoption`).
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioner.cli import control, site, submitting
from provisioner.cli.exits import Exit
from provisioner.cli.options import Sending, flattened
from provisioner.cli.trouble import observing
from provisioner.contract import Fault, InvalidRequest, Refused

if TYPE_CHECKING:
    from provisioner.inspection.comparison import Compared
    from provisioner.inspection.drift import Drift, Unexplained
    from provisioner.inspection.planning import Standing
    from provisioner.wiring import System


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(flattened(drift))
    app.command()(flattened(adopt))


@dataclass(frozen=True, slots=True)
class Repair:
    """Whether what differs is made as it is wanted."""

    repair: Annotated[
        bool, typer.Option("--repair", help="make what differs as it is wanted, after a question")
    ] = False
    yes: Annotated[bool, typer.Option("--yes", help="with --repair: without asking")] = False
    reason: Annotated[str, typer.Option(help="with --repair: why, for the record")] = ""


def drift(
    handlers: list[str] = typer.Argument(None, metavar="[HANDLER...]", help="only these"),
    *,
    repair: Repair,
    sending: Sending,
    as_json: bool = typer.Option(False, "--json", help="print JSON"),
) -> None:
    """List what the service would write to the backends now, and objects without explanation."""
    from provisioner.inspection import drift as drifts

    system = site.reading()
    _check_known(system, handlers or ())
    drifted = drifts.whole(system, handlers or ())
    if as_json:
        site.print_json(_plain(drifted))
    else:
        *lines, summary = drifts.lines(drifted)
        silent = repair.repair or observing(system.journal)
        for line in (*lines, *(() if silent else drifts.todo(drifted)), summary):
            site.say(line)
    if repair.repair and drifted.changes:
        _repair(system, drifted, repair, sending)
    elif not drifted.nothing:
        raise typer.Exit(Exit.FAILED)


def _check_known(system: System, handlers: Sequence[str]) -> None:
    unknown = set(handlers) - system.handlers.keys()
    if unknown:
        raise InvalidRequest(
            f"there is no handler {min(unknown)!r}", expected=", ".join(system.handlers)
        )


def _repair(system: System, drifted: Drift, repair: Repair, sending: Sending) -> None:
    """Ask, and send the requests that make what differs as it is wanted."""
    from provisioner.inspection.rounds import left_over, repairs

    because = observing(system.journal)
    if because:
        raise Refused(
            f"nothing is repaired while the service only observes: {because}",
            advice="review this list, then run `provisioner journal release`",
        )
    _warn_of_losses(system, [standing.key for standing in drifted.changes if standing.closes])
    if not (repair.yes or _agreed(len(drifted.changes))):
        raise typer.Exit(Exit.FAILED)
    codes = []
    for body in repairs(drifted.changes, repair.reason or "provisioner drift --repair"):
        try:
            submitting.send("drift.yaml", body, sending)
        except typer.Exit as end:
            codes.append(end.exit_code)
    if later := left_over(drifted.changes):
        site.say(f"{len(later)} more would be closed: once this is over, run it again")
    raise typer.Exit(max(codes, default=0))


def _warn_of_losses(system: System, closing: Sequence[str]) -> None:
    """Say who would lose something by a repair, and what the service does if they are many."""
    from provisioner.journal.queries import holdings

    if not closing:
        return
    with system.journal.reading() as conn:
        losers = sorted(name.removeprefix("user:") for name in holdings.closing(conn, closing))
    most = system.config.drift.most_removed
    more = f" and {len(losers) - _LOSERS} more" if len(losers) > _LOSERS else ""
    held = f"; that is more than {most}, so it waits for a release" if len(losers) > most else ""
    named = ", ".join(losers[:_LOSERS])
    site.say(f"{len(losers)} would lose what they should not have: {named}{more}{held}")


_LOSERS = 10
"""The most people that a warning names."""


def _agreed(number: int) -> bool:
    """Return True if the person at the terminal agrees; without a terminal, name the option."""
    if not sys.stdin.isatty():
        site.say("nothing was repaired; to repair it, add --yes", file=sys.stderr)
        return False
    return bool(typer.confirm(f"Make {site.many(number, 'object')} as wanted?"))


def _plain(drifted: Drift) -> dict[str, Any]:
    return {
        "changes": [_plain_standing(standing) for standing in drifted.changes],
        "marks": drifted.marks,
        "left": [_plain_standing(standing) for standing in drifted.left],
        "faults": [_plain_standing(standing) for standing in drifted.faults],
        "unexplained": [standing.key for standing in drifted.unexplained],
        "as_found": drifted.seen,
        "unread": dict(drifted.unread or {}),
    }


def _plain_standing(standing: Standing) -> dict[str, Any]:
    return {
        "object": standing.key,
        "handler": standing.instance,
        "asked_for_by": sorted({claim.source for claim in standing.claims}),
        "missing": list(standing.writes),
        "closes": standing.closes,
        "error": standing.error.words() if standing.error else None,
    }


@dataclass(frozen=True, slots=True)
class _Existing:
    """The existing objects, compared with a manifest.

    unexplained: objects that no claim explains; unread: handlers that could not be read, and why.
    """

    compared: Sequence[Compared]
    unexplained: Sequence[Unexplained]
    unread: dict[str, str]

    def of(self, kind: str) -> list[Compared]:
        return [item for item in self.compared if item.kind == kind]


@dataclass(frozen=True, slots=True)
class Listed:
    """Which objects of a portal's manifest are taken over, and for which writer."""

    manifest: Annotated[
        str, typer.Option(metavar="FILE", help="what a portal wants, as JSON Lines")
    ] = ""
    writer: Annotated[str, typer.Option(help="owner of the manifest, if not the caller")] = ""
    unexplained: Annotated[
        bool,
        typer.Option(
            "--unexplained",
            help="with a manifest: also record the rest as known, and leave it unchanged",
        ),
    ] = False
    differing: Annotated[
        bool,
        typer.Option("--differing", help="change differing objects to what the manifest says"),
    ] = False


def adopt(
    handlers: list[str] = typer.Argument(
        None, metavar="[HANDLER...]", help="without a manifest: only these"
    ),
    *,
    listed: Listed,
    yes: bool = typer.Option(False, "--yes", help="do it without asking"),
    reason: str = control.REASON,
    sending: Sending,
    as_json: bool = typer.Option(False, "--json", help="print JSON"),
) -> None:
    """Compare the backends with what is wanted, and take over existing objects unchanged."""
    system = site.reading()
    _check_known(system, handlers or ())
    if handlers and listed.manifest:
        raise InvalidRequest("a manifest lists its own objects: name no handlers with --manifest")
    if (listed.differing or listed.writer) and not listed.manifest:
        raise InvalidRequest("--differing and --writer need a manifest: --manifest FILE")
    body = Path(listed.manifest).read_bytes() if listed.manifest else b""
    existing = _find(system, body, handlers or ())
    if as_json:
        site.print_json(_plain_existing(existing))
    else:
        for line in _lines(existing, listed=bool(listed.manifest)):
            site.say(line)
    rest = existing.unexplained if listed.unexplained or not listed.manifest else ()
    if not (existing.compared or rest):
        site.say("there is nothing to take over", file=sys.stderr)
        return
    if not (yes or _confirmed(existing, rest, listed.differing)):
        return
    _check_observing(system)
    objects = b"".join(json.dumps({"object": item.key}).encode() + b"\n" for item in rest)
    more: dict[str, Any] = {"writer": listed.writer} if listed.writer else {}
    more |= {"differing": True} if listed.differing else {}
    more |= {"reason": reason} if reason else {}
    _send(b"\n".join(filter(None, (body.rstrip(b"\n"), objects))), more, sending)


def _find(system: System, body: bytes, handlers: Sequence[str]) -> _Existing:
    from provisioner.inspection import comparison, drift
    from provisioner.journal.records import object_rows
    from provisioner.manifests import manifest as manifests
    from provisioner.request.documents import InvalidDocument
    from provisioner.request.request import parse_request

    compared = []
    if body:
        requests = []
        for number, text in enumerate(manifests.read(body, objects=True).requests, 1):
            try:
                requests.append(parse_request(text))
            except InvalidDocument as error:
                raise InvalidRequest(f"manifest entry {number}: {error.message}") from None
        compared = comparison.compare(system, requests)
    with system.journal.reading() as conn:
        known = {*object_rows.all_keys(conn), *(item.key for item in compared)}
    rest, unread = drift.unexplained(system, known, handlers)
    return _Existing(compared, rest, unread)


_TITLES = {
    "fits": "fit; the service takes them over",
    "differs": "differ; left unchanged (use --differing to change them)",
    "conflict": "belong to another; not taken over",
    "missing": "are missing; made when the journal is released",
    "later": "not checked yet; they depend on missing objects",
    "fault": "could not be read",
}


def _lines(existing: _Existing, *, listed: bool) -> Iterator[str]:
    for kind, title in _TITLES.items():
        some = existing.of(kind)
        if some and kind != "fits":
            yield f"{title}:"
            yield from (f"  {item.key}: {'; '.join(item.texts)}" for item in some)
    if existing.unexplained:
        yield "unexplained:"
        yield from (f"  {item.key}" for item in existing.unexplained)
    for instance, why in existing.unread.items():
        yield f"{instance} could not be read: {why}"
    if listed:
        for kind, title in _TITLES.items():
            yield f"{_counted(len(existing.of(kind)))} {title}"
    yield f"{_counted(len(existing.unexplained))} unexplained"


def _counted(count: int) -> str:
    return f"{count:6} {'object' if count == 1 else 'objects'}"


def _plain_existing(existing: _Existing) -> dict[str, Any]:
    return {
        "objects": [
            {
                "object": item.key,
                "is": item.kind,
                "wanted_by": list(item.subjects),
                "texts": list(item.texts),
            }
            for item in existing.compared
        ],
        "unexplained": [item.key for item in existing.unexplained],
        "unread": existing.unread,
    }


def _confirmed(existing: _Existing, rest: Sequence[Unexplained], differing: bool) -> bool:
    """Return True if the person at the terminal agrees; without a terminal, name the option."""
    if not sys.stdin.isatty():
        site.say("nothing was taken over; to take it over, add --yes", file=sys.stderr)
        return False
    changed = f", {len(existing.of('differs'))} of them to be changed" if differing else ""
    what = (
        f"{site.many(len(existing.compared), 'object')} as listed{changed}, {len(rest)} unchanged"
    )
    return bool(typer.confirm(f"Take over {what}?"))


def _check_observing(system: System) -> None:
    from provisioner.journal import facts

    with system.journal.reading() as conn:
        observed = facts.get(conn, facts.OBSERVING) is not None
        if not observed and system.config.mode != "observe":
            raise Fault(
                "the service writes to backends, and would make missing objects at once",
                advice="set `mode: observe` in the configuration and restart the service; "
                "adopt; then provisioner journal release",
            )


def _send(body: bytes, more: dict[str, Any], sending: Sending) -> None:
    from provisioner.request.documents import dump
    from provisioner.spool.submit import drop_companion

    name = drop_companion(site.staging(), "adopt.jsonl", body)
    digest = hashlib.sha256(body).hexdigest()
    request = {
        "provisioner": 1,
        "action": "adopt",
        **more,
        "manifest": {"file": name, "size": len(body), "sha256": digest},
    }
    submitting.send("adopt.yaml", dump(request).encode(), sending)
