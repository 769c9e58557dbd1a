"""Verbs that take a request file: submit, check, plan."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import typer

from provisioner.cli import site
from provisioner.cli.exits import Exit
from provisioner.contract import Unavailable
from provisioner.documents import InvalidDocument
from provisioner.request import parse_request


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(submit)
    app.command()(check)
    app.command()(plan)


def _read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        print(f"provisioner: {path}: {error.strerror}", file=sys.stderr)
        raise typer.Exit(Exit.USAGE) from None


def submit(
    file: Path = typer.Argument(..., help="the request; - for standard input"),
    wait: bool = typer.Option(False, "--wait", help="wait for the outcome, and show the steps"),
    timeout: float = typer.Option(600.0, help="with --wait: seconds"),
) -> None:
    """Put a request into staging, whole and on disk."""
    from provisioner.drop import drop

    settings = site.config()
    body = _read(file)
    name = file.name if file.suffix in (".yaml", ".yml", ".json") else "request.yaml"
    dropped = drop(settings.spool / "staging", name, body)
    print(f"dropped as {dropped}")
    if wait:
        raise typer.Exit(_wait(settings, body, time.time(), timeout))


def _wait(settings: Any, body: bytes, since: float, timeout: float) -> Exit:
    """Follow a request through the journal until it has its outcome."""
    import hashlib

    from provisioner import journal

    digest = hashlib.sha256(body).hexdigest()
    book = journal.Journal.open(settings.journal)
    shown: dict[str, str] = {}
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with book.reading() as conn:
            record = journal.newest(conn, digest, since - 1)
            listed = journal.steps_of(conn, [record.id])[record.id] if record else []
        for step in listed:
            if shown.get(step.name) != step.state:
                shown[step.name] = step.state
                print(f"  {step.name:20} {step.state}")
        if record is not None and record.state in journal.ENDED:
            print(f"{record.id} {record.state}")
            for problem in record.problems or ():
                print(f"  {problem['message']}")
            return Exit.OK if record.state in ("done", "superseded") else Exit.FAILED
        time.sleep(0.1)
    raise Unavailable(
        f"no outcome within {timeout:g} s", advice="is `provisioner run` running? see the queue"
    )


def check(
    file: Path = typer.Argument(..., help="the request; - for standard input"),
    as_json: bool = typer.Option(False, "--json", help="for programs"),
) -> None:
    """Check a request without sending it: format, route and every handler's parameters."""
    problems = _problems(_read(file))
    if as_json:
        site.print_json([{"line": p.line, "key": p.key, "problem": str(p)} for p in problems])
    else:
        for problem in problems:
            print(problem)
        if not problems:
            print("this request is right")
    if problems:
        raise typer.Exit(Exit.INVALID)


def _problems(body: bytes) -> tuple[Any, ...]:
    from provisioner.contract import Fault
    from provisioner.intake import problem_of
    from provisioner.verbs import VERBS

    try:
        request = parse_request(body)
        if request.action not in VERBS:
            site.system().router.route(request)
    except InvalidDocument as error:
        return error.problems
    except Fault as error:
        return (problem_of(error),)
    return ()


def plan(
    file: Path = typer.Argument(..., help="the request; - for standard input"),
    as_json: bool = typer.Option(False, "--json", help="for programs"),
) -> None:
    """Say what a request would change now, step by step; writes nothing."""
    from provisioner import planning

    request = parse_request(_read(file))
    found = planning.plan(site.system(), request)
    if as_json:
        site.print_json(planning.plain(found))
        return
    print(f"{request.action} {request.subject}")
    for step in found:
        print(f"  {step.name} ({step.instance})")
        for one in step.objects:
            for line in _lines(one):
                print(f"    {one.key}: {line}")


def _lines(one: Any) -> list[str]:
    if one.known_after:
        return [f"known after {', '.join(one.known_after)}"]
    if one.error:
        return [f"{one.error['type']}: {one.error['message']}"]
    return list(one.changes) or ["already so"]
