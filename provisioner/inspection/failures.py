"""Failures: requests that failed or were refused and still need a person, grouped by their cause.

Promises: reads only. A request counts until it is retried, or until a later request puts it right
(`replaced`). Two requests have one
cause if the same handler or key reports the same kind of error in the same words, except for names
and numbers. Leaves out: how causes are printed and retried (`cli`), and requests that control
others, whose answer belongs to the person who typed them.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from provisioner.admission.admission import ALARM
from provisioner.inspection import glimpse
from provisioner.journal.journal import Connection
from provisioner.journal.queries import replaced
from provisioner.journal.records import event_rows, step_rows
from provisioner.journal.records.request_rows import Record
from provisioner.journal.records.step_rows import StepRecord
from provisioner.objects.errors import Error
from provisioner.request.subjects import Glimpse

MOST = 100_000
"""The most failed or refused requests that are looked at, the oldest first."""

TEXTS = 64 * 1024 * 1024
"""About how many bytes of their texts and problems are kept meanwhile: a writer may leave any
number of large files."""

_EACH = 500
"""About how many bytes a problem takes."""

CONTROLS = ("request.", "lane.", "journal.")
"""How actions begin that steer other requests, a lane or the journal."""


class Kind(StrEnum):
    """What kind of failure it is; docs/runbook.md has an entry for each."""

    UNREADABLE = "unreadable"
    """The file could not be taken or read at all."""
    WRONG = "wrong"
    """The request is wrong: its form, a value, a name."""
    POLICY = "policy"
    """The writer may not ask for it."""
    CONFLICT = "conflict"
    """An object exists, is not ours, and differs."""
    BACKEND = "backend"
    """The backend refused a change."""
    AWAY = "away"
    """The backend did not answer in time."""
    NOT_READY = "not-ready"
    """Something elsewhere had to happen first, and did not."""
    BUG = "bug"
    """A handler failed unexpectedly."""


_KINDS: Mapping[str, Kind] = {
    "InvalidRequest": Kind.WRONG,
    "Refused": Kind.POLICY,
    "Conflict": Kind.CONFLICT,
    "Permanent": Kind.BACKEND,
    "Transient": Kind.BACKEND,
    "Unavailable": Kind.AWAY,
    "Unknown": Kind.AWAY,
    "NotReady": Kind.NOT_READY,
}


_LASTING: Mapping[str, Kind] = {Kind.NOT_READY: Kind.BACKEND, Kind.AWAY: Kind.BACKEND}
"""The kind that a failure has in a cause's id: an object that waits long enough is given up."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One request that needs a person.

    where: the handler, or the key of the request; advice: what to do; expected: what would be a
    right value; nearest: the value that may have been meant.
    """

    record: Record
    kind: Kind
    where: str
    message: str
    advice: str = ""
    expected: str = ""
    nearest: str = ""

    @property
    def since(self) -> float:
        """When it was accepted, or its file first refused: seconds since the epoch."""
        return replaced.since(self.record)


@dataclass(frozen=True, slots=True)
class Cause:
    """Failures with one cause, oldest first. id: the same for as long as the cause is the same."""

    id: str
    failures: tuple[Failure, ...]

    @property
    def example(self) -> Failure:
        """The oldest of them."""
        return self.failures[0]

    @property
    def since(self) -> float:
        """When the oldest of them was accepted, or its file first refused."""
        return min(failure.since for failure in self.failures)

    @property
    def writers(self) -> dict[str, int]:
        """Who asked, and for how many of them."""
        return dict(sorted(Counter(failure.record.asker for failure in self.failures).items()))

    @property
    def subjects(self) -> list[str]:
        """Whom and what they are about, as far as it can be read, each once, the oldest first."""
        return self._each(lambda seen: [seen.subject] if seen.subject else [])

    @property
    def people(self) -> list[str]:
        """The people in them, each once, the oldest request's first."""
        return self._each(lambda seen: sorted(seen.users))

    @property
    def projects(self) -> list[str]:
        """The codes of their projects, each once, the oldest request's first."""
        return self._each(lambda seen: [seen.project] if seen.project else [])

    def _each(self, named: Callable[[Glimpse], Sequence[str]]) -> list[str]:
        """Return what the requests name, each once."""
        seen = (named(glimpse.of(failure.record)) for failure in self.failures)
        return list(dict.fromkeys(name for names in seen for name in names))


def unfixed(conn: Connection) -> list[Failure]:
    """Return the failures that still need a person, oldest first."""
    records = [record for record in _looked_at(conn) if not record.action.startswith(CONTROLS)]
    ids = [record.id for record in records]
    steps = step_rows.steps_of(conn, ids)
    by_policy = set(event_rows.with_event(conn, ids, ALARM))
    return [failure_of(r, steps[r.id], by_policy=r.id in by_policy) for r in records]


def _looked_at(conn: Connection) -> Iterator[Record]:
    """Yield what failed. Of more than there is room for, only the first problem is kept."""
    room = TEXTS
    for record in replaced.unfixed(conn, MOST):
        problems = record.problems or []
        room -= len(record.body) + _EACH * len(problems)
        yield record if room >= 0 else replace(record, body=b"", problems=problems[:1] or None)


def failure_of(record: Record, steps: Sequence[StepRecord], *, by_policy: bool) -> Failure:
    """Return why a request failed or was refused. by_policy: policy refused it."""
    errors = [
        (step, error)
        for step in steps
        for error in (step.error, *(part.error for part in step.objects))
        if error is not None
    ]
    if errors:
        # A skipped step only follows from another one.
        step, error = min(errors, key=lambda pair: pair[1].type == "Skipped")
        message = error.message.removeprefix(f"{error.object}: ")
        return Failure(record, _kind(error), step.instance, message, error.advice)
    problem = next(iter(record.problems or ()), {})
    key = re.sub(r"\.\d+|\[\d+\]", "", str(problem.get("key") or ""))
    kind = Kind.POLICY if by_policy else Kind.UNREADABLE if record.set_aside else Kind.WRONG
    message, expected, nearest = (
        str(problem.get(name) or "") for name in ("message", "expected", "nearest")
    )
    if kind == Kind.WRONG:
        return Failure(record, kind, key, message, expected=expected, nearest=nearest)
    return Failure(record, kind, key, message, advice=expected, nearest=nearest)


def _kind(error: Error) -> Kind:
    return kind_of(error.type, bug=bool(error.traceback))


def kind_of(error: str, *, bug: bool) -> Kind:
    """Return the kind of a failure by the type of its error. bug: it has a traceback."""
    return Kind.BUG if bug else _KINDS.get(error, Kind.BACKEND)


def causes(failures: Collection[Failure]) -> list[Cause]:
    """Group failures by cause, the most frequent first."""
    groups: dict[str, list[Failure]] = {}
    for failure in failures:
        groups.setdefault(cause_of(failure), []).append(failure)
    made = [Cause(name, tuple(group)) for name, group in groups.items()]
    return sorted(made, key=lambda cause: (-len(cause.failures), cause.example.record.id))


def cause_of(failure: Failure) -> str:
    """Return the id of a failure's cause: six hexadecimal digits."""
    return of_words(failure.record, failure.kind, failure.where, failure.message)


def of_words(record: Record, kind: str, where: str, message: str) -> str:
    """Return the id of the cause of what is said about a request: six hexadecimal digits."""
    # What waits has no other cause than what was given up: only its kind is another.
    kind = _LASTING.get(kind, kind)
    parts = (kind, where, _shape(record, message))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:6]


def present(conn: Connection) -> list[Cause]:
    """Return the causes of the failures that still need a person, the most frequent first."""
    return causes(unfixed(conn))


_GIVEN_UP = re.compile(r" \((tried \d+ times|waited \S+ days)\)$")
"""What is added to a message when an object is given up."""

_SPECIFIC = re.compile(r"'[^']*'|\"[^\"]*\"|\S*[/@=]\S*|\b\S*\d\S*")
"""What differs between messages of one cause: what is quoted, paths and keys, numbers."""


_SHAPED = 500
"""How many characters of a message tell its cause."""


def _shape(record: Record, message: str) -> str:
    """Return a message without what is specific to one request."""
    names = re.split(r"[:/]", record.subject)[1:]
    # The beginning tells one cause from another; to look for numbers in a long word takes long.
    text = _SPECIFIC.sub("...", _GIVEN_UP.sub("", message)[:_SHAPED])
    for name in names:
        text = re.sub(rf"\b{re.escape(name)}\b", "...", text)
    return text
