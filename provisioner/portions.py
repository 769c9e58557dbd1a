"""Portions: whose manifest has its turn, and what becomes of one that cannot be served.

Promises: one manifest is followed at a time, in the order in which they came, a portion at each
call; between two the caller does what others wait for. The request's state says whether it is
followed: after a crash it is compared anew. One that takes too long to compare, or made the service
die in the same portion twice, is ended, and the next has its turn. Leaves out: what a portion does
(`reconcile`, `adoption`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence

from provisioner import records
from provisioner import ulid as ulids
from provisioner.admission import claimed_of
from provisioner.adoption import Adoption
from provisioner.candidates import problem_of
from provisioner.contract import Fault, InvalidRequest
from provisioner.crowds import Meant
from provisioner.documents import InvalidDocument, Problem
from provisioner.enclosures import Enclosures
from provisioner.following import Errand, Follower, Stopped, end
from provisioner.journal import Journal, JournalBroken, JournalFull
from provisioner.listing import Listing
from provisioner.manifest import Moment
from provisioner.reconcile import Reconcile
from provisioner.request import Request, parse_request
from provisioner.review import Review
from provisioner.routing import Router
from provisioner.spool import Claimed
from provisioner.strikes import Strikes

log = logging.getLogger(__name__)


class Portions:
    """The manifests that are followed, for the thread that takes requests."""

    def __init__(
        self,
        book: Journal,
        follower: Follower,
        enclosures: Enclosures,
        review: Review,
        router: Router,
        lanes: Mapping[str, str],
        seconds: float,
        strikes: Strikes,
    ) -> None:
        """lanes: lane of each instance; seconds: of work in which one has to be compared; strikes:
        where it is noted what is judged.
        """
        self._journal = book
        self._follower = follower
        self._enclosures = enclosures
        self._review = review
        self._router = router
        self._lanes = lanes
        self._seconds = seconds
        self._strikes = strikes
        self._waiting: dict[str, None] = {}
        self._errand: Errand | None = None
        self._steps: Iterator[None] = iter(())
        self._spent = 0.0
        self._done = 0

    def add(self, ids: list[str]) -> None:
        """Have the manifests of requests followed."""
        self._waiting.update(dict.fromkeys(ids))

    def resume(self) -> None:
        """Take up what was not over when the service ended."""
        stuck = self._strikes.stuck()
        with self._journal.reading() as conn:
            ids = records.with_companion(conn)
        if stuck in ids:
            ids.remove(stuck)
            log.error("%s: the service died twice at one place of its manifest: ended", stuck)
            with self._journal.transaction() as conn:
                end(conn, stuck, "failed", (_DEADLY,), time.time())
        self.add(ids)

    def step(self) -> bool:
        """Do a portion; False where nothing is to be done."""
        if self._errand is None and not self._begin():
            return False
        assert self._errand is not None
        began = time.monotonic()
        try:
            self._strikes.note(self._errand.claimed.ulid, self._done)
            ended = next(self._steps, _ENDED) is _ENDED
            self._done += 1
            self._spent += time.monotonic() - began
            if not ended:
                self._check_time(self._errand)
                return True
        except Stopped:
            pass
        except (JournalFull, JournalBroken):
            # What was compared is forgotten: when there is room it is compared anew.
            self._waiting = {self._errand.claimed.ulid: None, **self._waiting}
            self._errand = None
            raise
        except Exception as error:
            self._give_up(self._errand, error)
        self._errand, self._steps = None, iter(())
        self._strikes.clear()
        return True

    def _begin(self) -> bool:
        """Begin with the next; False where there is none."""
        if not self._waiting:
            self._follower.followed.clear()
        while self._waiting:
            ulid = next(iter(self._waiting))
            del self._waiting[ulid]
            self._strikes.note(ulid, -1)
            with self._journal.reading() as conn:
                record = records.load(conn, [ulid]).get(ulid)
                body = records.companion(conn, ulid)
            if record is None or record.state != "accepted" or body is None:
                continue
            self._spent, self._done = 0.0, 0
            self._errand = self._errand_of(record, body)
            self._steps = self._run(self._errand)
            return True
        return False

    def _errand_of(self, record: records.Record, body: bytes) -> Errand:
        request, claimed = parse_request(record.body), claimed_of(record)
        whose = self._enclosures.whose(claimed, request)
        file = request.values["manifest"].file
        adopting = request.action == "adopt"
        as_of = request.values["as_of"]
        asked = ulids.first(as_of.timestamp()) if as_of is not None else record.id
        meant_by = None if adopting else self._meant
        listing = Listing(whose, file, body, self._router, meant_by)
        moment = Moment(min(asked, record.id), self._follower.followed)
        return Errand(claimed, request, listing, moment)

    def _meant(self, claimed: Claimed, request: Request) -> Meant:
        return self._review.meant(claimed.uid, claimed.writer, request)

    def _run(self, errand: Errand) -> Iterator[None]:
        if errand.request.action == "adopt":
            source = errand.request.values["writer"] or errand.claimed.writer
            return Adoption(errand, self._follower, self._review, self._lanes, source).run()
        return Reconcile(errand, self._follower, self._review, self._router).run()

    def _check_time(self, errand: Errand) -> None:
        if self._spent > self._seconds and not errand.compared:
            raise InvalidDocument(
                [
                    Problem(
                        None,
                        "manifest",
                        f"after {self._spent:.0f} s only {len(errand.listing.subjects)} of its "
                        f"lines were compared, and {self._seconds:g} s are granted",
                        "fewer lines, or a larger `manifests.seconds` in the configuration",
                    )
                ]
            )

    def _give_up(self, errand: Errand, error: Exception) -> None:
        """End a request whose manifest cannot be followed."""
        state = "failed"
        problems: Sequence[Problem] = (_unexpected(error),)
        if isinstance(error, InvalidDocument):
            state, problems = "refused", error.problems
        elif isinstance(error, InvalidRequest) and not errand.compared:
            state, problems = "refused", (problem_of(error),)
        elif isinstance(error, Fault):
            problems = (errand.request.placed(problem_of(error)),)
        else:
            log.exception("%s: its manifest cannot be followed", errand.claimed.ulid)
        try:
            with self._follower.commit(errand) as commit:
                commit.end(state, problems)
        except Stopped:
            return


_ENDED = object()
_DEADLY = Problem(
    None,
    "manifest",
    "the service died twice while it followed the same part of the manifest",
    "look into the log of the service and of the kernel (watchdog, memory) for why; a manifest in "
    "parts, for fewer kinds of subjects each, shows which",
)


def _unexpected(error: Exception) -> Problem:
    why = f"following its manifest failed unexpectedly: {error!r}"
    return Problem(None, "manifest", why, "the service's log has the traceback: report it")
