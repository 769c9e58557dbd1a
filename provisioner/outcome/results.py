"""Results: what was done about a request, in a file beside it, for its reader.

Promises: pure. A result is a YAML document that begins with what happened, in plain words, and what
to do next. It contains nothing that looks like a secret, and no control character. Leaves out:
where it is put (`spool`), and what its writer can read at any time (`receipts`).
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache

from provisioner.contract import Json, State
from provisioner.journal.queries.replaced import DISMISSED, REFUSED_AGAIN, closed
from provisioner.journal.records.request_rows import UNMATCHED
from provisioner.objects.errors import Error
from provisioner.objects.states import RequestState, StepState
from provisioner.plain.values import value
from provisioner.request.documents import dump
from provisioner.system.ulid import RequestId

_SECRET = re.compile(r"passw|secret|token|unicodepwd|credential|private_?key", re.IGNORECASE)
_WITHHELD = "(withheld)"
_WIDTH = 98

_OPENINGS: Mapping[str, str] = {
    RequestState.DONE: "Done.",
    UNMATCHED: "Done, but there was nothing to do.",
    RequestState.FAILED: "Failed.",
    RequestState.REFUSED: "Refused: nothing was done.",
    RequestState.SUPERSEDED: "Superseded: a newer request replaced it.",
    RequestState.CANCELLED: "Cancelled.",
}

_CLOSING = {DISMISSED: "dismissed_by", REFUSED_AGAIN: "refused_again_as"}
"""The key for the request that ended the wait of a failed one, if it did not put it right."""


@value(frozen=True, slots=True)
class StepResult:
    """The part of one step.

    changed: each change as text; already: keys of objects that were already as wanted;
    read_back: the state of each object at the end, by key; started, ended: seconds since the epoch;
    error: what stopped the step.
    """

    name: str
    handler: str
    state: str
    changed: tuple[str, ...]
    already: tuple[str, ...]
    read_back: Mapping[str, State]
    started: float | None
    ended: float | None
    error: Error | None


@value(frozen=True, slots=True)
class Result:
    """A request at its end. problems: what was wrong with the file, or is worth knowing, each with
    `message` and, if known, `line`, `key`, `expected`, `nearest`; retry: the command to try again,
    or ''; fixed_by: the later request that put it right, its own id if its file was sent again;
    about: what a refused file seems to be about, or ''.
    """

    id: RequestId
    name: str
    action: str
    subject: str
    writer: str
    outcome: str
    accepted: float
    ended: float
    steps: tuple[StepResult, ...]
    problems: tuple[Mapping[str, Json], ...]
    retry: str
    on_behalf_of: str | None = None
    fixed_by: RequestId | None = None
    about: str = ""


def render(result: Result) -> str:
    """Return a result as YAML under a comment that says what happened and what to do next."""
    lines = [line for sentence in _sentences(result) for line in _wrapped(_clean(sentence))]
    if result.retry:
        lines.append(f"    {_clean(result.retry)}")  # never wrapped, to be copied
    comment = "".join(f"# {line}\n" for line in lines)
    return comment + dump(plain(result))


def _wrapped(text: str) -> list[str]:
    if len(text) <= _WIDTH and "\n" not in text:
        return [text]
    return textwrap.wrap(text, _WIDTH, break_on_hyphens=False)


@lru_cache(maxsize=256)  # one batch has only a few different times
def moment(seconds: float) -> str:
    """Return a time as ISO 8601 to the millisecond, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _sentences(result: Result) -> list[str]:
    """Return what happened and what to do, one line each."""
    about = f" ({_clean(result.about)})" if result.about else ""
    what = f"{result.action} of {result.subject}" if result.action else f"{result.name}{about}"
    opening = _OPENINGS.get(result.outcome, f"{result.outcome.capitalize()}.")
    lines = [f"{opening} {what}, asked for by {_asker(result)}."]
    if result.steps:
        lines.append(_counted(result.steps))
    for problem in result.problems:
        lines.append(_problem_line(problem))
    for step in result.steps:
        if step.error is not None:
            lines.append(_error_line(step))
    if result.fixed_by == result.id:
        lines.append("Its file went through staging again, as a new request.")
    elif closed(result.problems):
        lines.append("Nothing needs to be done.")
    elif result.fixed_by is not None:
        lines.append(f"Request {result.fixed_by} put it right: nothing needs to be done.")
    elif result.retry and result.problems and not _errors(result):
        lines.append("Fix the file and put it into staging again; to retry the same file:")
    elif result.retry:
        lines.append("Fix the problem above, then retry:" if _errors(result) else "To retry:")
    elif result.outcome == RequestState.DONE and not result.problems and not _errors(result):
        lines.append("Nothing needs to be done.")
    return lines


def _asker(result: Result) -> str:
    person = f" for {result.on_behalf_of}" if result.on_behalf_of else ""
    return f"{result.writer}{person}"


def _errors(result: Result) -> bool:
    return any(step.error is not None for step in result.steps)


def _counted(steps: Sequence[StepResult]) -> str:
    changes = sum(len(step.changed) for step in steps)
    already = sum(len(step.already) for step in steps)
    over = sum(step.state == StepState.DONE for step in steps)
    return (
        f"{over} of {_many(len(steps), 'step')} done, {_many(changes, 'change')} made, "
        f"{_many(already, 'object')} already as wanted."
    )


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _problem_line(problem: Mapping[str, Json]) -> str:
    where = f"Line {problem['line']}" if problem.get("line") else ""
    if problem.get("key"):
        where = f"{where}, {problem['key']}" if where else str(problem["key"])
    text = f"{where}: {problem.get('message', '')}" if where else str(problem.get("message", ""))
    if problem.get("expected"):
        text += f"; expected: {problem['expected']}"
    if problem.get("nearest"):
        text += f"; did you mean {problem['nearest']}?"
    return text


def _error_line(step: StepResult) -> str:
    error = step.error
    assert error is not None
    where = error.object
    what = f" {where}" if where else ""
    ended = "left" if step.state == StepState.DONE else "stopped on" if what else "stopped"
    message = error.message.removeprefix(f"{where}: ")
    text = f"Step {step.name} ({step.handler}) {ended}{what}: {message}"
    return f"{text}. What to do: {error.advice}." if error.advice else f"{text}."


def plain(result: Result) -> dict[str, Json]:
    document: dict[str, Json] = {
        "id": result.id,
        "request": _clean(result.name),
        "action": result.action,
        "subject": result.subject,
        **({"about": _clean(result.about)} if result.about else {}),
        "writer": result.writer,
        **({"on_behalf_of": result.on_behalf_of} if result.on_behalf_of else {}),
        "outcome": result.outcome,
        "accepted": moment(result.accepted),
        "ended": moment(result.ended),
    }
    if result.problems:
        document["problems"] = [_safe(_filled(problem)) for problem in result.problems]
    if result.steps:
        document["steps"] = [_step(step) for step in result.steps]
    if result.fixed_by is not None:
        document[closing(result.problems)] = result.fixed_by
    if result.retry:
        document["retry"] = result.retry
    return document


def closing(problems: Sequence[Mapping[str, Json]] | None) -> str:
    """Return the key of the request that ended the wait of a failed one."""
    return _CLOSING.get(str(closed(problems).get("kind")), "fixed_by")


def _step(step: StepResult) -> dict[str, Json]:
    document: dict[str, Json] = {"step": step.name, "handler": step.handler, "state": step.state}
    if step.started is not None:
        document["started"] = moment(step.started)
    if step.ended is not None:
        document["ended"] = moment(step.ended)
    if step.changed:
        document["changed"] = [_clean(text) for text in step.changed]
    if step.already:
        document["already"] = list(step.already)
    if step.read_back:
        document["read_back"] = _safe(step.read_back)
    if step.error is not None:
        # Tracebacks are for the journal, the log and `show`: the writer reads the result.
        document["error"] = _safe(_filled(replace(step.error, traceback="").words()))
    return document


def shown(values: Mapping[str, Json]) -> dict[str, Json]:
    """Return values for the request's writer: secrets withheld, control characters escaped."""
    safe = _safe(values)
    assert isinstance(safe, dict)
    return safe


def _filled(values: Mapping[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in values.items() if value not in (None, "")}


def _safe(value: Json) -> Json:
    """Return a copy of a value with secrets withheld and control characters escaped."""
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, Mapping):
        return {
            _clean(key): _WITHHELD if _SECRET.search(key) and inner else _safe(inner)
            for key, inner in value.items()
        }
    if isinstance(value, Sequence):
        return [_safe(inner) for inner in value]
    return value


def _clean(text: str) -> str:
    """Escape characters that cannot be printed, except line ends."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
