"""Writing: which changes may be written, in which order, and in as few calls as possible.

Promises: if a call fails, the changes are halved until the object that makes it fail is alone.
Leaves out: planning changes, and reading back what was written (`converge`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from provisioner.contract import OWNING, Change, Fault, Handler, Unavailable, Unknown, ask_leave
from provisioner.convergence.calls.questions import unexpected
from provisioner.convergence.calls.timings import timed
from provisioner.objects.items import Item


def allowed(item: Item, changes: Sequence[Change]) -> Sequence[Change]:
    """Return the changes of a plan that may be written.

    What was never ours stays as it is. An object that others closed is as a suspension wants it.
    That makes it no object of ours, which the end of the suspension would open: it is not marked.
    """
    if item.untouched:
        return ()
    others_closed = item.claims and not item.open and item.prior is None
    return () if others_closed and all(c.verb in OWNING for c in changes) else changes


def order(change: Change) -> tuple[int, str]:
    """Return by what changes are sorted: those of one phase and group go together."""
    return change.phase, change.group


def apply_group(
    handler: Handler, changes: Sequence[Change]
) -> Iterable[tuple[Sequence[Change], Fault | None]]:
    """Apply changes of one phase and group; a fault comes with the change that caused it.

    Raises Unavailable and Unknown, which concern the backend, and what `ask_leave` raises.
    """
    if not changes:
        return
    ask_leave()
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
