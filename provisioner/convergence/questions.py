"""Questions to a handler, and whose fault it is where one is not answered.

Promises: a question that fails is halved until the object stands alone that makes it fail. A
backend is away where a handler raises that it is; what it says of one object, while it answers for
others, is that object's own. Leaves out: what becomes of a fault (`next_try`), and writing
(`converge`).
"""

from __future__ import annotations

import errno
import functools
import sys
import traceback
from collections.abc import Sequence

from provisioner.contract import (
    Fault,
    Handler,
    Key,
    NotReady,
    Permanent,
    State,
    Transient,
    Unavailable,
    Unknown,
)
from provisioner.convergence.reads import reads

MOST = 64
"""Most questions of one round: they find three objects of a thousand that make one fail."""


def states(handler: Handler, keys: Sequence[Key]) -> dict[Key, State | Fault]:
    """Read objects in as few questions as are answered; a fault comes with whom it belongs to.

    Raises Unavailable and Unknown, which concern the backend.
    """
    found: dict[Key, State | Fault] = {}
    waiting, questions = [keys], 0
    while waiting:
        part = waiting.pop(0)
        questions += 1
        try:
            found.update(reads(functools.partial(handler.observe, part)))
        except (Unavailable, Unknown):
            raise
        except Exception as error:
            if len(part) == 1 or questions + len(waiting) + 2 > MOST:
                what = f"{type(handler).__name__}.observe"
                fault = error if isinstance(error, Fault) else unexpected(what)
                found.update(dict.fromkeys(part, fault))
            else:
                middle = len(part) // 2
                waiting += [part[:middle], part[middle:]]
    return found


def own(fault: Fault | None) -> Fault | None:
    """Return a fault as one object's own: one that cannot be read alone is not ready.

    So it is tried again with growing delays for the days of `patience`, and nobody else waits.
    """
    if not isinstance(fault, Unavailable):
        return fault
    advice = "look at this object, as its backend answers for others; it is tried again by itself"
    return NotReady(
        fault.message, advice=advice if fault.advice == Unavailable.advice else fault.advice
    )


SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What a host says that has too little for anybody now, whatever was asked."""


def unexpected(what: str) -> Fault:
    """Make a fault of the exception that is being handled: its words, and its traceback aside."""
    error = sys.exception()
    if isinstance(error, OSError) and error.errno in SCARCE:
        return Transient(
            f"{what}: {error.strerror}",
            advice="this host ran out of it: see what the service holds (ls /proc/PID/fd) and its "
            "limits (LimitNOFILE, MemoryMax); it is tried again by itself",
        )
    said = traceback.format_exception_only(error)[-1].strip()
    fault = Permanent(
        f"{what} failed unexpectedly: {said}",
        advice="this is a fault of the handler: report it with the traceback, which the service's "
        "log and `provisioner show` have",
    )
    fault.trace = traceback.format_exc()
    return fault
