"""Looking ahead: who comes next may look while what they wait for is being recorded.

Promises: each object is looked at ahead once, when everything that its step needs came. Nothing
relies on it: a step begins when the journal says so, and looks then, unless its handler just did.
What is not looked at in time is forgotten. Leaves out: who may look (`wiring`), and what a handler
does with what it sees.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping

from provisioner.contract import Key

log = logging.getLogger(__name__)

_MOST = 128
"""Objects that are expected at the same time; of more, the oldest are forgotten."""

After = Mapping[Key, frozenset[Key]]
"""What each object waits for."""


class Ahead:
    """What is expected, for any thread."""

    def __init__(self, look: Callable[[Collection[Key]], None]) -> None:
        """look: begins to look at objects, and returns at once."""
        self._look = look
        self._after: dict[Key, frozenset[Key]] = {}
        self._turn = threading.Lock()

    def expect(self, after: After) -> None:
        """Note what is to be looked at when what it waits for came."""
        with self._turn:
            both = {**self._after, **{key: needed for key, needed in after.items() if needed}}
            self._after = dict(list(both.items())[-_MOST:])

    def came(self, keys: Collection[Key]) -> None:
        """Look at what waited for some objects, which are as wanted now, and for nothing else."""
        with self._turn:
            if not self._after:
                return
            left = {key: needed.difference(keys) for key, needed in self._after.items()}
            self._after = {key: needed for key, needed in left.items() if needed}
        if ready := [key for key, needed in left.items() if not needed]:
            try:
                self._look(ready)
            except Exception:  # a handler of somebody else's
                log.exception("looking ahead failed; each object is looked at in its turn")
