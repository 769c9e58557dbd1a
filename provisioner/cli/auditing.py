"""Verbs that read the audit trail: audit verify, audit show.

Promises: the verbs write nothing; they show only the chain of events, and mark an event that was
altered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from provisioner.cli import finding, site
from provisioner.cli.exits import Exit
from provisioner.contract import InvalidRequest
from provisioner.system.ulid import RequestId

if TYPE_CHECKING:
    from provisioner.journal.audit import Entry
    from provisioner.journal.journal import Connection, Journal

JSON = typer.Option(False, "--json", help="print JSON")

audit_app = typer.Typer(no_args_is_help=True, help="Read the audit trail, and check it.")


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.add_typer(audit_app, name="audit")


@audit_app.command()
def verify(
    head: str = typer.Option(
        "", metavar="SEQ:HASH", help="a head from the log, which the chain must contain"
    ),
    as_json: bool = JSON,
) -> None:
    """Check that no event was altered, removed, inserted or moved."""
    from provisioner.journal import audit

    pinned = audit.Head.parse(head) if head else None
    book = site.journal(site.config())
    with book.reading() as conn:
        verified = audit.verify(conn, pinned)
    if as_json:
        site.print_json(
            {
                "right": not verified.problem,
                "problem": verified.problem,
                "event": verified.event,
                "events": verified.events,
                "pruned": verified.start.seq,
                "head": str(verified.head),
            }
        )
    elif verified.problem:
        site.say(f"WRONG: {verified.problem}")
        site.say(
            f"the {verified.events} events before it are intact"
            if verified.event
            else "the events are intact"
        )
    else:
        site.say(f"{verified.events} events are intact; the head is {verified.head}")
        if verified.start.seq:
            site.say(f"a checkpoint records that events up to {verified.start.seq} were pruned")
        if pinned is None:
            site.say("to check that no events were cut off at the end, give --head from the log")
    if verified.problem:
        raise typer.Exit(Exit.FAILED)


@audit_app.command()
def show(
    name: str = typer.Argument(
        "", metavar="ID", help="a request: its id or the beginning of it, or its writer's own id"
    ),
    subject: str = typer.Option(
        "", metavar="SUBJECT", help="user:NAME, project:CODE, allocation:ID, lane:NAME"
    ),
    since: str = typer.Option("", metavar="TIME", help="2026-11-24 or 2026-11-24T10:00:00Z; UTC"),
    until: str = typer.Option("", metavar="TIME", help="before this time"),
    as_json: bool = JSON,
) -> None:
    """Show who asked for what, when, what was done and what was read back."""
    from provisioner.journal import audit

    subject = finding.subject(subject)
    if subject and not all(subject.partition(":")):
        raise InvalidRequest(
            f"{subject!r} is not a subject", expected="user:NAME, allocation:ID ..."
        )
    start, end = _seconds(since), _seconds(until)
    book = site.journal(site.config())
    ids = _ids(book, name) if name else None
    altered = seen = 0
    with book.reading() as conn:
        trail = audit.trail(conn, ids=ids, subject=subject, since=start, until=end)
        if as_json:
            listed = list(trail)
            altered, seen = sum(not entry.sound for entry in listed), len(listed)
            site.print_json([_plain(entry) for entry in listed])
        else:
            for entry in trail:
                seen += 1
                altered += not entry.sound
                for line in _lines(entry, _glimpsed(conn, entry)):
                    site.say(line)
    if name and not seen:
        raise InvalidRequest(
            f"the trail has no request {name!r}",
            advice="`provisioner queue --ended 20` lists the newest; old events are pruned",
        )
    if not seen and not as_json:
        site.say("the trail has no such event")
    if altered:
        raise typer.Exit(Exit.FAILED)


def _glimpsed(conn: Connection, entry: Entry) -> str:
    """Return action and subject of a refused file as far as they can be read, or `unreadable`."""
    from provisioner.inspection import worklist
    from provisioner.journal.records import request_rows

    if entry.request is None or "asked_by" not in entry.facts or entry.facts["action"]:
        return ""
    record = request_rows.load(conn, [entry.request]).get(entry.request)
    if record is None or not record.body:
        return "unreadable"
    about = " ".join(filter(None, worklist.about(record)))
    return f"{about} (wrong)" if about else "unreadable"


def _seconds(text: str) -> float | None:
    """Return a time as seconds since the epoch; without a zone it is UTC."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(
            f"{text!r} is not a time", expected="2026-11-24 or 2026-11-24T10:00:00Z"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _ids(book: Journal, name: str) -> list[RequestId]:
    """Return the ids of the requests with a name; the trail may have one whose row was pruned."""
    from provisioner.journal.queries import lookup
    from provisioner.journal.records import request_rows

    with book.reading() as conn:
        records = request_rows.find(conn, name)
        if short := lookup.ending(conn, name):
            records.append(short)
        if not records and (newest := request_rows.newest(conn, name, "")):
            records.append(newest)
    return [record.id for record in records] or [RequestId(name.upper())]


def _plain(entry: Entry) -> dict[str, Any]:
    from provisioner.outcome.results import moment

    return {
        "event": entry.seq,
        "at": moment(entry.at),
        "request": entry.request,
        "kind": entry.kind,
        "text": entry.text,
        "subject": entry.subject,
        "facts": entry.facts,
        "sound": entry.sound,
    }


def _lines(entry: Entry, glimpsed: str) -> list[str]:
    """Return an event as lines: what happened, then what was changed and read back.

    glimpsed: what a refused file is about, as far as it can be read.
    """
    from provisioner.outcome.results import moment

    facts = entry.facts
    mark = "" if entry.sound else "ALTERED "
    head = f"{moment(entry.at)}  {entry.request or '-':26}  {mark}{entry.kind:9}"
    if "asked_by" in facts:
        what = glimpsed or f"{facts['action']} {entry.subject}".strip()
        lines = [f"{head} {what}, asked for by {facts['asked_by']} (uid {facts['uid']})"]
        lines.append(f"    in {facts['file']}, sha256 {facts['sha256'] or 'not read'}")
        lines += [f"    {name}: {facts[name]}" for name in ("id", "reason") if name in facts]
        lines += [f"    {text}" for text in facts.get("problems", ())]
        return lines
    if "step" in facts:
        lines = [f"{head} {facts['object']} {facts['state']}, for {entry.subject}"]
        lines += [f"    {text}" for text in facts["changed"] or ("nothing was changed",)]
        lines += _answers(facts)
        return lines
    return [f"{head} {entry.text}".rstrip()]


def _answers(facts: Mapping[str, Any]) -> list[str]:
    lines = []
    if "read_back" in facts:
        lines.append(f"    read back: {json.dumps(facts['read_back'], ensure_ascii=False)}")
    if "error" in facts:
        lines.append(f"    {facts['error']['type']}: {facts['error']['message']}")
    return lines
