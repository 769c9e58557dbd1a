"""Following: the requests that follow from a manifest are accepted, held or ended, in commits.

Promises: nothing is written for a manifest's request that was held, cancelled or ended meanwhile.
Leaves out: which requests follow (`reconcile`, `adoption`), and when (`portions`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from provisioner.admission.acceptance import Acceptance, Terms
from provisioner.admission.admission import set_aside
from provisioner.admission.after_commit import AfterCommit
from provisioner.admission.candidates import Candidate, plain_problems
from provisioner.controls.effects import Effect
from provisioner.controls.verbs import replace_older
from provisioner.journal import audit
from provisioner.journal.figures import weights
from provisioner.journal.journal import Connection
from provisioner.journal.records import companion_rows, request_rows
from provisioner.journal.records.changes import HELD, Changes, shown
from provisioner.journal.records.object_rows import Turn
from provisioner.manifests.listing import Listing
from provisioner.manifests.standings import Age
from provisioner.objects.states import RequestState
from provisioner.policy import policy
from provisioner.policy.review import Answers
from provisioner.policy.targets import steered
from provisioner.request.documents import Problem
from provisioner.request.request import Request
from provisioner.spool.spool import Submission
from provisioner.system.ulid import RequestId

Thing = TypeVar("Thing")


class Stopped(Exception):
    """The request was held, cancelled or ended while its manifest was being followed."""


@dataclass(slots=True)
class Errand:
    """One request whose manifest is being followed.

    listing: what it lists; age: what counts as newer; compared: the comparison is complete;
    counted: a person has released that so many lose something; looking: all has followed, and what
    is as listed becomes due for another look.
    """

    submission: Submission
    request: Request
    listing: Listing
    age: Age
    compared: bool = False
    counted: bool = False
    looking: bool = False


class Follower:
    """Writes what follows from manifests, for one service."""

    def __init__(self, terms: Terms, perform: Callable[[Iterable[AfterCommit]], None]) -> None:
        """perform: does the tasks that a commit leaves, as for those of the intake."""
        self._journal = terms.book
        self._terms = terms
        self._perform = perform

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that only reads."""
        with self._journal.reading() as conn:
            yield conn

    @contextmanager
    def commit(self, errand: Errand) -> Iterator[Commit]:
        """Give a commit for a portion. Raises Stopped if nothing may be written any more."""
        ulid = errand.submission.ulid
        with self._journal.transaction(new_work=True) as conn:
            if request_rows.states_of(conn, [ulid]).get(ulid) != RequestState.ACCEPTED:
                raise Stopped(ulid)
            acceptance = Acceptance(conn, self._terms)
            new = self._terms.writers.keep(conn, [errand.listing.whose])
            yield Commit(errand, acceptance)
            admitted = acceptance.admitted()
        self._terms.writers.kept(new)
        self._perform(admitted.left)

    def light(
        self, portions: Iterable[Sequence[Thing]], subject_of: Callable[[Thing], str | None]
    ) -> Iterator[list[Thing]]:
        """Cut portions into those of a commit each: a line can take back very much."""
        for some in portions:
            with self._journal.reading() as conn:
                parts = list(weights.light(conn, some, subject_of))
            yield from parts

    def end(self, ulid: RequestId, state: RequestState, problems: Sequence[Problem]) -> None:
        """End a request of whose manifest nothing can be followed."""
        with self._journal.transaction() as conn:
            acceptance = Acceptance(conn, self._terms)
            _end(acceptance, ulid, state, problems)
            admitted = acceptance.admitted()
        self._perform(admitted.left)

    def set_aside(self, ulid: RequestId, problem: Problem) -> None:
        """Hold a request until somebody releases it: its sender may, as if they had held it."""
        with self._journal.transaction() as conn:
            acceptance = Acceptance(conn, self._terms)
            if not set_aside(conn, ulid, [RequestState.ACCEPTED], problem, acceptance.now):
                return
            acceptance.hold(ulid)
            admitted = acceptance.admitted()
        self._perform(admitted.left)


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit for one errand."""

    errand: Errand
    acceptance: Acceptance

    @property
    def conn(self) -> Connection:
        """Return the connection of the transaction."""
        return self.acceptance.conn

    @property
    def now(self) -> float:
        """Return the time of the commit, in seconds since the epoch."""
        return self.acceptance.now

    @property
    def turn(self) -> Turn:
        """In whose turn objects are looked at that the commit makes due."""
        return Turn(self.now, self.errand.submission.writer)

    def follow(self, candidates: Sequence[Candidate]) -> set[RequestId]:
        """Accept requests that follow, each judged by itself; return those that were accepted."""
        submission = self.errand.submission
        record = request_rows.load(self.conn, [submission.ulid])[submission.ulid]
        askers = tuple(dict.fromkeys(steered(self.conn, record).askers))
        following = [
            replace(c, submission=replace(c.submission, behind=askers, follows=submission.ulid))
            for c in candidates
        ]
        answers = Answers(submission.uid, submission.writer, None, self.errand.counted)
        before = set(self.acceptance.accepted)
        self.acceptance.admit(following, answers)
        return {*self.acceptance.accepted} - before

    def hold(self, why: policy.Answer, text: str, changes: Changes) -> None:
        """Hold the whole for a second person, who sees what it would change."""
        ulid = self.errand.submission.ulid
        request_rows.set_state(self.conn, [ulid], [RequestState.ACCEPTED], RequestState.HELD)
        request_rows.hold_for_review(self.conn, ulid)
        problem = Problem(None, "manifest", f"{why.why}: {text}", why.advice)
        request_rows.set_problems(self.conn, ulid, plain_problems((problem,)))
        held = f"by {request_rows.POLICY}: {why.why}"
        audit.append(self.conn, [audit.Event(ulid, HELD, held, None, changes.facts())], self.now)
        self.acceptance.hold(ulid)

    def replace_older(self, kinds: Collection[str]) -> None:
        """End the writer's earlier reconciles that still wait, or are held for a crowd.

        kinds: of subjects that this one lists. A held one with subjects of another kind covers more
        than this one, and stays.
        """
        ulid, writer = self.errand.submission.ulid, self.errand.submission.writer
        self.acceptance.end(replace_older(self.conn, ulid, writer, self.now))
        for older in request_rows.older_open(
            self.conn, ulid, writer, "reconcile", (RequestState.HELD,)
        ):
            seen = shown(self.conn, older)
            by_policy = request_rows.load(self.conn, [older])[older].for_review
            if by_policy and seen is not None and seen.subjects and seen.kinds() <= set(kinds):
                why = f"{ulid}, which came later, replaces it: look at that one"
                problem = Problem(None, "manifest", why)
                _end(self.acceptance, older, RequestState.SUPERSEDED, (problem,))

    def conclude(self, effect: Effect) -> None:
        """End the acceptance of the request, which then waits for `effect.keys`."""
        companion_rows.drop_companion(self.conn, self.errand.submission.ulid)
        candidate = Candidate(self.errand.submission, self.errand.request, (), ())
        self.acceptance.conclude(candidate, effect)

    def record(self, event: audit.Event) -> None:
        """Add an event to the trail."""
        audit.append(self.conn, [event], self.now)

    def end(self, state: RequestState, problems: Sequence[Problem]) -> None:
        """End the request: nothing more follows from it."""
        _end(self.acceptance, self.errand.submission.ulid, state, problems)


def _end(
    acceptance: Acceptance, request_id: RequestId, state: RequestState, problems: Sequence[Problem]
) -> None:
    """End a request whose manifest is not followed, or not to its end."""
    conn = acceptance.conn
    companion_rows.drop_companion(conn, request_id)
    request_rows.set_problems(conn, request_id, plain_problems(problems))
    why = "; ".join(problem.message for problem in problems)
    request_rows.end_requests(conn, {request_id: state}, acceptance.now, text=why)
    acceptance.end({request_id: state})


def left_alone(candidate: Candidate, why: str) -> Candidate:
    """Return a line that wants an answer as refused, because its subject is left alone."""
    return replace(candidate, problems=(Problem(None, "", f"left alone: {why}"),))
