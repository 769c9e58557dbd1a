"""Candidates: files taken from staging, each read and judged by itself.

Promises: judging changes nothing; everything that is wrong becomes a problem that can be shown.
Leaves out: what was accepted before (`intake`), and who may ask (`review`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from provisioner.contract import ConfigError, Fault, InvalidRequest, Key
from provisioner.controls.verbs import VERBS
from provisioner.journal.figures import weights
from provisioner.journal.journal import Connection
from provisioner.plain.values import value
from provisioner.policy.review import Ruling
from provisioner.request import crowds
from provisioner.request.documents import InvalidDocument, Problem, advised, in_order
from provisioner.request.places import Path, path_of
from provisioner.request.request import InvalidFile, Request, parse_request
from provisioner.routing.rendering import Step
from provisioner.routing.router import Router
from provisioner.spool.spool import Submission

log = logging.getLogger(__name__)


@value(frozen=True, slots=True)
class Candidate:
    """A submission, read and judged by itself. request: None if its content is not understood.

    forbidden: policy's answer, if the file was read no further; listed, objects: the requests in
    its manifest, and the objects it names; crowd: the users for whom it counts, if its body lists
    none, or more; notes: who was left out.
    """

    submission: Submission
    request: Request | None
    planned: tuple[Step, ...]
    problems: tuple[Problem, ...]
    forbidden: Ruling | None = None
    companion: Submission | None = None
    signature: Submission | None = None
    manifest: bytes | None = None
    listed: tuple[Candidate, ...] = ()
    objects: tuple[Key, ...] = ()
    crowd: tuple[str, ...] | None = None
    notes: tuple[Problem, ...] = ()

    @property
    def shared(self) -> dict[Key, str]:
        """Return the objects that it claims for no single user, with their instances."""
        return {c.key: step.instance for step in self.planned for c in step.claims if not c.item}


Route = Callable[[Request], tuple[Step, ...]]
"""Returns the steps of a request; a verb has none."""

Foresee = Callable[[Request], Ruling | None]
"""Returns a refusal of policy that needs only the request itself."""


MeantBy = Callable[[Submission, Request], crowds.Meant]
"""Returns the request that counts, with notes on who was left out."""


def everybody(submission: Submission, request: Request) -> crowds.Meant:
    """Return the request unchanged: nobody is left out."""
    return request, ()


class _Forbidden(Exception):
    """Ends the reading of a file whose writer may not ask for what it says."""

    def __init__(self, request: Request, ruling: Ruling) -> None:
        super().__init__(ruling.answer.why)
        self.request = request
        self.ruling = ruling


def judge(
    submission: Submission, router: Router, foresee: Foresee, meant_by: MeantBy = everybody
) -> Candidate:
    """Parse and route what a file says, changing nothing.

    A request that policy refuses anyway is only parsed, so that it reveals nothing of the site's
    configuration.
    """
    out: tuple[Problem, ...] = ()

    def meant(request: Request) -> Request:
        nonlocal out
        request, out = meant_by(submission, request)
        return request

    def route(request: Request) -> tuple[Step, ...]:
        ruling = foresee(request)
        if ruling is not None:
            raise _Forbidden(request, ruling)
        later = request.action in VERBS or request.users_file is not None
        return () if later else router.route(request)

    try:
        request, planned, problems = read(submission.body, route, meant)
        crowd = request.users if request is not None and out else None
        return Candidate(submission, request, planned, problems, crowd=crowd, notes=out)
    except _Forbidden as forbidden:
        return Candidate(submission, forbidden.request, (), (), forbidden.ruling)
    except Exception as error:
        log.exception("%s: routing failed unexpectedly", submission.name)
        why = f"routing failed unexpectedly: {error!r}; the service's log has the traceback"
        return Candidate(submission, None, (), (Problem(None, "", why),))


def read(
    body: bytes, route: Route, meant: Callable[[Request], Request] = lambda request: request
) -> tuple[Request | None, tuple[Step, ...], tuple[Problem, ...]]:
    """Parse and route a file: return the request, its steps, and all errors.

    meant: turns the parsed request into the one that counts. The request is None if its form is
    wrong. Raises ConfigError if only the right form can be reported.
    """
    try:
        request = meant(parse_request(body))
    except InvalidFile as error:
        return None, (), _with_rest(error, route)
    except InvalidDocument as error:
        return None, (), error.problems
    try:
        return request, route(request), ()
    except ConfigError:
        raise
    except InvalidDocument as error:
        return request, (), error.problems
    except Fault as error:
        return request, (), (request.placed(problem_of(error)),)


def _with_rest(error: InvalidFile, route: Route) -> tuple[Problem, ...]:
    """Add the errors in the rest of a file, unless the first ones are their cause."""
    if error.rest is None:
        return error.problems
    try:
        route(error.rest)
    except InvalidDocument as more:
        paths = [path_of(problem.key) for problem in error.problems if problem.key]
        new = [
            problem
            for problem in more.problems
            if (place := path_of(problem.key)) and not any(_within(place, path) for path in paths)
        ]
        return tuple(in_order([*error.problems, *new]))
    except Exception:  # the form is wrong anyway, and that is reported
        return error.problems
    return error.problems


def expired(request: Request, now: float) -> Problem | None:
    """Return the problem of a request that comes too late. now: seconds since the epoch."""
    if request.expires is not None and request.expires.timestamp() <= now:
        return request.placed(Problem(None, "expires", f"expired at {request.expires}"))
    begins = max(now, request.not_before.timestamp() if request.not_before is not None else now)
    if request.ends is not None and request.ends.timestamp() <= begins:
        why = f"{request.ends} is over before it begins"
        return request.placed(Problem(None, "ends", why, "a later time, or no `ends`"))
    return None


def _within(first: Path, second: Path) -> bool:
    """Return True if one of two keys is inside the other, or is the same."""
    shared = min(len(first), len(second))
    return first[:shared] == second[:shared]


def problem_of(fault: Fault) -> Problem:
    """Return a fault as a problem of a refusal."""
    if isinstance(fault, InvalidRequest):
        return Problem(fault.line, fault.field, fault.message, fault.expected, fault.nearest)
    return Problem(None, "", advised(fault.message, fault.advice))


def notes(request: Request, planned: Sequence[Step]) -> tuple[Problem, ...]:
    """Return how a valid request is followed differently from how it was written."""
    every = (*request.notes, *(note for step in planned for note in step.notes))
    return tuple(dict.fromkeys(every))


def plain_problems(problems: Sequence[Problem]) -> list[dict[str, Any]] | None:
    """Return problems as the journal stores them; None if there are none."""
    return [
        {
            "line": problem.line,
            "key": problem.key,
            "message": problem.message,
            "expected": problem.expected,
            "nearest": problem.nearest,
            **({} if problem.highest is None else {"highest": problem.highest}),
        }
        for problem in problems
    ] or None


def waves(conn: Connection, candidates: Sequence[Candidate]) -> Iterator[list[Candidate]]:
    """Cut a batch into waves, whose requests are judged and written together.

    What the subjects of one claim is a moment's work, unless one alone claims more. conn: a wave is
    weighed on it when it has its turn.
    """
    for wave in _apart(candidates):
        yield from weights.light(conn, wave, subject_of)


def _apart(candidates: Sequence[Candidate]) -> Iterator[list[Candidate]]:
    """Cut a batch before a request that has to see what an earlier one of the batch wrote."""
    wave: list[Candidate] = []
    written: set[str] = set()
    for candidate in candidates:
        reads, writes = _touches(candidate)
        verb = is_verb(candidate)
        if wave and (verb or not written.isdisjoint(reads)):
            yield wave
            wave, written = [], set()
        wave.append(candidate)
        written |= writes
        if verb:
            yield wave
            wave, written = [], set()
    if wave:
        yield wave


def _touches(candidate: Candidate) -> tuple[set[str], set[str]]:
    """Return what a request's acceptance reads and writes, as far as others may write it."""
    request = candidate.request
    if request is None:
        return set(), set()
    root, slash, _ = request.subject.partition("/")
    if slash:
        reads, writes = {request.subject, root}, {request.subject, root + "/"}
    else:
        reads, writes = {root, root + "/"}, {root}
    own = set()
    if candidate.submission.signed:
        own.add(f"signed {candidate.submission.writer} {candidate.submission.sha256}")
    if request.id is not None:
        own.add(f"id {candidate.submission.writer} {request.id}")
    if request.order is not None:
        own.add(f"order {candidate.submission.writer} {request.order.key}")
    return reads | own, writes | own


def subject_of(candidate: Candidate) -> str | None:
    """Return whose claims a request is about; None if it was not understood."""
    return candidate.request.subject if candidate.request is not None else None


def is_verb(candidate: Candidate) -> bool:
    """Return True for an action without a route, which steers what others claim."""
    return candidate.request is not None and candidate.request.action in VERBS
