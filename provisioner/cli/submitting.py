"""Verbs that take a request file: check, plan; and how a request is put into staging."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from provisioner.cli import apart, finding, site
from provisioner.cli.exits import Exit
from provisioner.cli.options import Sending
from provisioner.contract import ConfigError, Fault, InvalidRequest
from provisioner.objects.errors import Error
from provisioner.objects.states import RequestState
from provisioner.spool.submission import LIMIT, RESULT, TOO_LARGE, label
from provisioner.system.ulid import RequestId
from provisioner.system.users import user_name

if TYPE_CHECKING:
    from provisioner.inspection.planning import PlannedObject, PlannedStep
    from provisioner.journal.records.request_rows import Record
    from provisioner.request.crowds import Meant
    from provisioner.request.documents import Problem
    from provisioner.request.request import Request
    from provisioner.routing.rendering import Step

_FILE = typer.Argument(..., metavar="FILE", help="the request; - for standard input")
_JSON = typer.Option(False, "--json", help="print JSON")
_ENDINGS = (".yaml", ".yml", ".json")
_LONGEST = 200
"""The most bytes in a file's name that staging accepts."""


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(check)
    app.command()(plan)


def _read(path: Path) -> bytes:
    """Read a request, but at most one byte more than the limit."""
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(LIMIT + 1)
        with path.open("rb") as file:
            return file.read(LIMIT + 1)
    except OSError as error:
        site.say(f"provisioner: {path}: {error.strerror}", file=sys.stderr)
        raise typer.Exit(Exit.USAGE) from None


def readable(file: Path) -> bytes:
    """Return the bytes of a request. Raises InvalidRequest if there are too many."""
    body = _read(file)
    if len(body) > LIMIT:
        raise InvalidRequest(f"{file} has more than {LIMIT} bytes", advice=TOO_LARGE)
    return body


def staged(name: str, otherwise: str = "request.yaml") -> str:
    """Return a file's name for staging: its own name if staging accepts it."""
    name = name.lstrip(".")
    fits = name.endswith(_ENDINGS) and name not in ("yaml", "yml", "json")
    fits = fits and not name.endswith(RESULT)
    return name if fits and len(os.fsencode(name)) <= _LONGEST else otherwise


def send(name: str, body: bytes, sending: Sending, folder: Path | None = None) -> None:
    """Drop a request, and follow it to its outcome if `sending` says so.

    folder: the directory of the list of users that the request may name.
    """
    door = open_door()
    since = apart.begun(door)
    dropped = put(door, name, body, sending.key, folder)
    site.say(f"dropped as {dropped}")
    if not sending.wait:
        warn_unserved(door)
        if sys.stderr.isatty():
            look = f"provisioner show {shlex.quote(label(dropped))}"
            site.say(f"to see what becomes of it: {look}", file=sys.stderr)
        return
    from provisioner.cli.progress import wait_for

    try:
        raise typer.Exit(wait_for(door.staging / dropped, since, sending.timeout))
    except KeyboardInterrupt:
        site.say(f"{dropped} continues: `provisioner show {label(dropped)}`", file=sys.stderr)
        raise typer.Exit(130) from None


def open_door() -> site.Door:
    """Return what a writer has to know. Raises ConfigError if there is no staging directory."""
    door = site.door()
    try:
        door.staging.stat()
    except FileNotFoundError:
        if site.apart(site.config()):
            return replace(door, apart=True)
        raise ConfigError(
            f"{door.staging} does not exist",
            advice=f"`provisioner init` makes the spool; is {site.path()} the right configuration?",
        ) from None
    except OSError:  # `drop` explains the error to the writer
        pass
    return door


def warn_unserved(door: site.Door) -> None:
    """Tell a person at a terminal that no service runs here; a portal's log does not need it."""
    if door.apart:
        return
    if sys.stderr.isatty() and site.served_by(door.staging.parent) is None:
        site.say("no service on this host serves the spool now: `provisioner run`", file=sys.stderr)


def put(door: site.Door, name: str, body: bytes, key: str, folder: Path | None) -> str:
    """Put a request into staging, with the list of users beside it; return its name there."""
    from provisioner.cli import beside

    if door.apart:
        return apart.hand_on(door, name, body, key)
    listed = beside.drop_listed(door.staging, body, folder) if folder is not None else None
    if listed is not None and listed.taken_by is not None:
        who = user_name(listed.taken_by)
        site.say(f"the list is {listed.path.name}: its name is taken by {who}", file=sys.stderr)
    try:
        return _drop(door, name, body if listed is None else listed.body, key)
    except BaseException:
        if listed is not None:
            listed.path.unlink(missing_ok=True)
        raise


def _drop(door: site.Door, name: str, body: bytes, key: str) -> str:
    from provisioner.cli import signing
    from provisioner.spool.submit import drop, drop_signed

    if door.signed and key:
        signed = signing.sign(body, key)
        return drop_signed(door.staging, name, signed.body, signed.signature)
    if door.signature_required:
        raise signing.needed()
    return drop(door.staging, name, body)


def check(file: Path = _FILE, as_json: bool = _JSON) -> None:
    """Check a request without sending it: format, route, parameters, and whether you may."""
    problems, notes = judged(_read(file), file.parent)
    if as_json:
        keys = ("line", "key", "message", "expected", "nearest")
        site.print_json([{key: getattr(p, key) for key in keys} for p in problems])
    else:
        for problem in problems:
            site.say(str(problem))
        if not problems:
            site.say("this request is correct")
    for note in notes:
        site.say(note, file=sys.stderr if as_json else None)
    if problems:
        raise typer.Exit(Exit.INVALID)


def judged(body: bytes, folder: Path) -> tuple[tuple[Problem, ...], list[str]]:
    """Return (problems, notes) as if the caller had sent the request to the service.

    folder: the directory of the list of users that the request may name.
    """
    from provisioner.admission.candidates import expired, notes

    whole = _whole(body, folder)
    if whole.problems or whole.request is None:
        return whole.problems, []
    late = expired(whole.request, time.time())
    if late:
        return (late,), []
    wrong, policy_notes = _by_policy(whole.request, whole.planned)
    own_notes = (*whole.left_out, *notes(whole.request, whole.planned))
    return wrong, [*map(str, own_notes), *_meaning(whole), *policy_notes]


def _meaning(whole: _Whole) -> list[str]:
    """Return what a request means beside its changes; nothing if the journal may not be read."""
    from provisioner.cards import meaning

    try:
        system = site.reading()
    except ConfigError:
        return []
    return [] if whole.request is None else meaning.notes(system, whole.request, whole.planned)


@dataclass(frozen=True, slots=True)
class _Whole:
    """A request with the users of the list beside it, in the form of `candidates.read`.

    left_out: the users whom the service would leave out if the caller sent it.
    """

    request: Request | None
    planned: tuple[Step, ...]
    problems: tuple[Problem, ...]
    left_out: tuple[Problem, ...] = ()


def _whole(body: bytes, folder: Path) -> _Whole:
    """Read a request, with the users of the list in a folder."""
    from provisioner.admission.candidates import problem_of, read
    from provisioner.cli import beside
    from provisioner.request.documents import InvalidDocument

    left_out: tuple[Problem, ...] = ()

    def meant(request: Request) -> Request:
        nonlocal left_out
        request, left_out = _meant(request)
        return request

    whole = _Whole(*read(body, _route, meant))
    request = whole.request
    if request is None or whole.problems or request.users_file is None:
        return replace(whole, left_out=left_out)
    try:
        request = meant(beside.whole(request, folder))
        return _Whole(request, _route(request), (), left_out)
    except ConfigError:
        raise
    except InvalidDocument as error:
        return _Whole(request, (), error.problems)
    except Fault as fault:
        return _Whole(request, (), (request.placed(problem_of(fault)),))


def _meant(request: Request) -> Meant:
    """Return the users for whom a request would count if the caller sent it."""
    from provisioner.policy.review import meant
    from provisioner.system import users
    from provisioner.wiring import policy_of

    return meant(policy_of(site.config()), users.find(os.geteuid()), request)


def _route(request: Request) -> tuple[Step, ...]:
    """Return the steps by the site's configuration, which is loaded only for a valid request."""
    from provisioner.controls.verbs import VERBS

    later = request.action in VERBS or request.users_file is not None
    return () if later else site.system().router.route(request)


def _by_policy(request: Request, planned: Sequence[Step]) -> tuple[tuple[Problem, ...], list[str]]:
    from provisioner.policy import policy, rules
    from provisioner.policy.review import Case, Review
    from provisioner.request.documents import Problem
    from provisioner.system import users
    from provisioner.wiring import policy_of

    settings = site.config()
    decides = policy_of(settings)
    me = users.find(os.geteuid())
    notes = []
    try:
        book = site.journal(settings)
    except ConfigError:
        notes.append(
            "not checked, because you may not read the journal: which users are new, and whether"
            " another writer claims the subject"
        )
        keys = (claim.key for step in planned for claim in step.claims)
        answer = decides.decide(me, rules.question(request, keys))
    else:
        with book.reading() as conn:
            case = Case(RequestId(""), me.uid, finding.writer(book), request, planned)
            review = Review(decides, site.system().nature) if planned else Review(decides)
            answer = review.judge(conn, [case], time.time())[case.id].answer
        book.close()
    if answer.verdict == policy.REFUSE:
        return (Problem(None, "", answer.why, answer.advice),), []
    if answer.verdict == policy.REVIEW:
        notes.insert(0, f"it would be held: {answer.why}; it waits for {answer.advice}")
    return (), notes


def plan(file: Path = _FILE, as_json: bool = _JSON) -> None:
    """Show what a request would change now, step by step; writes nothing."""
    from provisioner.admission.candidates import expired
    from provisioner.request.documents import InvalidDocument

    whole = _whole(_read(file), file.parent)
    request, problems = whole.request, whole.problems
    late = expired(request, time.time()) if request is not None else None
    if problems or late or request is None:
        raise InvalidDocument([*problems, *([late] if late else [])])
    show_plan(request, whole, as_json=as_json)


def show_plan(request: Request, whole: _Whole | None = None, *, as_json: bool = False) -> None:
    """Print what a request would change now; end with a code that says whether a step would fail.

    whole: how it was read, with what was left out.
    """
    from provisioner.admission.candidates import notes
    from provisioner.inspection import planning

    system = site.reading()
    steps = planning.plan(system, request, finding.writer(system.journal))
    if as_json:
        site.print_json(planning.plain(steps))
    else:
        _show(request, steps)
    said = (*whole.left_out, *notes(request, whole.planned), *_meaning(whole)) if whole else ()
    for note in said:
        site.say(str(note), file=sys.stderr if as_json else None)
    errors = {planned.error.type for step in steps for planned in step.objects if planned.error}
    if errors - {"NotReady", "Unavailable"}:
        raise typer.Exit(Exit.FAILED)
    if "Unavailable" in errors:
        raise typer.Exit(Exit.AWAY)


def describe(record: Record) -> None:
    """Print who asked for a request, its digest, and what it would change now."""
    from provisioner.inspection import planning
    from provisioner.request import crowds

    site.say(f"{record.action} {record.subject}, asked for by {record.asker}")
    site.say(f"  {record.id} with the digest {record.digest}")
    if record.state != RequestState.HELD:
        site.say(f"  it is {record.state} now")
        return
    try:
        request = crowds.whole(record.body, record.listed)
        if request.values.get("manifest"):
            # Planning it would read everything from every backend.
            site.say(f"  what its manifest changes: provisioner show {record.id}")
            return
        show_steps(planning.plan(site.reading(), request, record.writer))
    except Fault as fault:
        site.say(f"  what it would change is unknown here: {fault.message}")


def _show(request: Request, steps: Sequence[PlannedStep]) -> None:
    site.say(f"{request.action} {request.subject}")
    show_steps(steps)


def show_steps(steps: Sequence[PlannedStep]) -> None:
    for step in steps:
        name = step.name if step.name == step.instance else f"{step.name} ({step.instance})"
        site.say(f"  {name}")
        for planned in step.objects:
            for line in (*_lines(planned), *planned.notes):
                site.say(f"    {planned.key}: {line}")
    if not any(step.objects for step in steps):
        site.say("  changes no object")


def _lines(planned: PlannedObject) -> list[str]:
    if planned.known_after:
        return [f"known after {', '.join(planned.known_after)}"]
    if planned.error:
        return _error_lines(planned.key, planned.error)
    return list(planned.changes) or ["already so"]


def _error_lines(key: str, error: Error) -> list[str]:
    message = error.message.removeprefix(f"{key}: ")
    if error.type == "NotReady":
        return [f"will wait: {message}"]
    lines = [f"{error.type}: {message}"]
    return [*lines, f"what to do: {error.advice}"] if error.advice else lines
