"""Short verbs: each writes the request that it stands for, and submits it.

Promises: a short verb sends what a person could have written into a file, by the same door, and
with --dry-run shows it and its plan instead. Leaves out: who may ask for what (policy decides).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioner.cli import finding, site, submitting
from provisioner.cli.options import Sending, flattened
from provisioner.contract import ConfigError, InvalidRequest

if TYPE_CHECKING:
    from provisioner.journal.records.request_rows import Record
    from provisioner.request.request import Request


@dataclass(frozen=True, slots=True)
class How:
    """What every short verb takes: why, and whether it only shows."""

    reason: Annotated[str, typer.Option(help="why, for the record")] = ""
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show the request and its plan, and send nothing")
    ] = False


ANYHOW = How()
_SUBJECT = typer.Argument(..., metavar="SUBJECT", help="a user's name, user:NAME or allocation:ID")
_CAUSE = typer.Option("", help="why; each cause is lifted separately")
_USER = typer.Argument(..., metavar="USER", help="the user's name")
_ALLOCATION = typer.Argument(..., metavar="ALLOCATION", help="its number, or allocation:ID")


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(new)
    for verb in (suspend, resume, grant, revoke):
        app.command()(flattened(verb))
    app.command("set-quota")(flattened(set_quota))


def new(
    action: str = typer.Argument("", metavar="[ACTION]", help="none: list the actions"),
    file: str = typer.Argument("", metavar="[FILE]", help="write it there; none: print it"),
) -> None:
    """Write a blank request: every key of an action, with its meaning."""
    from provisioner.drafts import blanks
    from provisioner.request.actions import ACTIONS

    if not action:
        width = max(map(len, ACTIONS))
        for name, model in ACTIONS.items():
            site.say(f"{name:{width}}  {' '.join((model.__doc__ or '').split())}")
        return
    if action not in ACTIONS:
        raise InvalidRequest(
            f"{action!r} is not an action",
            expected="one that `provisioner new` lists",
            nearest=blanks.nearest(action),
        )
    text = blanks.blank(action)
    if not file:
        print(text, end="")
        return
    try:
        with Path(file).open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise InvalidRequest(f"{file} exists", expected="a new file") from None
    site.say(f"{file}: fill in what is needed, then: provisioner check {file}")


def suspend(
    subject: str = _SUBJECT, cause: str = _CAUSE, how: How = ANYHOW, *, sending: Sending
) -> None:
    """Close a person's access, or that of an allocation's users; nothing is deleted."""
    _of_access("suspend", subject, {"cause": cause}, how, sending)


def resume(
    subject: str = _SUBJECT,
    cause: str = _CAUSE,
    writer: str = typer.Option("", help="who suspended, if not you; only root may say so"),
    how: How = ANYHOW,
    *,
    sending: Sending,
) -> None:
    """End a suspension: the one with the same cause."""
    _of_access("resume", subject, {"cause": cause, "writer": writer}, how, sending)


def _of_access(
    verb: str, subject: str, head: Mapping[str, str], how: How, sending: Sending
) -> None:
    kind, colon, name = subject.partition(":")
    if not colon:
        kind, name = "user", subject
    if kind not in ("user", "allocation"):
        raise InvalidRequest(
            f"{verb} is for a user or an allocation, not for {subject!r}",
            expected="a user's name, user:NAME or allocation:ID",
        )
    part = {"name": name} if kind == "user" else {"id": name}
    head = {key: value for key, value in head.items() if value}
    request = {"action": f"{kind}.{verb}", kind: part, **head}
    parsed(request)
    finding.check_known(f"{kind}:{name}")
    _ask(f"{verb}.yaml", request, how, sending)


def grant(
    user: str = _USER, allocation: str = _ALLOCATION, how: How = ANYHOW, *, sending: Sending
) -> None:
    """Let one more user into an allocation; the others stay as they are."""
    part, _ = _allocation(allocation)
    kept = {key: part[key] for key in part if key not in ("users", "users_file", "quota")}
    membership = {"user": user, "allocation": kept}
    # Who is in for a while stays so: without its date, the same request would let them in for good.
    dated = _dated([f"allocation:{part['id']}/user:{user}"])
    ends = _ends(dated[0]) if dated else {}
    request = {"action": "membership.add", **ends, "membership": membership}
    _ask("grant.yaml", request, how, sending)


def revoke(
    user: str = _USER, allocation: str = _ALLOCATION, how: How = ANYHOW, *, sending: Sending
) -> None:
    """Take a user out of an allocation; what other allocations give the user stays."""
    number = _number(allocation)
    membership = {"user": user, "allocation": {"id": number}}
    request = {"action": "membership.remove", "membership": membership}
    parsed(request)
    finding.check_known(f"allocation:{number}")
    finding.check_known(f"allocation:{number}/user:{user}")
    _ask("revoke.yaml", request, how, sending)


def set_quota(
    allocation: str = _ALLOCATION,
    space: str = typer.Option("", metavar="SIZE", help="the new limit on space, such as 6TiB"),
    files: str = typer.Option("", metavar="N", help="the new limit on the number of files"),
    how: How = ANYHOW,
    *,
    sending: Sending,
) -> None:
    """Change an allocation's quota; the rest of it stays as it was asked for last.

    Nothing is sent if no handler of its resource takes the quota, or if a member has a date of
    their own.
    """
    limits = {name: value for name, value in (("space", space), ("files", files)) if value}
    if not limits:
        raise typer.BadParameter("give --space, --files, or both")
    part, record = _allocation(allocation)
    part = {key: part[key] for key in part if key not in ("users", "users_file")}
    part["users"] = _members(record)
    part["quota"] = {**(part.get("quota") or {}), **limits}
    _check_undated(record.subject, part["users"])
    request = {"action": "allocation.provision", **_ends(record), "allocation": part}
    _check_taken(request, limits)
    if not _is_mine(record):
        site.say(
            f"allocation:{part['id']} was last asked for by {record.asker}, who may ask for the"
            " former quota again",
            file=sys.stderr,
        )
    _ask("set-quota.yaml", request, how, sending)


def _check_taken(request: Mapping[str, Any], limits: Collection[str]) -> None:
    """Raise InvalidRequest if no step of a request reads a limit: it would be done without effect.

    Where the handlers cannot be built, the service alone looks.
    """
    asked = parsed(request)
    try:
        system = site.system()
    except ConfigError:
        return
    if asked.resource not in system.config.resources:  # the service names the nearest one
        return
    for limit in limits:
        if not system.router.reads(asked, ("allocation", "quota", limit)):
            raise InvalidRequest(
                f"{asked.subject} is on {asked.resource}, where no handler takes a quota of "
                f"{limit}",
                expected="an allocation on a resource with storage",
            )


def _is_mine(record: Record) -> bool:
    from provisioner.system.users import plain, user_name

    me = os.geteuid()
    return (record.uid, plain(record.writer)) == (me, user_name(me))


def _number(allocation: str) -> str:
    return allocation.removeprefix("allocation:")


def _allocation(allocation: str) -> tuple[dict[str, Any], Record]:
    """Return what was last asked for of an allocation, and the request that did.

    Raises InvalidRequest if nothing was.
    """
    from provisioner.journal.records import request_rows
    from provisioner.request.documents import parse

    subject = f"allocation:{_number(allocation)}"
    book = site.journal(site.config())
    try:
        with book.reading() as conn:
            record = request_rows.newest_about(conn, subject, "allocation.provision")
    finally:
        book.close()
    if record is None:
        raise InvalidRequest(
            f"no request has provisioned {subject}",
            expected="an allocation that `provisioner status` knows",
        )
    return dict(parse(record.body).value["allocation"]), record


def _members(record: Record) -> list[str]:
    """Return an allocation's users as they are now, with those who were added one by one."""
    from provisioner.journal.records import ledger
    from provisioner.request import crowds

    listed = crowds.whole(record.body, record.listed).users
    book = site.journal(site.config())
    try:
        with book.reading() as conn:
            claims = ledger.claimed(conn, [record.subject])[record.subject]
    finally:
        book.close()
    now = {claimant.partition("/user:")[2] for _, claimant in claims} - {""}
    return [user for user in listed if user in now] + sorted(now - set(listed))


def _dated(subjects: Sequence[str]) -> list[Record]:
    """Return the requests that say when the access of some subjects ends, earliest first."""
    from provisioner.journal.queries import dates
    from provisioner.journal.records import request_rows

    book = site.journal(site.config())
    try:
        with book.reading() as conn:
            ids = [end.request for end in dates.ends_of(conn, subjects)]
            records = request_rows.load(conn, ids)
    finally:
        book.close()
    return [records[one] for one in ids]


def _ends(record: Record) -> dict[str, str]:
    """Return when access ends as a request wrote it; empty: never, or it was closed for that."""
    from provisioner.journal.records import request_rows
    from provisioner.objects.states import RequestState
    from provisioner.request.documents import parse

    if record.ended_by is not None:
        book = site.journal(site.config())
        try:
            with book.reading() as conn:
                state = request_rows.states_of(conn, [record.ended_by]).get(record.ended_by)
        finally:
            book.close()
        if state == RequestState.DONE:  # who has resumed it since, has done that on purpose
            return {}
    ends = parse(record.body).value.get("ends")
    return {} if ends is None else {"ends": ends}


def _check_undated(allocation: str, users: Sequence[str]) -> None:
    """Raise InvalidRequest if members have dates of their own, which naming them would remove."""
    dated = _dated([f"{allocation}/user:{user}" for user in users])
    if not dated:
        return
    names = ", ".join(record.subject.partition("/user:")[2] for record in dated)
    raise InvalidRequest(
        f"{allocation} has members whose access ends at a date of their own, which would be "
        f"removed: {names}",
        advice="write the allocation into a file (provisioner show ID prints it), and after it a "
        "membership.add with `ends` for each of them; then send both: provisioner submit FILE ...",
    )


def _ask(name: str, request: Mapping[str, Any], how: How, sending: Sending) -> None:
    """Submit a request, or show it with its plan."""
    from provisioner.request.documents import dump

    whole = {"provisioner": 1, **request, **({"reason": how.reason} if how.reason else {})}
    asked = parsed(whole)
    body = dump(whole).encode()
    if not how.dry_run:
        submitting.send(name, body, sending)
        return
    site.say(body.decode())
    submitting.show_plan(asked)


def parsed(request: Mapping[str, Any]) -> Request:
    """Return a request that a verb makes. Raises InvalidRequest with each mistake.

    No mistake names a line: nobody has seen the file.
    """
    from provisioner.request.documents import InvalidDocument, dump
    from provisioner.request.request import parse_request

    try:
        return parse_request(dump({"provisioner": 1, **request}).encode())
    except InvalidDocument as wrong:
        raise InvalidDocument([replace(each, line=None) for each in wrong.problems]) from None
