"""A listing: the lines of one manifest, read and judged in portions.

Promises: of a line that was judged its place and its subject are kept, and nothing else; it is read
again where it is needed again. A line that nobody can read, or a subject that stands twice, refuses
the whole. Leaves out: what the ledger has of the subjects (`standings`).
"""

from __future__ import annotations

import hashlib
import time
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from provisioner.admission.candidates import Candidate, Foresee, MeantBy, everybody, judge
from provisioner.contract import Key
from provisioner.manifests import manifest
from provisioner.manifests.manifest import Place
from provisioner.request.documents import InvalidDocument, Problem
from provisioner.request.request import Request
from provisioner.routing.router import Router
from provisioner.spool.spool import Submission
from provisioner.system import ulid as ulids

LINES = 500
"""Most lines of a portion, and so most requests in a commit."""

MOMENT = 0.2
"""Seconds after which a portion ends, however few lines it has."""

_TOLD = 20
"""Most lines of which it is said what is wrong."""

One = TypeVar("One")


def portions(things: Iterable[One], most: int = LINES) -> Iterator[list[One]]:
    """Cut what takes time to come into portions of a moment each."""
    some: list[One] = []
    until = time.monotonic() + MOMENT
    for thing in things:
        some.append(thing)
        if len(some) >= most or time.monotonic() >= until:
            yield some
            some, until = [], time.monotonic() + MOMENT
    if some:
        yield some


def child(submission: Submission, name: str, text: bytes) -> Submission:
    """Make what follows from a request a request of its own, of the same writer."""
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
    """What policy says of a line by itself: whether it is refused, and for whom it counts."""

    foresee: Foresee
    meant_by: MeantBy


class Listing:
    """What a manifest lists. subjects: the number of each line's subject, from none on."""

    def __init__(
        self, whose: Submission, file: str, body: bytes, router: Router, rights: Rights | None
    ) -> None:
        """whose: who asks for the lines; file: the manifest's name.

        rights: of who sent it; None: what is there is adopted: lines may name objects, and one that
        cannot be followed refuses the whole.
        """
        self._whose = whose
        self._file = file
        self._body = body
        self._router = router
        self._adopting = rights is None
        self._rights = rights or _ADOPTING
        self._starts = array("Q")
        self._ends = array("Q")
        self.subjects: dict[str, int] = {}
        self.objects: list[Key] = []
        self._refusing: list[Problem] = []
        self._wrong: list[Problem] = []
        self._more = 0

    def portions(self) -> Iterator[list[Candidate]]:
        """Judge every line, in portions.

        Raises InvalidRequest for what is no line of a manifest, and InvalidDocument with what
        refuses the whole: with much of it at once, else behind the last line.
        """
        yield from portions(self._judged())
        if self._refusing:
            raise InvalidDocument(self._refusing)

    def routed(self, candidate: Candidate) -> Candidate:
        """Judge a line that policy refuses as if it did not: it may ask for what is so already."""
        return judge(candidate.submission, self._router, _later, self._rights.meant_by)

    def again(self, numbers: Iterable[int]) -> Iterator[list[Candidate]]:
        """Judge some of the lines anew, in portions."""
        return portions(map(self._judge, numbers))

    @property
    def notes(self) -> list[str]:
        """Say what is wrong with lines whose subjects are left alone."""
        told = [f"{problem.key}: {problem.message}" for problem in self._wrong]
        return [*told, f"and {self._more} more that are wrong"] if self._more else told

    def _judged(self) -> Iterator[Candidate]:
        for place in manifest.places(self._body):
            line = manifest.read_line(self._body, place, objects=self._adopting)
            if not isinstance(line, bytes):
                self.objects.append(line)
                continue
            number = len(self._starts)
            self._starts.append(place.start)
            self._ends.append(place.end)
            candidate = self._read(number, line)
            self._check(number, candidate)
            yield candidate

    def _judge(self, number: int) -> Candidate:
        place = Place(0, self._starts[number], self._ends[number])
        line = manifest.read_line(self._body, place)
        assert isinstance(line, bytes)
        return self._read(number, line)

    def _read(self, number: int, line: bytes) -> Candidate:
        name = f"{self._file}-{number + 1}"
        rights = self._rights
        made = child(self._whose, name, line)
        # Policy judges what follows when it is asked for. What it refuses anyway is not routed.
        candidate = judge(made, self._router, rights.foresee, rights.meant_by)
        if candidate.request is not None and candidate.request.users_file is not None:
            return replace(candidate, problems=(*candidate.problems, _NAMES_A_FILE))
        return candidate

    def _check(self, number: int, candidate: Candidate) -> None:
        """Note what is wrong with a line, and whether it refuses the whole."""
        entry = f"manifest entry {number + 1}"
        told = (*candidate.problems, *candidate.notes)
        found = [replace(p, line=None, key=f"{entry}: {p.key}") for p in told]
        subject = candidate.request.subject if candidate.request is not None else None
        if subject in self.subjects:
            self._refusing.append(Problem(None, entry, f"{subject} stands twice"))
        if subject is not None:
            self.subjects.setdefault(subject, number)
        if candidate.request is None or self._adopting:
            self._refusing += found
        elif len(self._wrong) < _TOLD:
            self._more += max(0, len(self._wrong) + len(found) - _TOLD)
            self._wrong = [*self._wrong, *found][:_TOLD]
        else:
            self._more += len(found)
        if len(self._refusing) >= _TOLD:
            raise InvalidDocument(self._refusing[:_TOLD])


_NAMES_A_FILE = Problem(
    None, "users_file", "a line of a manifest names no file", "its `users`, however many"
)


def _later(request: Request) -> None:
    """Leave it to the commit to ask policy."""


_ADOPTING = Rights(_later, everybody)
