"""The filing thread: one that keeps files, results and receipts in step with the journal.

Promises: whoever commits never waits for a file; files are moved in the order of the journal's
states, as one thread reads and writes them; a request that ends soon after it was accepted gets
one receipt; who comes last does not wait for all that one writer left before. What is still to be
done when the process dies is done at the next start. Leaves out: what is written and where
(`filing`).
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection
from itertools import islice

from provisioner.outcome.filing import Finisher

log = logging.getLogger(__name__)

_PATIENCE = 0.1
"""Seconds until an accepted request that has no outcome yet gets a receipt that says so."""

_PORTION = 256
_AFTER_TROUBLE = 1.0


def portion(waiting: dict[str, None], most: int) -> list[str]:
    """Choose what is done next of what waits: the oldest half, and the newest.

    The intake takes one file of each writer in turn, so that what came last is of every writer, and
    the newest half serves whom a hundred thousand files of another stand before; the oldest half
    sees to it that these are done as well. most: an even number of ids.
    """
    if len(waiting) <= most:
        return list(waiting)
    newest = list(islice(reversed(waiting), most // 2))
    return [*islice(waiting, most // 2), *reversed(newest)]


class Clerk:
    """Told by any thread what has changed; works in its own."""

    def __init__(self, finisher: Finisher, returned: Callable[[], None]) -> None:
        """returned: told when a file has gone back to staging."""
        self._finisher = finisher
        self._returned = returned
        self._turn = threading.Condition()
        self._changed: dict[str, None] = {}
        self._accepted: dict[str, float] = {}
        self._refused: list[str] = []
        self._working = False
        self._trouble = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="clerk")

    @property
    def busy(self) -> bool:
        """Say whether a file is still to be put in its place."""
        with self._turn:
            return self._working or bool(self._changed or self._refused)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """End when everything is done that was asked for."""
        with self._turn:
            self._stopping = True
            self._turn.notify()
        self._thread.join()

    def settle(self, ids: Collection[str]) -> None:
        """Ask for the files of requests to be where their states say."""
        if ids:
            with self._turn:
                for who in ids:
                    self._accepted.pop(who, None)
                    self._changed[who] = None
                self._turn.notify()

    def announce(self, ids: Collection[str]) -> None:
        """Ask for receipts of requests that were accepted."""
        if ids:
            when = time.monotonic() + _PATIENCE
            with self._turn:
                self._accepted.update(dict.fromkeys(ids, when))
                self._turn.notify()

    def resubmit(self, ulid: str) -> None:
        """Ask for a refused file to be put through staging again."""
        with self._turn:
            self._refused.append(ulid)
            self._turn.notify()

    def catch_up(self) -> None:
        """Do all that was asked for, in the caller's thread, where no other runs."""
        while self._work(math.inf) and not self._trouble:
            pass

    def _run(self) -> None:
        while True:
            with self._turn:
                while not (self._stopping or self.busy or self._ripe()):
                    self._turn.wait(_PATIENCE if self._accepted else None)
                stopping = self._stopping
            worked = self._work(math.inf if stopping else time.monotonic())
            if stopping and (self._trouble or not worked):
                return
            if self._trouble:
                time.sleep(_AFTER_TROUBLE)

    def _ripe(self) -> bool:
        return bool(self._accepted) and next(iter(self._accepted.values())) <= time.monotonic()

    def _work(self, until: float) -> bool:
        """Do a portion of what was asked for; False where there is nothing.

        until: acceptances that are to be announced by then, monotonic.
        """
        with self._turn:
            changed = portion(self._changed, _PORTION)
            ripe = dict.fromkeys(who for who, when in self._accepted.items() if when <= until)
            accepted = portion(ripe, _PORTION)
            refused = self._refused[:_PORTION]
            for done in changed:
                del self._changed[done]
            for done in accepted:
                del self._accepted[done]
            del self._refused[:_PORTION]
            self._working = worked = bool(changed or accepted or refused)
            self._trouble = False
        left = changed
        try:
            left = self._finisher.settle(changed)
            self._finisher.announce(accepted)
            while refused:
                self._finisher.resubmit(refused[0])
                del refused[0]
                self._returned()
        except Exception:
            log.exception("files could not be put in place; trying again, or at the next start")
            left = [*left, *accepted]
        with self._turn:
            self._working = False
            self._trouble = bool(left or refused)
            # What changed meanwhile comes in its turn; this is done again from the journal.
            self._changed.update(dict.fromkeys(left))
            self._refused[:0] = refused
        return worked
