"""The verb `edit`: what failed is corrected in the person's own editor, and sent as a new request.

Promises: nothing is opened for a request that did not fail. Nothing is sent that `check` finds
wrong, that was left as it was, or that an editor left when it failed. What a person wrote and could
not be sent is kept. The editor is an argument list, never a shell's line. Leaves out: who may
replace whose request (`review`).
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from provisioner.cli import site, submitting
from provisioner.cli.exits import Exit
from provisioner.cli.finding import find
from provisioner.cli.options import Sending, flattened
from provisioner.contract import Fault, InvalidRequest, Unavailable
from provisioner.objects.states import OPEN, RequestState

if TYPE_CHECKING:
    from provisioner.journal.records.request_rows import Record
    from provisioner.request.documents import Problem

_REMARK = "#: "
"""How a line begins that tells the person something, and is not sent."""

_NAME = typer.Argument(
    ..., metavar="ID", help="its id, the beginning or end of it, its own id, or its file's name"
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(flattened(edit))


def edit(name: str = _NAME, *, sending: Sending) -> None:
    """Correct what failed in your editor, and send it as a new request that names the old one."""
    record, remarks = _failed(name)
    editor = _editor()
    with _draft(record, remarks) as file:
        body = _corrected(editor, file, record)
        if body is None:
            site.say("nothing was changed, and nothing is sent")
            return
        if record.uid != os.geteuid():
            site.say(
                f"{record.id} was asked for by {record.asker}, who may ask for the same again:"
                " correct it there too",
                file=sys.stderr,
            )
        submitting.send(submitting.staged(record.name), body, sending, Path.cwd())


def _failed(name: str) -> tuple[Record, list[str]]:
    """Return a request that failed, and what was wrong with it.

    Raises InvalidRequest if there is none, if it did not fail, or if its text is not known.
    """
    from provisioner.journal.queries import replaced
    from provisioner.journal.records import step_rows
    from provisioner.outcome import outcomes, results

    book = site.journal(site.config())
    try:
        record = find(book, name)
        with book.reading() as conn:
            steps = step_rows.steps_of(conn, [record.id])[record.id]
    finally:
        book.close()
    if record.state not in (RequestState.FAILED, RequestState.REFUSED):
        first = f"first: provisioner cancel {record.id}; then send it again"
        raise InvalidRequest(
            f"{record.id} is {record.state}, and only what failed or was refused is edited",
            advice=first if record.state in OPEN else "send a new request: provisioner submit FILE",
        )
    if record.fixed_by is not None:
        raise InvalidRequest(f"{record.id} needs nothing any more: {replaced.closing(record)}")
    if not record.body.strip():
        raise InvalidRequest(
            f"the text of {record.id} was not kept",
            advice="send the corrected file: provisioner submit FILE",
        )
    result = replace(outcomes.result_of(record, steps), retry="")
    return record, [line for line in results.render(result).splitlines() if line.startswith("# ")]


def _editor() -> list[str]:
    """Return the person's editor with its arguments; end if there is none that can be run."""
    for variable in ("VISUAL", "EDITOR"):
        try:
            words = shlex.split(os.environ.get(variable, ""))
        except ValueError as error:
            site.say(f"provisioner: ${variable} cannot be read: {error}", file=sys.stderr)
            raise typer.Exit(Exit.USAGE) from None
        if words:
            return words
    site.say(
        "provisioner: neither $VISUAL nor $EDITOR is set\n"
        "  what to do: name your editor: export EDITOR=nano",
        file=sys.stderr,
    )
    raise typer.Exit(Exit.USAGE)


@contextmanager
def _draft(record: Record, remarks: Sequence[str]) -> Iterator[Path]:
    """Yield a file of the caller's own with a request's text, and what was wrong below it.

    It is removed, unless something was written into it that could not be sent: then it is named.
    """
    folder = Path(tempfile.mkdtemp(prefix="provisioner-edit-"))
    file = folder / f"{record.id}{Path(submitting.staged(record.name)).suffix}"
    below = [f"Lines that begin with `{_REMARK.strip()}` are not sent.", *(r[2:] for r in remarks)]
    end = b"" if record.body.endswith(b"\n") else b"\n"
    text = "".join(f"{_REMARK}{site.printable(line)}\n" for line in below)
    before = record.body + end + text.encode("utf-8", "backslashreplace")
    file.write_bytes(before)
    kept = False
    try:
        yield file
    except Unavailable:  # it was sent, and has no outcome in time
        raise
    except (Fault, OSError, typer.Abort, KeyboardInterrupt):
        kept = file.exists() and file.read_bytes() != before
        raise
    finally:
        if kept:
            site.say(f"nothing was sent; what you wrote is in {file}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _corrected(editor: Sequence[str], file: Path, record: Record) -> bytes | None:
    """Return what a person made of a request, once it is right; None if they changed nothing.

    Raises InvalidRequest if they leave it wrong.
    """
    while True:
        _open(editor, file)
        body = _text(file)
        if body.strip() == record.body.strip():
            return None
        body, problems = _naming(body, record)
        notes: list[str] = []
        if not problems:
            problems, notes = submitting.judged(body, Path.cwd())
        for said in (*problems, *notes):
            site.say(str(said), file=sys.stderr)
        if not problems:
            return body
        if not typer.confirm("open it again?", default=True, err=True):
            raise InvalidRequest("the request is still wrong")


def _open(editor: Sequence[str], file: Path) -> None:
    """Let a person edit a file. Raises Fault if the editor fails or cannot be run."""
    try:
        with subprocess.Popen([*editor, str(file)]) as process:
            former = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the editor's
            try:
                code = process.wait()
            finally:
                signal.signal(signal.SIGINT, former)
    except OSError as error:
        raise Fault(
            f"{editor[0]}: {error.strerror}", advice="name another editor: export EDITOR=nano"
        ) from None
    if code != 0:
        raise Fault(f"{shlex.join(editor)} ended with {code}: nothing was sent")


def _text(file: Path) -> bytes:
    """Return what a file says, without remarks. Raises InvalidRequest if it is too large."""
    lines = submitting.readable(file).splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(_REMARK.strip().encode()))


def _naming(body: bytes, record: Record) -> tuple[bytes, tuple[Problem, ...]]:
    """Return a request with the id of the one that it replaces, its lines where they were."""
    from provisioner.request.documents import InvalidDocument, Problem, parse

    try:
        value = parse(body).value
    except InvalidDocument as error:
        return body, error.problems
    wanted = {**value, "replaces": str(record.id)}
    former = str(value.get("replaces", ""))
    for named in _ways(body, former.encode(), record.id):
        if _value(named) == wanted:
            return named, ()
    line = f"a line `replaces: {record.id}`"
    return body, (Problem(None, "replaces", "it could not be written into this text", line),)


def _ways(body: bytes, former: bytes, request: str) -> Iterator[bytes]:
    """Yield texts that may say which request one replaces: in its own line, or in JSON."""
    name = request.encode()
    yield body
    if former:
        yield body.replace(former, name)
    yield body.rstrip() + b"\nreplaces: " + name + b"\n"
    yield body.replace(b"{", b'{"replaces": "' + name + b'", ', 1)


def _value(body: bytes) -> dict[str, Any] | None:
    from provisioner.request.documents import InvalidDocument, parse

    try:
        return parse(body).value
    except InvalidDocument:
        return None
