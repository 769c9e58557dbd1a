"""Verbs that take a request file: submit, check, plan."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from provisioner.cli import site
from provisioner.cli.exits import Exit

if TYPE_CHECKING:
    from provisioner.documents import Problem
    from provisioner.planning import PlannedObject

_FILE = typer.Argument(..., help="the request; - for standard input")
_JSON = typer.Option(False, "--json", help="for programs")


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
    file: Path = _FILE,
    wait: bool = typer.Option(False, "--wait", help="wait for the outcome, and show the steps"),
    timeout: float = typer.Option(600.0, help="with --wait: seconds"),
) -> None:
    """Put a request into staging, whole and on disk."""
    body = _read(file)
    name = file.name if file.suffix in (".yaml", ".yml", ".json") else "request.yaml"
    send(name.lstrip(".") or "request.yaml", body, timeout if wait else None)


def send(name: str, body: bytes, timeout: float | None) -> None:
    """Drop a request; follow it to its outcome for `timeout` seconds, or not at all where None."""
    from provisioner import ulid
    from provisioner.drop import drop

    since = ulid.new()[:10]  # to the millisecond
    staging = site.staging()
    dropped = drop(staging, name, body)
    print(f"dropped as {dropped}")
    if timeout is not None:
        from provisioner.cli.progress import wait_for

        raise typer.Exit(wait_for(staging / dropped, since, timeout))


def check(file: Path = _FILE, as_json: bool = _JSON) -> None:
    """Check a request without sending it: format, route and every handler's parameters."""
    problems = _problems(_read(file))
    if as_json:
        keys = ("line", "key", "message", "expected", "nearest")
        site.print_json([{key: getattr(p, key) for key in keys} for p in problems])
    else:
        for problem in problems:
            print(problem)
        if not problems:
            print("this request is right")
    if problems:
        raise typer.Exit(Exit.INVALID)


def _problems(body: bytes) -> tuple[Problem, ...]:
    from provisioner.contract import ConfigError, Fault
    from provisioner.documents import InvalidDocument
    from provisioner.intake import problem_of
    from provisioner.request import parse_request
    from provisioner.verbs import VERBS

    try:
        request = parse_request(body)
        if request.action not in VERBS:
            site.system().router.route(request)
    except InvalidDocument as error:
        return error.problems
    except ConfigError:
        raise
    except Fault as error:
        return (problem_of(error),)
    return ()


def plan(file: Path = _FILE, as_json: bool = _JSON) -> None:
    """Say what a request would change now, step by step; writes nothing."""
    from provisioner import planning
    from provisioner.request import parse_request

    request = parse_request(_read(file))
    found = planning.plan(site.system(), request)
    if as_json:
        site.print_json(planning.plain(found))
    else:
        print(f"{request.action} {request.subject}")
        for step in found:
            print(f"  {step.name} ({step.instance})")
            for one in step.objects:
                for line in _lines(one):
                    print(f"    {one.key}: {line}")
    errors = {one.error["type"] for step in found for one in step.objects if one.error}
    if errors - {"NotReady", "Unavailable"}:
        raise typer.Exit(Exit.FAILED)
    if "Unavailable" in errors:
        raise typer.Exit(Exit.AWAY)


def _lines(one: PlannedObject) -> list[str]:
    if one.known_after:
        return [f"known after {', '.join(one.known_after)}"]
    if one.error:
        return _told(one.error)
    return list(one.changes) or ["already so"]


def _told(error: Mapping[str, str]) -> list[str]:
    if error["type"] == "NotReady":
        return [f"will wait: {error['message']}"]
    lines = [f"{error['type']}: {error['message']}"]
    return [*lines, f"what to do: {error['advice']}"] if error.get("advice") else lines
