"""The filing thread keeps files, results and receipts in step with the journal.

Promises: a thread that commits never waits for a file. Files move in the order of the journal's
states, because one thread reads and writes them. A request that ends soon after its acceptance gets
one receipt. New outcomes do not wait for all earlier ones of another writer, and a writer with few
files does not wait for another's many, however many are refused. What is left when the process dies
is done at the next start. Leaves out: what is written and where (`filing`).
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Mapping
from itertools import islice, takewhile

from provisioner.journal import journal
from provisioner.outcome.filing import Finisher
from provisioner.spool.turns import Turns
from provisioner.system.ulid import RequestId

log = logging.getLogger(__name__)

_PATIENCE = 0.1
"""Seconds before an accepted request without an outcome gets a receipt of its acceptance."""

_PATIENCE_OF_MANY = 2.0
"""The same seconds while more than a portion of requests wait for one: lanes take a backlog as a
whole, and what they end soon needs no other receipt."""

_PORTION = 256
_AFTER_TROUBLE = 1.0


def portion(waiting: dict[RequestId, None], most: int) -> list[RequestId]:
    """Choose the next part of what waits: half of it the oldest, half the newest.

    The newest half serves people whose outcomes are behind a hundred thousand of another writer;
    the oldest half makes sure that those are done as well. most: an even number of ids.
    """
    if len(waiting) <= most:
        return list(waiting)
    newest = list(islice(reversed(waiting), most // 2))
    return [*islice(waiting, most // 2), *reversed(newest)]


class Clerk:
    """Any thread tells it what has changed; it works in its own."""

    def __init__(self, finisher: Finisher, returned: Callable[[], None]) -> None:
        """returned: called when a file has gone back to staging."""
        self._finisher = finisher
        self._returned = returned
        self._turn = threading.Condition()
        self._changed: dict[RequestId, None] = {}
        self._arrived = Turns()
        self._came = 0
        self._accepted: dict[RequestId, float] = {}
        self._refused: list[RequestId] = []
        self._old: dict[RequestId, None] = {}
        self._working = False
        self._trouble = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="clerk")

    @property
    def busy(self) -> bool:
        """Return True if a file is still to be put in its place."""
        with self._turn:
            waiting = self._changed or self._arrived or self._refused or self._old
            return self._working or bool(waiting)

    def start(self) -> None:
        """Start working."""
        self._thread.start()

    def stop(self) -> None:
        """Stop when everything that was asked for is done."""
        with self._turn:
            self._stopping = True
            self._turn.notify()
        self._thread.join()

    def settle(
        self, ids: Collection[RequestId], senders: Mapping[RequestId, int] | None = None
    ) -> None:
        """Ask for the files of requests to be moved to where their states say.

        senders: uids of the senders of files that have just been taken; these senders take turns.
        """
        if ids:
            senders = senders or {}
            with self._turn:
                for ulid in ids:
                    self._accepted.pop(ulid, None)
                    if ulid not in senders:
                        self._changed[ulid] = None
                    elif ulid not in self._arrived:
                        self._came += 1
                        self._arrived.add([(senders[ulid], self._came, ulid)])
                self._turn.notify()

    def announce(self, ids: Collection[RequestId]) -> None:
        """Ask for receipts of requests that were accepted."""
        if ids:
            with self._turn:
                self._accepted.update(dict.fromkeys(ids, time.monotonic()))
                self._turn.notify()

    def renew(self, ids: Collection[RequestId]) -> None:
        """Ask for receipts with steps to be written again, after all that is new."""
        if ids:
            with self._turn:
                self._old.update(dict.fromkeys(ids))
                self._turn.notify()

    def resubmit(self, ulid: RequestId) -> None:
        """Ask for a refused file to go through staging again."""
        with self._turn:
            self._refused.append(ulid)
            self._turn.notify()

    def catch_up(self) -> None:
        """Do everything that was asked for, in the caller's thread, if no other one runs."""
        while self.work(math.inf) and not self._trouble:
            pass

    def _run(self) -> None:
        while True:
            with self._turn:
                while not (self._stopping or self.busy or self._ripe(time.monotonic())):
                    self._turn.wait(_PATIENCE if self._accepted else None)
                stopping = self._stopping
            worked = self.work(math.inf if stopping else time.monotonic())
            if stopping and (self._trouble or not worked):
                return
            if self._trouble:
                time.sleep(_AFTER_TROUBLE)

    def _ripe(self, now: float) -> dict[RequestId, None]:
        """Return the accepted requests that have waited long enough for their outcomes."""
        many = len(self._accepted) > _PORTION
        since = now - (_PATIENCE_OF_MANY if many else _PATIENCE)
        first = takewhile(lambda one: one[1] <= since, self._accepted.items())
        return {ulid: None for ulid, _ in first}

    def work(self, until: float) -> bool:
        """Do a portion of what was asked for. Return False if there was nothing.

        until: monotonic time; acceptances that have waited long enough by then are announced.
        """
        with self._turn:
            waiting = portion(self._changed, _PORTION)
            arrived = [RequestId(ulid) for ulid in self._arrived.take(_PORTION)]
            changed = list(dict.fromkeys([*waiting, *arrived]))
            accepted = portion(self._ripe(until), _PORTION)
            refused = self._refused[:_PORTION]
            for done in changed:
                self._changed.pop(done, None)
            for done in accepted:
                del self._accepted[done]
            del self._refused[:_PORTION]
            news = changed or accepted or refused
            old = [] if news else portion(self._old, _PORTION)
            for done in old:
                del self._old[done]
            self._working = worked = bool(news or old)
            self._trouble = False
        left = changed
        try:
            left = self._finisher.settle(changed)
            left += self._finisher.announce(accepted)
            self._finisher.renew(old)
            while refused and self._finisher.resubmit(refused[0]):
                del refused[0]
                self._returned()
        except journal.JournalBroken:
            left = [*left, *accepted]  # the service ends, and says why
        except Exception:
            log.exception("files could not be put in place; trying again, or at the next start")
            left = [*left, *accepted]
        with self._turn:
            self._working = False
            self._trouble = bool(left or refused)
            # Later changes come in their turn; these are done again from the journal.
            self._changed.update(dict.fromkeys(left))
            self._refused[:0] = refused
        return worked
