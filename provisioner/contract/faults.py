"""Faults: what went wrong with one object or request; the type decides what happens.

Promises: one tree, with a message and an advice for people. Leaves out: what each leads to
(`lanes`). A handler imports them from `contract`.
"""

from __future__ import annotations

LONGEST = 4000
"""The most characters of a text that a person is to read: a backend may print megabytes."""


def cut(text: str) -> str:
    """Return a text, or its beginning and how much more there is.

    A NUL, which not every database and file can have, is shown as a sign.
    """
    text = text.replace("\0", "\N{SYMBOL FOR NULL}")
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}... ({len(text) - LONGEST:,} more characters)"


class Fault(Exception):
    """Something went wrong with one object or request.

    message: what happened, with the backend's own words; advice: what to do next, for a person;
    both are cut at `LONGEST`; trace: the traceback of a bug, only for the journal and the log.
    """

    advice = ""
    trace = ""

    def __init__(self, message: str, *, advice: str = "") -> None:
        self.message = cut(message)
        super().__init__(self.message)
        self.advice = cut(advice) or type(self).advice


class InvalidRequest(Fault):
    """The request cannot be what its writer meant.

    field: dotted path of the parameter or key; expected: what would be right; nearest: the nearest
    valid name; line: 1-based line in the file, if it is known; `also`, set later: the other
    mistakes, each a fault of its own, so that all are reported at once.
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
    """Policy refuses the request."""


class Conflict(Fault):
    """The object exists, is not ours, and differs; or it has another's mark.

    adoptable: a request with `adopt: true` takes the object over. If an advice of its own is
    given, the default is False.
    """

    advice = "check the object; if the service may take it over, set `adopt: true` in the request"

    def __init__(self, message: str, *, advice: str = "", adoptable: bool | None = None) -> None:
        super().__init__(message, advice=advice)
        self.adoptable = self.advice == type(self).advice if adoptable is None else adoptable


class Permanent(Fault):
    """The backend refused, and will refuse again."""


class Transient(Fault):
    """The backend refused, and may accept later; counts as a try."""


class NotReady(Fault):
    """Something else must happen first; tried again later, and does not count as a try."""


class Unavailable(Fault):
    """The backend is away; opens the lane's breaker, and does not count as a try."""

    advice = "run `provisioner doctor`; the service continues by itself once the backend is back"


class Unknown(Fault):
    """A write got no answer: it may have happened; observed until its result is known."""


class ConfigError(Fault):
    """The configuration cannot work; raised when handlers are built, before any request.

    passing: it may pass without a change, as a full disk does, so that systemd tries again.
    `settings`, set later: each wrong setting of a handler, so that it is told with its line.
    """

    def __init__(self, message: str, *, advice: str = "", passing: bool = False) -> None:
        super().__init__(message, advice=advice)
        self.passing = passing
        self.settings: tuple[InvalidRequest, ...] = ()
