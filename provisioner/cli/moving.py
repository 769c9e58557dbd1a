"""Verbs of moving in: drift, adopt.

Promises: both read; `adopt` prints what it found before it asks, and what it then does goes
through staging. Leaves out: the comparison (`comparison`), and taking over (`adoption`).
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
from provisioner.contract import Fault, InvalidRequest

if TYPE_CHECKING:
    from provisioner.inspection.comparison import Compared
    from provisioner.inspection.drift import Drift, Unexplained
    from provisioner.inspection.planning import Standing
    from provisioner.wiring import System


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(drift)
    app.command()(flattened(adopt))


def drift(as_json: bool = typer.Option(False, "--json", help="for programs")) -> None:
    """List what the service would write to the backends now, and objects without explanation."""
    from provisioner.inspection import drift as drifts

    found = drifts.whole(site.reading())
    if as_json:
        site.print_json(_plain(found))
    else:
        for line in drifts.lines(found):
            site.say(line)
    if not found.nothing:
        raise typer.Exit(Exit.FAILED)


def _plain(found: Drift) -> dict[str, Any]:
    return {
        "changes": [_plain_standing(one) for one in found.changes],
        "marks": found.marks,
        "left": [_plain_standing(one) for one in found.left],
        "faults": [_plain_standing(one) for one in found.faults],
        "unexplained": [one.key for one in found.unexplained],
        "as_found": found.seen,
        "unread": dict(found.unread or {}),
    }


def _plain_standing(one: Standing) -> dict[str, Any]:
    return {
        "object": one.key,
        "handler": one.instance,
        "asked_for_by": sorted({claim.source for claim in one.claims}),
        "missing": list(one.writes),
        "closes": one.closes,
        "error": one.error.words() if one.error else None,
    }


@dataclass(frozen=True, slots=True)
class _Found:
    """What is there, beside what a manifest lists, and what nobody explains."""

    compared: Sequence[Compared]
    unexplained: Sequence[Unexplained]
    unread: dict[str, str]

    def of(self, kind: str) -> list[Compared]:
        return [one for one in self.compared if one.kind == kind]


@dataclass(frozen=True, slots=True)
class Listed:
    """What of a portal's list is taken over, and for whom."""

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
        None, metavar="[HANDLER]...", help="without a manifest: only these"
    ),
    *,
    listed: Listed,
    yes: bool = typer.Option(False, "--yes", help="do it without asking"),
    reason: str = control.REASON,
    sending: Sending,
    as_json: bool = typer.Option(False, "--json", help="for programs"),
) -> None:
    """Compare the backends with what is wanted, and take over existing objects unchanged."""
    system = site.reading()
    unknown = set(handlers or ()) - system.handlers.keys()
    if unknown:
        raise InvalidRequest(
            f"there is no handler {min(unknown)!r}", expected=", ".join(system.handlers)
        )
    if handlers and listed.manifest:
        raise InvalidRequest("a manifest lists its own objects: name no handlers with --manifest")
    if (listed.differing or listed.writer) and not listed.manifest:
        raise InvalidRequest("--differing and --writer need a manifest: --manifest FILE")
    body = Path(listed.manifest).read_bytes() if listed.manifest else b""
    found = _find(system, body, handlers or ())
    if as_json:
        site.print_json(_plain_found(found))
    else:
        for line in _lines(found, listed=bool(listed.manifest)):
            site.say(line)
    rest = found.unexplained if listed.unexplained or not listed.manifest else ()
    if not (found.compared or rest):
        site.say("there is nothing to take over", file=sys.stderr)
        return
    if not (yes or _agreed(found, rest, listed.differing)):
        return
    _check_observing(system)
    objects = b"".join(json.dumps({"object": one.key}).encode() + b"\n" for one in rest)
    more: dict[str, Any] = {"writer": listed.writer} if listed.writer else {}
    more |= {"differing": True} if listed.differing else {}
    more |= {"reason": reason} if reason else {}
    _send(b"\n".join(filter(None, (body.rstrip(b"\n"), objects))), more, sending)


def _find(system: System, body: bytes, handlers: Sequence[str]) -> _Found:
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
        known = {*object_rows.all_keys(conn), *(one.key for one in compared)}
    rest, unread = drift.unexplained(system, known, handlers)
    return _Found(compared, rest, unread)


_TITLES = {
    "fits": "fit; the service takes them over",
    "differs": "differ; left unchanged (use --differing to change them)",
    "conflict": "belong to another; not taken over",
    "missing": "are missing; made when the journal is released",
    "later": "not checked yet; they depend on missing objects",
    "fault": "could not be read",
}


def _lines(found: _Found, *, listed: bool) -> Iterator[str]:
    for kind, title in _TITLES.items():
        some = found.of(kind)
        if some and kind != "fits":
            yield f"{title}:"
            yield from (f"  {one.key}: {'; '.join(one.texts)}" for one in some)
    if found.unexplained:
        yield "unexplained:"
        yield from (f"  {one.key}" for one in found.unexplained)
    for instance, why in found.unread.items():
        yield f"{instance} could not be read: {why}"
    if listed:
        for kind, title in _TITLES.items():
            yield f"{len(found.of(kind)):6} objects {title}"
    yield f"{len(found.unexplained):6} objects unexplained"


def _plain_found(found: _Found) -> dict[str, Any]:
    return {
        "objects": [
            {
                "object": one.key,
                "is": one.kind,
                "wanted_by": list(one.subjects),
                "texts": list(one.texts),
            }
            for one in found.compared
        ],
        "unexplained": [one.key for one in found.unexplained],
        "unread": found.unread,
    }


def _agreed(found: _Found, rest: Sequence[Unexplained], differing: bool) -> bool:
    """Ask whoever sits there; elsewhere say what would do it."""
    if not sys.stdin.isatty():
        site.say("nothing was taken over; repeat with --yes to do it", file=sys.stderr)
        return False
    changed = f", {len(found.of('differs'))} of them to be changed" if differing else ""
    what = f"{len(found.compared)} objects as listed{changed}, {len(rest)} unchanged"
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
