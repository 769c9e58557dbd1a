"""Portions: whose manifest has its turn, and what happens to one that cannot be followed.

Promises: each call does one portion, and between two calls the caller does what others wait for.
Writers take turns, with a portion each; the manifests of one writer are followed one after the
other, in the order of their arrival. As many are begun as memory allows. The request's state says
whether it is being followed: after a crash it is compared again. A manifest ends if its writer may
no longer ask for it, or if comparing it takes too long. If the service died at one place of it, it
rests; after several deaths at that place it is held for a person. Leaves out: what a portion does
(`reconcile`, `adoption`).
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from provisioner.admission.admission import ALARM, submission_of
from provisioner.admission.candidates import problem_of
from provisioner.admission.enclosures import Enclosures
from provisioner.contract import Fault, InvalidRequest, Refused
from provisioner.journal import audit
from provisioner.journal.figures import throughout
from provisioner.journal.journal import Journal, JournalBroken, JournalFull
from provisioner.journal.records import companion_rows, request_rows
from provisioner.manifests import standings
from provisioner.manifests.adoption import Adoption
from provisioner.manifests.everything import Everything
from provisioner.manifests.following import Errand, Follower, Stopped
from provisioner.manifests.listing import Listing, Rights
from provisioner.manifests.matches import Matches
from provisioner.manifests.reconcile import Reconcile
from provisioner.manifests.standings import Age
from provisioner.objects.states import RequestState
from provisioner.policy.review import Review, Ruling
from provisioner.request.crowds import Meant
from provisioner.request.documents import InvalidDocument, Problem
from provisioner.request.request import Request, parse_request
from provisioner.routing.router import Router
from provisioner.spool import strikes
from provisioner.spool.spool import Submission
from provisioner.spool.strikes import Strikes
from provisioner.system.ulid import RequestId

log = logging.getLogger(__name__)


AT_ONCE = 3
"""The most bytes of manifests that are followed at once, as a multiple of the largest allowed
manifest, which takes 0.4 GiB of memory."""


AHEAD = 2.0
"""Seconds by which a writer's clock may be ahead of this host's, unless it says `since`."""


class _NoRight(Refused):
    """The writer may no longer ask for it."""


@dataclass(slots=True)
class _Begun:
    """A manifest that is being followed. size: its bytes; spent: seconds of work."""

    errand: Errand
    steps: Iterator[None]
    size: int
    spent: float = 0.0


class Portions:
    """The manifests that are being followed, for the thread that takes requests."""

    def __init__(
        self,
        book: Journal,
        follower: Follower,
        enclosures: Enclosures,
        review: Review,
        router: Router,
        judging: Strikes,
    ) -> None:
        """judging: the file that records what is being judged."""
        self._journal = book
        self._follower = follower
        self._enclosures = enclosures
        self._review = review
        self._router = router
        self._lanes = router.lanes
        self._budget = enclosures.budget
        self._strikes = judging
        self._matches = Matches()
        self._waiting: dict[int, dict[RequestId, None]] = {}
        self._begun: OrderedDict[int, _Begun] = OrderedDict()
        self._resting: dict[RequestId, float] = {}

    def add(self, whose: Mapping[RequestId, int]) -> None:
        """Queue the manifests of requests. whose: uid of each one's writer, in order."""
        for ulid, uid in whose.items():
            self._waiting.setdefault(uid, {})[ulid] = None

    def look(self) -> None:
        """Queue what other processes have accepted since the last look."""
        with self._journal.reading() as conn:
            whose = companion_rows.with_companion(conn)
        begun = {begun.errand.submission.ulid for begun in self._begun.values()}
        self.add({ulid: uid for ulid, uid in whose.items() if ulid not in begun})

    @property
    def looking(self) -> bool:
        """Return True while manifests only make objects due for another look.

        Lanes need not begin before that is done: they and it would only slow each other down.
        """
        return bool(self._begun) and all(one.errand.looking for one in self._begun.values())

    def resume(self) -> None:
        """Queue what was not over when the service ended."""
        deaths = self._strikes.deaths()
        with self._journal.reading() as conn:
            whose = {**companion_rows.with_companion(conn), **throughout.unfollowed(conn)}
        for ulid, count in deaths.items():
            if ulid not in whose:
                self._strikes.forget(ulid)
            elif count >= strikes.MOST:
                del whose[ulid]
                log.error("%s: the service died %d times at one place of it: held", ulid, count)
                self._follower.set_aside(ulid, _DEADLY)
                self._strikes.forget(ulid)
            elif strikes.rest(count):
                seconds = strikes.rest(count)
                log.error(
                    "%s: the service died %d times at one place of it: it rests for %g s",
                    ulid,
                    count,
                    seconds,
                )
                self._resting[ulid] = time.monotonic() + seconds
        self.add(whose)

    def step(self) -> bool:
        """Do a portion of the next writer's manifest. Return False if there is none."""
        self._begin()
        if not self._begun:
            return False
        uid, begun = next(iter(self._begun.items()))
        self._begun.move_to_end(uid)
        if self._is_over(uid, begun):
            del self._begun[uid]
            self._strikes.forget(begun.errand.submission.ulid)
        self._strikes.clear()
        return True

    def _is_over(self, uid: int, begun: _Begun) -> bool:
        """Do a portion. Return True if it was the last."""
        errand, began = begun.errand, time.monotonic()
        try:
            self._check_right(errand)
            place = strikes.FOLLOWED if errand.compared else len(errand.listing.subjects)
            self._strikes.note(errand.submission.ulid, place)
            ended = next(begun.steps, _ENDED) is _ENDED
            begun.spent += time.monotonic() - began
            if not ended:
                self._check_time(begun)
            return ended
        except Stopped:
            return True
        except (JournalFull, JournalBroken):
            # The comparison is dropped, and done again when there is room.
            del self._begun[uid]
            self._waiting[uid] = {errand.submission.ulid: None, **self._waiting.get(uid, {})}
            raise
        except Exception as error:
            self._give_up(errand, error)
            return True

    def _begin(self) -> None:
        """Begin waiting manifests, one of each writer, as far as there is room."""
        for uid in [uid for uid in self._waiting if uid not in self._begun]:
            while uid in self._waiting and uid not in self._begun:
                ulid = next(iter(self._waiting[uid]))
                if self._resting.get(ulid, 0.0) > time.monotonic():
                    break
                with self._journal.reading() as conn:
                    size = companion_rows.companion_size(conn, ulid)
                if self._begun and self._size + size > AT_ONCE * self._budget.size:
                    return
                # A writer with more manifests goes behind those who already wait.
                waiting = self._waiting.pop(uid)
                del waiting[ulid]
                if waiting:
                    self._waiting[uid] = waiting
                self._open(ulid)

    def _open(self, ulid: RequestId) -> None:
        """Begin a manifest, unless its request is over."""
        self._strikes.note(ulid, 0)
        with self._journal.reading() as conn:
            record = request_rows.load(conn, [ulid]).get(ulid)
            body = companion_rows.companion(conn, ulid)
        if record is None or record.state != RequestState.ACCEPTED:
            return
        if body is None and parse_request(record.body).values["manifest"] is not None:
            return  # all has followed
        try:
            errand = self._errand_of(record, body)
        except Fault as fault:  # the named user is gone, or the sender is no longer trusted
            self._follower.end(ulid, RequestState.REFUSED, (problem_of(fault),))
            return
        self._begun[record.uid] = _Begun(errand, self._run(errand), len(body or b""))

    @property
    def _size(self) -> int:
        return sum(begun.size for begun in self._begun.values())

    def _errand_of(self, record: request_rows.Record, body: bytes | None) -> Errand:
        """Return what is to be done for a request. body: its manifest; None: all is looked at."""
        request, submission = parse_request(record.body), submission_of(record)
        if body is None:
            nothing = Listing(submission, "", b"", self._router, None)
            age = self._age_of(record, request)
            return Errand(submission, request, nothing, age, compared=True, looking=True)
        whose = self._enclosures.whose(submission, request)
        file = request.values["manifest"].file
        adopting = request.action == "adopt"
        rights = None if adopting else (self._rights_of(submission), self._matches)
        also = {"adopt": True} if adopting and request.values["differing"] else None
        listing = Listing(whose, file, body, self._router, rights, also)
        return Errand(submission, request, listing, self._age_of(record, request))

    def _age_of(self, record: request_rows.Record, request: Request) -> Age:
        """Return what counts as newer than a manifest. Raises InvalidRequest if nobody knows."""
        as_of = request.values["as_of"]
        if as_of is not None and request.values.get("since") is None:
            check_clock(as_of.timestamp(), record.accepted)
        with self._journal.reading() as conn:
            return Age(standings.moment_of(conn, record))

    def _rights_of(self, sender: Submission) -> Rights:
        now = partial(self._review.rights, sender.uid, sender.writer)
        return Rights(partial(self._foresee, sender), self._meant, now)

    def _foresee(self, sender: Submission, request: Request) -> Ruling | None:
        return self._review.foresee(sender.uid, sender.writer, request)

    def _meant(self, submission: Submission, request: Request) -> Meant:
        return self._review.meant(submission.uid, submission.writer, request)

    def _run(self, errand: Errand) -> Iterator[None]:
        whose = errand.submission
        if errand.looking:
            others = self._review.steers_others(whose.uid, whose.writer, errand.request.action)
            return Everything(errand, self._follower, None if others else whose.writer).run()
        if errand.request.action == "adopt":
            return Adoption(errand, self._follower, self._review, self._lanes).run()
        return Reconcile(errand, self._follower, self._review, self._router).run()

    def _check_right(self, errand: Errand) -> None:
        """Raise Refused if policy has come to refuse the writer all of it."""
        submission = errand.submission
        ruling = self._foresee(submission, errand.request)
        if ruling is not None:
            why = ruling.answer.why
            log.warning("ALARM policy: %s of %s: %s", submission.name, submission.writer, why)
            so_far = "what has followed from it stays" if errand.compared else "nothing was done"
            raise _NoRight(f"no longer allowed: {why}; {so_far}", advice=ruling.answer.advice)

    def _check_time(self, begun: _Begun) -> None:
        if begun.spent > self._budget.seconds and not begun.errand.compared:
            raise InvalidDocument(
                [
                    Problem(
                        None,
                        "manifest",
                        f"only {len(begun.errand.listing.subjects)} of its lines were compared in "
                        f"{begun.spent:.0f} s, and the limit is {self._budget.seconds:g} s",
                        "fewer lines, or a larger `manifests.seconds` in the configuration",
                    )
                ]
            )

    def _give_up(self, errand: Errand, error: Exception) -> None:
        """End a request whose manifest cannot be followed."""
        state = RequestState.FAILED
        problems: Sequence[Problem] = (_unexpected(error),)
        if isinstance(error, InvalidDocument):
            state, problems = RequestState.REFUSED, error.problems
        elif isinstance(error, InvalidRequest | _NoRight) and not errand.compared:
            state, problems = RequestState.REFUSED, (problem_of(error),)
        elif isinstance(error, Fault):
            problems = (errand.request.placed(problem_of(error)),)
        else:
            log.exception("%s: its manifest cannot be followed", errand.submission.ulid)
        try:
            with self._follower.commit(errand) as commit:
                if isinstance(error, _NoRight):
                    commit.record(audit.Event(errand.submission.ulid, ALARM, error.message))
                commit.end(state, problems)
        except Stopped:
            return


def check_clock(as_of: float, accepted: float) -> None:
    """Raise InvalidRequest if a manifest was read after its acceptance, by its writer's clock.

    How far that clock is ahead is not known, so that what came before could have come after.
    """
    if (ahead := as_of - accepted) > AHEAD:
        raise InvalidRequest(
            f"`as_of` is {ahead:.0f} s ahead of this host's clock",
            field="as_of",
            expected="clocks that agree: set that of whoever wrote it, and this one, by NTP",
        )


_ENDED = object()
_DEADLY = Problem(
    None,
    "manifest",
    f"the service died {strikes.MOST} times at the same place of the manifest",
    "find the cause in the log of the service and of the kernel (watchdog, memory), then release "
    "it; a manifest in parts, for fewer kinds of subjects each, shows which part it is",
)


def _unexpected(error: Exception) -> Problem:
    why = f"following its manifest failed unexpectedly: {error!r}"
    return Problem(None, "manifest", why, "report it with the traceback in the service's log")
