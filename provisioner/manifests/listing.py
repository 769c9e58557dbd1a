"""A listing: the lines of one manifest, read and judged in portions.

Promises: only the place and the subject of a judged line stay in memory; the line is read again
when it is needed again. A line that matched the ledger before is only found again (`matches`). A
line that nobody can read, or a subject that is listed twice, refuses the whole. Leaves out: what
the ledger has of the subjects (`standings`).
"""

from __future__ import annotations

import hashlib
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from provisioner.admission.candidates import Candidate, Foresee, MeantBy, everybody, judge
from provisioner.contract import Json, Key
from provisioner.manifests import manifest, matches
from provisioner.manifests.manifest import Place
from provisioner.manifests.matches import Match, Matches
from provisioner.request.documents import InvalidDocument, Problem
from provisioner.request.request import Request
from provisioner.routing.router import Router
from provisioner.spool.spool import Submission
from provisioner.system import ulid as ulids

LINES = 500
"""The most lines of a portion, and so the most requests in a commit."""

MOMENT = 0.2
"""Seconds after which a portion ends, even if it has few lines."""

_REPORTED = 20
"""The most lines whose errors are reported."""

Thing = TypeVar("Thing")


def portions(things: Iterable[Thing], most: int = LINES) -> Iterator[list[Thing]]:
    """Cut things that take time to arrive into portions of a moment each."""
    some: list[Thing] = []
    until = time.monotonic() + MOMENT
    for thing in things:
        some.append(thing)
        if len(some) >= most or time.monotonic() >= until:
            yield some
            some, until = [], time.monotonic() + MOMENT
    if some:
        yield some


def child(submission: Submission, name: str, text: bytes) -> Submission:
    """Return a request of the same writer that follows from another one."""
    digest = hashlib.sha256(text).hexdigest()
    return replace(
        submission,
        ulid=ulids.new(),
        name=f"{name}.json",
        body=text,
        sha256=digest,
        size=len(text),
        signed=False,
    )


@dataclass(frozen=True, slots=True)
class Rights:
    """Policy's view of a line by itself: whether it is refused, and as which request it counts.

    now: returns a digest of what policy knows of the writer.
    """

    foresee: Foresee
    meant_by: MeantBy
    now: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Known:
    """A line that matched before. number: its number, counted from 0."""

    number: int
    match: Match


class Listing:
    """What a manifest lists.

    whose: who asks for the lines; subjects: the number of each line's subject, counted from 0.
    """

    def __init__(
        self,
        whose: Submission,
        file: str,
        body: bytes,
        router: Router,
        rights: tuple[Rights, Matches] | None,
        also: Mapping[str, Json] | None = None,
    ) -> None:
        """whose: who asks for the lines; file: the manifest's name.

        rights: those of the sender, and the lines that matched before. None means adoption: lines
        may name objects, and one that cannot be followed refuses the whole. also: what each request
        says beside its line.
        """
        self.whose = whose
        self._file = file
        self._body = body
        self._router = router
        self._adopting = rights is None
        self._rights, self._matches = rights or (_ADOPTING, Matches())
        self._also = also
        self._starts = array("Q")
        self._ends = array("Q")
        self._names = bytearray()
        self.subjects: dict[str, int] = {}
        self.objects: list[Key] = []
        self._refusing: list[Problem] = []
        self._wrong: list[Problem] = []
        self._more = 0

    def portions(self) -> Iterator[list[Candidate]]:
        """Judge every line, in portions.

        Raises InvalidRequest for a line that is not a manifest's, and InvalidDocument with the
        errors that refuse the whole: at once if they are many, else after the last line.
        """
        yield from portions(self._judged())
        self._check_whole()

    def unread(self) -> Iterator[list[Candidate | Known]]:
        """Judge every line that is not found again, in portions. Raises the same."""
        yield from portions(self._found_or_judged())
        self._check_whole()

    def read(self, numbers: Iterable[int]) -> Iterator[list[Candidate]]:
        """Judge lines that were found again, but hold no longer, in portions."""
        return portions(map(self._judge_found, numbers))

    def routed(self, candidate: Candidate) -> Candidate:
        """Judge a line as if policy did not refuse it: the writer may already have it all."""
        return judge(candidate.submission, self._router, _later, self._rights.meant_by)

    def again(self, numbers: Iterable[int]) -> Iterator[list[Candidate]]:
        """Judge some of the lines again, in portions; their errors are known."""
        return portions(map(self._judge, numbers))

    def keep(self, number: int, match: Match) -> None:
        """Keep a judged line as one that matches, so that it is found again."""
        self._matches.keep(self._name(number), match)

    @property
    def notes(self) -> list[str]:
        """The errors of lines whose subjects are left alone."""
        texts = [f"{problem.key}: {problem.message}" for problem in self._wrong]
        return [*texts, f"and {self._more} more that are wrong"] if self._more else texts

    def _judged(self) -> Iterator[Candidate]:
        for place in manifest.places(self._body):
            line = manifest.read_line(self._body, place, objects=self._adopting, also=self._also)
            if isinstance(line, bytes):
                yield self._judge_first(self._numbered(place), line)
            else:
                self.objects.append(line)

    def _found_or_judged(self) -> Iterator[Candidate | Known]:
        for place in manifest.places(self._body):
            number = self._numbered(place)
            self._names += matches.name(self._body[place.start : place.end], self._rights.now())
            match = self._matches.find(self._name(number))
            if match is not None:
                self._list(number, match.subject)
                yield Known(number, match)
            else:
                line = manifest.read_line(self._body, place, also=self._also)
                assert isinstance(line, bytes)
                yield self._judge_first(number, line)

    def _numbered(self, place: Place) -> int:
        """Keep where a line is, and return its number."""
        self._starts.append(place.start)
        self._ends.append(place.end)
        return len(self._starts) - 1

    def _name(self, number: int) -> bytes:
        """Return the digest by which a line is found again."""
        return bytes(self._names[number * matches.SIZE : (number + 1) * matches.SIZE])

    def _judge(self, number: int) -> Candidate:
        place = Place(0, self._starts[number], self._ends[number])
        line = manifest.read_line(self._body, place, also=self._also)
        assert isinstance(line, bytes)
        return self._read(number, line)

    def _judge_found(self, number: int) -> Candidate:
        candidate = self._judge(number)
        self._check(number, candidate)
        return candidate

    def _judge_first(self, number: int, line: bytes) -> Candidate:
        candidate = self._read(number, line)
        if candidate.request is not None:
            self._list(number, candidate.request.subject)
        self._check(number, candidate)
        return candidate

    def _read(self, number: int, line: bytes) -> Candidate:
        name = f"{self._file}-{number + 1}"
        rights = self._rights
        made = child(self.whose, name, line)
        # Policy judges what follows at its commit. A line that it refuses anyway is not routed.
        candidate = judge(made, self._router, rights.foresee, rights.meant_by)
        if candidate.request is not None and candidate.request.users_file is not None:
            return replace(candidate, problems=(*candidate.problems, _NAMES_A_FILE))
        return candidate

    def _list(self, number: int, subject: str) -> None:
        """Record whose line it is."""
        if self.subjects.setdefault(subject, number) != number:
            self._refuse([Problem(None, _entry(number), f"{subject} is listed twice")])

    def _check(self, number: int, candidate: Candidate) -> None:
        """Record the errors of a line, and whether they refuse the whole."""
        notes = (*candidate.problems, *candidate.notes)
        problems = [replace(p, line=None, key=f"{_entry(number)}: {p.key}") for p in notes]
        if candidate.request is None or self._adopting:
            self._refuse(problems)
        elif len(self._wrong) < _REPORTED:
            self._more += max(0, len(self._wrong) + len(problems) - _REPORTED)
            self._wrong = [*self._wrong, *problems][:_REPORTED]
        else:
            self._more += len(problems)

    def _refuse(self, problems: Iterable[Problem]) -> None:
        self._refusing += problems
        if len(self._refusing) >= _REPORTED:
            raise InvalidDocument(self._refusing[:_REPORTED])

    def _check_whole(self) -> None:
        if self._refusing:
            raise InvalidDocument(self._refusing)


def _entry(number: int) -> str:
    """Return how a person names a line."""
    return f"manifest entry {number + 1}"


_NAMES_A_FILE = Problem(
    None, "users_file", "a line of a manifest cannot name a file", "its `users`, however many"
)


def _later(request: Request) -> None:
    """Return no answer: the commit asks policy."""


_ADOPTING = Rights(_later, everybody, bytes)
