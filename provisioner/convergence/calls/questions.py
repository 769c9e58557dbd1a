"""Questions to a handler, and whose fault it is if one gets no answer.

Promises: a question that fails is halved until the object that makes it fail is alone. A backend is
away when a handler raises that it is. A fault about one object, while the backend answers for
others, stays with that object. Leaves out: what happens after a fault (`next_try`), and writing
(`converge`).
"""

from __future__ import annotations

import errno
import functools
import sys
import traceback
from collections.abc import Mapping, Sequence

from provisioner.contract import (
    Fault,
    Gone,
    Handler,
    Key,
    NotReady,
    Permanent,
    State,
    Transient,
    Unavailable,
    Unknown,
)
from provisioner.contract.abilities import Seeks, able
from provisioner.convergence.calls.reads import MOMENT, reads
from provisioner.convergence.calls.timings import timed

MOST = 64
"""The most questions of one round: enough to find three bad objects among a thousand."""

DEEPEST = 32
"""The most levels of lists and mappings in what a backend says of an object."""

LARGEST = 1_000_000
"""The most characters and values in it. A group's members are objects of their own."""


def states(
    handler: Handler, keys: Sequence[Key], moment: float = MOMENT
) -> dict[Key, State | Fault]:
    """Read objects in as few questions as possible; a fault comes with the object that caused it.

    moment: the seconds for which one that fails is asked again.

    Raises Unavailable and Unknown, which concern the backend.
    """
    answers: dict[Key, State | Fault] = {}
    waiting, questions = [keys], 0
    while waiting:
        part = waiting.pop(0)
        questions += 1
        try:
            with timed("observe"):
                given = reads(functools.partial(handler.observe, part), moment)
            answers.update({key: _storable(key, state) for key, state in given.items()})
        except (Unavailable, Unknown):
            raise
        except Exception as error:
            if len(part) == 1 or questions + len(waiting) + 2 > MOST:
                what = f"{type(handler).__name__}.observe"
                fault = error if isinstance(error, Fault) else unexpected(what)
                answers.update(dict.fromkeys(part, fault))
            else:
                middle = len(part) // 2
                waiting += [part[:middle], part[middle:]]
    return answers


def sought(
    handler: Handler, gone: Mapping[Key, Gone], moment: float = MOMENT
) -> Mapping[Key, State | Fault]:
    """Look for objects that may have another name now; those that are not there are left out.

    Raises Unavailable and Unknown, which concern the backend.
    """
    if not gone or not able(handler, Seeks):
        return {}
    try:
        found = reads(functools.partial(handler.sought, gone), moment)
    except (Unavailable, Unknown):
        raise
    except Exception as error:
        what = f"{type(handler).__name__}.sought"
        return dict.fromkeys(gone, error if isinstance(error, Fault) else unexpected(what))
    return {key: _storable(key, state) for key, state in found.items()}


def _storable(key: Key, state: State | Fault) -> State | Fault:
    """Return a state, or a fault if results and pages could not show it."""
    why = "" if isinstance(state, Fault) else _unfit(state)
    return Permanent(f"{key}: what the backend says of it {why}") if why else state


_PLAIN = (int, float, type(None))
"""Asked first: to ask whether a value is a Mapping takes ten times as long. A union would, too."""


def _unfit(value: object) -> str:
    """Return why no result can show a value that a backend gave; '' if one can.

    The journal, results and pages walk it by recursion: Python allows about a thousand calls.
    """
    level, size = [value], 0
    for _ in range(DEEPEST + 1):
        inner: list[object] = []
        for part in level:
            if isinstance(part, str):
                size += len(part)
                continue
            size += 1
            if isinstance(part, _PLAIN):
                continue
            if isinstance(part, (list, tuple)):
                inner += part
            elif isinstance(part, Mapping):
                inner += part
                inner += part.values()
        if size > LARGEST:
            return f"is larger than {LARGEST:,} characters"
        if not inner:
            return ""
        level = inner
    return f"nests deeper than {DEEPEST} levels"


def own(fault: Fault | None) -> Fault | None:
    """Return a fault as one object's own: an object that cannot be read alone is not ready.

    So it is tried again with growing delays for the days of `patience`, and nobody else waits.
    """
    if not isinstance(fault, Unavailable):
        return fault
    advice = (
        "look at this object, because its backend answers for others; it is tried again by itself"
    )
    return NotReady(
        fault.message, advice=advice if fault.advice == Unavailable.advice else fault.advice
    )


SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors of a host that now has too little for any program."""

_NO_THREAD = "can't start new thread"
"""What Python says where the kernel refuses a thread (EAGAIN); that error has no number."""


def is_scarce(error: BaseException | None) -> bool:
    """Return True if the host now has too little for any program."""
    if isinstance(error, OSError):
        return error.errno in SCARCE
    return isinstance(error, RuntimeError) and str(error) == _NO_THREAD


def unexpected(what: str) -> Fault:
    """Return the current exception as a fault, with its text and its traceback."""
    error = sys.exception()
    if is_scarce(error):
        return Transient(
            f"{what}: {error.strerror if isinstance(error, OSError) else error}",
            advice="this host ran out of it: look at what the service holds (ls /proc/PID/fd) and "
            "at its limits (LimitNOFILE, MemoryMax, TasksMax); it is tried again by itself",
        )
    text = traceback.format_exception_only(error)[-1].strip()
    fault = Permanent(
        f"{what} failed unexpectedly: {text}",
        advice="this is a bug in the handler; report it with the traceback, which is in the "
        "service's log and in `provisioner show`",
    )
    fault.trace = traceback.format_exc()
    return fault
