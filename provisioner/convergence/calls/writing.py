"""Writing: changes of one group go to a handler in as few calls as possible.

Promises: if a call fails, the changes are halved until the object that makes it fail is alone.
Leaves out: what is written and in which order, and reading it back (`converge`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from provisioner.contract import Change, Fault, Handler, Unavailable, Unknown
from provisioner.convergence.calls.questions import unexpected
from provisioner.convergence.calls.timings import timed


def apply_group(
    handler: Handler, changes: Sequence[Change]
) -> Iterable[tuple[Sequence[Change], Fault | None]]:
    """Apply changes of one phase and group; a fault comes with the change that caused it.

    Raises Unavailable and Unknown, which concern the backend.
    """
    if not changes:
        return
    try:
        with timed("apply"):
            handler.apply(changes)
    except (Unavailable, Unknown):
        raise
    except Exception as error:
        if len({change.key for change in changes}) == 1:
            what = f"{type(handler).__name__}.apply"
            yield changes, error if isinstance(error, Fault) else unexpected(what)
            return
        middle = len(changes) // 2
        yield from apply_group(handler, changes[:middle])
        yield from apply_group(handler, changes[middle:])
    else:
        yield changes, None
