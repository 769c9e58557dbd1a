"""Many requests at once: several files, or each row of a table; their plans, and their outcomes.

Promises: a wrong row is named with its line and sends nothing, and the others go on; every outcome
that is printed is durable. Leaves out: how a row becomes a request (`rows`).
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from provisioner.cli import finding, progress, site, submitting
from provisioner.cli.exits import Exit
from provisioner.cli.options import Each, Sending, flattened
from provisioner.cli.outcomes import WRONG, Asked, send_all, short
from provisioner.contract import ConfigError, Fault, InvalidRequest
from provisioner.objects.states import RequestState

if TYPE_CHECKING:
    from provisioner.inspection.planning import PlannedStep

_Read = TypeVar("_Read")

_FILES = typer.Argument(None, metavar="FILE...", help="requests; - for standard input")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(flattened(submit))


def submit(files: list[Path] = _FILES, *, each: Each, sending: Sending) -> None:
    """Put requests into staging, complete and on disk: of files, or of each row of a table."""
    if bool(files) == bool(each.table):
        raise typer.BadParameter("give one of: FILE..., --each TABLE --template NAME")
    if files and len(files) == 1 and not each.dry_run:
        [file] = files
        submitting.send(submitting.staged(file.name), _request(file), sending, file.parent)
        return
    _submit(files or (), each, sending)


def _submit(files: Sequence[Path], each: Each, sending: Sending) -> None:
    """Send requests; of a table, show the plan of all first, and a table of outcomes after."""
    with site.kept():
        if each.table:
            asked = _of_table(each)
        else:
            asked = [
                Asked(str(file), submitting.staged(file.name), _request(file), file.parent)
                for file in files
            ]
        if each.table or each.dry_run:
            asked = list(_checked(asked, each.table))
            _plan(asked)
        right = [one for one in asked if not one.wrong]
        if each.dry_run or not right:
            raise typer.Exit(Exit.INVALID if len(right) < len(asked) else Exit.OK)
        if each.table and not each.yes:
            _ask(len(right))
        wait = bool(each.table) or sending.wait
        send_all(asked, replace(sending, wait=wait and sending.timeout > 0))


_TABLES = (".csv", ".tsv", ".xlsx", ".xls", ".ods")
"""Endings of tables, of which `--each` makes requests."""


def _request(file: Path) -> bytes:
    """Return the bytes of a request. Raises InvalidRequest if the file is a table."""
    body = submitting.readable(file)
    first = body.lstrip().partition(b"\n")[0]
    is_row = not body.lstrip().startswith((b"{", b"#", b"-")) and b":" not in first
    if file.suffix.lower() in _TABLES or (is_row and any(mark in first for mark in (b",", b";"))):
        raise InvalidRequest(
            f"{file} is a table, not a request",
            advice=f"a request for each row: provisioner submit --each {shlex.quote(str(file))} "
            f"--template NAME; shipped: {', '.join(shipped())}",
        )
    return body


def _ask(count: int) -> None:
    if not sys.stdin.isatty():
        site.say("nothing was sent; to send it, add --yes", file=sys.stderr)
        raise typer.Exit(Exit.USAGE)
    typer.confirm(f"send {site.many(count, 'request')}?", abort=True, err=True)


def _of_table(each: Each) -> list[Asked]:
    """Return a request for each row of the table. Raises InvalidRequest if it is no table."""
    from provisioner.drafts import rows

    if not each.template:
        raise typer.BadParameter("--each needs --template NAME; shipped: " + ", ".join(shipped()))
    table = Path(each.table)
    template = _named(each.template, lambda: rows.template(_template(each.template).read_bytes()))
    with table.open("rb") as file:
        data = file.read(rows.SIZE + 1)
    listed, unused = _named(each.table, lambda: rows.read(data, template))
    if unused:
        site.say(f"not used: the columns {', '.join(unused)}", file=sys.stderr)
    asked = []
    for row in listed:
        name = submitting.staged(f"{table.stem}-{row.line}.yaml")
        body = b"" if row.problem else template.body(row)
        asked.append(Asked(f"line {row.line}", name, body, None, row.problem))
    return asked


def _named(name: str, read: Callable[[], _Read]) -> _Read:
    """Return what is read of a file. Raises InvalidRequest with the name of the file."""
    try:
        return read()
    except InvalidRequest as error:
        raise InvalidRequest(
            f"{name}: {error.message}",
            expected=error.expected,
            nearest=error.nearest,
            advice=error.advice,
        ) from None


def _template(name: str) -> Path:
    """Return the file of a template: a path, or the name of one that is shipped or the site's."""
    if "/" in name or name.endswith((".yaml", ".yml", ".json")):
        return Path(name)
    path = next(
        (folder / f"{name}.yaml" for folder in _folders() if (folder / f"{name}.yaml").exists()),
        None,
    )
    if path is None:
        raise InvalidRequest(f"there is no template {name!r}", expected=", ".join(shipped()))
    return path


def _folders() -> list[Path]:
    from provisioner.wiring import SHIPPED_TEMPLATES

    return [root / "each" for root in (*site.config().templates, SHIPPED_TEMPLATES)]


def shipped() -> list[str]:
    """Return the names of the templates for `--each`: the site's, and those that are shipped."""
    return sorted({path.stem for folder in _folders() for path in folder.glob("*.yaml")})


def _checked(asked: Sequence[Asked], table: str) -> Iterator[Asked]:
    """Return requests with what is wrong with each, as `check` says.

    table: not '' for rows, of which two are not about the same subject: one would undo the other.
    """
    from provisioner.request.request import parse_request

    first: dict[str, str] = {}
    for one in asked:
        if one.wrong:
            yield one
            continue
        problems, _ = submitting.judged(one.body, one.folder or Path())
        wrong = short([replace(each, line=None) for each in problems] if table else problems)
        if table and not wrong:
            subject = parse_request(one.body).subject
            before = first.setdefault(subject, one.place)
            wrong = f"{subject} is in {before} already" if before != one.place else ""
        yield replace(one, wrong=wrong)


# The plan.


def _plan(asked: Sequence[Asked]) -> None:
    """Print what each request would change now, those that are wrong last."""
    try:
        system = site.reading()
    except ConfigError as error:
        site.say(f"not planned: {error.message}", file=sys.stderr)
        system = None
    width = max(len(one.place) for one in asked)
    with progress.screen("planned") as (say, advance):
        for number, one in enumerate(asked):
            advance(number, len(asked))
            if not one.wrong and system is not None:
                say(f"{one.place:{width}}  {_foreseen(system, one)}", "")
        for one in asked:
            if one.wrong:
                say(f"{one.place:{width}}  {WRONG}: {one.wrong}", RequestState.REFUSED)
    right = sum(not one.wrong for one in asked)
    wrong = len(asked) - right
    site.say(site.many(right, "request") + (f", {wrong} wrong" if wrong else ""))


def _foreseen(system: Any, asked: Asked) -> str:
    """Return what a request would change, in a line."""
    from provisioner.inspection import planning
    from provisioner.request.request import parse_request

    request = parse_request(asked.body)
    head = f"{request.action} {request.subject}"
    if request.users_file is not None:
        return f"{head}: its list of users is read when it is sent"
    try:
        steps = planning.plan(system, request, finding.writer(system.journal))
    except Fault as fault:
        return f"{head}: {fault.message}"
    return f"{head}: {'; '.join(_steps(steps)) or 'already so'}"


def _steps(steps: Sequence[PlannedStep]) -> Iterator[str]:
    for step in steps:
        errors = [each.error for each in step.objects if each.error is not None]
        hard = [error for error in errors if error.type != "NotReady"]
        changes = sum(len(each.changes) for each in step.objects)
        if hard:
            yield f"{step.name}: {hard[0].type}: {hard[0].message}"
        elif errors or any(each.known_after for each in step.objects):
            yield f"{step.name}: later"
        elif changes:
            yield f"{step.name}: {changes} change{'s' * (changes > 1)}"
