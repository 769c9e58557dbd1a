"""Faults: what went wrong with one object or request; the type decides what happens.

Promises: one tree, with a message and an advice for people. Leaves out: what each becomes
(`lanes`). A handler takes them from `contract`.
"""

from __future__ import annotations


class Fault(Exception):
    """Something went wrong with one object or request.

    message: what happened, with the backend's own words; advice: what to do next, for a person;
    trace: the traceback of what should not have happened, for the journal and the log alone.
    """

    advice = ""
    trace = ""

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice or type(self).advice


class InvalidRequest(Fault):
    """The request cannot be what its writer meant.

    field: dotted path of the parameter or key; expected: what would be right; nearest: the
    nearest valid name; line: 1-based line in the file, where it is known; `also`, set later: what
    else is wrong, each by itself, so that all is told at once.
    """

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        expected: str = "",
        nearest: str = "",
        line: int | None = None,
        advice: str = "",
    ) -> None:
        super().__init__(message, advice=advice)
        self.field = field
        self.expected = expected
        self.nearest = nearest
        self.line = line
        self.also: tuple[InvalidRequest, ...] = ()


class Refused(Fault):
    """Policy says no."""


class Conflict(Fault):
    """The object is there, is not ours, and differs; or it bears another's mark."""

    advice = "look at the object; set `adopt: true` in the request if it may be taken over"


class Permanent(Fault):
    """The backend said no and will say so again."""


class Transient(Fault):
    """The backend said no and may say yes later; counts as a try."""


class NotReady(Fault):
    """Something elsewhere has to happen first; asked again later, counts as no try."""


class Unavailable(Fault):
    """The backend is away; opens the lane's breaker, counts as no try."""

    advice = "see `provisioner doctor`; the work goes on by itself when the backend is back"


class Unknown(Fault):
    """A write got no answer: it may have happened; observed until it is settled."""


class ConfigError(Fault):
    """The configuration cannot work; raised when handlers are built, before any request."""
