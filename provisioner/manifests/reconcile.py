"""Reconciling with a manifest: comparing all of it, and following the differences.

Promises: the first pass compares each line with the ledger and writes nothing. It counts the people
who would lose something, and the whole is held if they are a crowd. What follows is written in
portions: for each subject only if nobody has claimed for it since the comparison. Whatever was
accepted after the manifest's own moment is not touched. Leaves out: what differs (`manifest`), and
whose turn it is (`portions`).
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from provisioner.admission.candidates import Candidate, judge, subject_of
from provisioner.contract import Fault, Key, Want
from provisioner.controls.effects import AWAITED, Effect
from provisioner.controls.verbs import look_again, too_many
from provisioner.journal.journal import Connection
from provisioner.journal.persons import words
from provisioner.journal.persons.words import Word
from provisioner.journal.queries import holdings
from provisioner.journal.queries import subjects as claiming
from provisioner.journal.records import ledger, object_rows
from provisioner.manifests import manifest, matches, standings, weighing
from provisioner.manifests.following import Commit, Errand, Follower, left_alone
from provisioner.manifests.listing import Known, child, portions
from provisioner.manifests.manifest import Standing, Verdict
from provisioner.manifests.matches import Match
from provisioner.manifests.weighing import Toll
from provisioner.objects.losses import Pair, Shift
from provisioner.policy.review import Review, outlines
from provisioner.request.request import Request
from provisioner.routing.router import Router
from provisioner.system.ulid import RequestId

_AT_ONCE = 2000
"""The most subjects that are looked up, or looked at again, at once."""

_VERDICTS: tuple[Verdict, ...] = ("ask", "same", "newer", "others", "held", "wrong")
_CODES = {verdict: number for number, verdict in enumerate(_VERDICTS)}
_NEWER = "a newer request has claimed it since the manifest was read"


class Reconcile:
    """The comparison of one manifest with the ledger, and what follows from it."""

    def __init__(self, errand: Errand, follower: Follower, review: Review, router: Router) -> None:
        self._errand = errand
        self._follower = follower
        self._review = review
        self._router = router
        self._listing = errand.listing
        self._writer = errand.submission.writer
        self._tally = manifest.Tally()
        self._verdicts = bytearray()
        self._fingerprints = array("q")
        self._acting: list[int] = []
        self._leaving: dict[str, int] = {}
        self._words: dict[str, tuple[int, float | None]] = {}
        self._toll = Toll()
        self._objects = 0
        self._children = 0

    def run(self) -> Iterator[None]:
        """Do a portion at each step. Raises InvalidRequest, InvalidDocument and Stopped."""
        yield from self._compare()
        yield from self._miss()
        yield from self._toll.weigh(self._follower, self._review.nature)
        self._errand.compared = True
        if self._held():
            return
        yield from self._follow()
        yield from self._suspend()
        yield from self._say()
        yield from self._look()

    # The first pass: nothing is written.

    def _compare(self) -> Iterator[None]:
        moved: list[int] = []
        for some in self._listing.unread():
            known = [line for line in some if isinstance(line, Known)]
            judged = [line for line in some if isinstance(line, Candidate)]
            subjects = [*(line.match.subject for line in known), *_subjects(judged)]
            with self._follower.reading() as conn:
                now = self._standing(conn, subjects)
            moved += [line.number for line in known if not self._recognize(line, now)]
            self._judge(judged, now)
            yield
        for judged in self._listing.read(moved):
            with self._follower.reading() as conn:
                now = self._standing(conn, _subjects(judged))
            self._judge(judged, now)
            yield
        self._acting.sort()

    def _standing(self, conn: Connection, subjects: Collection[str]) -> Mapping[str, Standing]:
        return standings.of(conn, subjects, self._writer, self._errand.age)

    def _recognize(self, line: Known, standing: Mapping[str, Standing]) -> bool:
        """Record a line that matched before, unless it has to be read: more follows from it."""
        match, now = line.match, standing[line.match.subject]
        if not match.holds(now):
            return False
        verdict = manifest.of_alike(now, self._writer, match.ends)
        if verdict == "ask":
            return False
        self._note(match.subject, verdict, now)
        self._note_word(match.subject, verdict, now, match.ends)
        return True

    def _judge(self, some: Sequence[Candidate], standing: Mapping[str, Standing]) -> None:
        """Compare lines with how their subjects stand."""
        shifts = []
        for candidate in some:
            if candidate.request is not None:
                now = standing[candidate.request.subject]
                shifts.append(self._compared(self._meant(candidate, now), candidate.request, now))
        self._toll.add(self._follower, self._review.nature, shifts)

    def _meant(self, candidate: Candidate, now: Standing) -> Candidate:
        """Route a refused line if the writer has its subject: it may ask for nothing new."""
        if candidate.forbidden is None or not now.own(self._writer):
            return candidate
        return self._listing.routed(candidate)

    def _compared(self, candidate: Candidate, request: Request, now: Standing) -> Shift:
        """Record what to do about a line.

        Return the claims that would go with it, and those that would come or change.
        """
        verdict: Verdict = "wrong"
        allowed = candidate.forbidden is None
        wanted = manifest.wanted_by(candidate.planned)
        ends = request.ends.timestamp() if request.ends is not None else None
        seen = self._less_protected(now, wanted)
        if not candidate.problems:
            waiting = self._waiting(request, now)
            verdict = manifest.of_listed(wanted, waiting, seen, self._writer, ends)
        if verdict == "same" and not allowed:
            verdict = "ask"  # so that its own request is judged, and refused
        self._tally.refused += verdict == "ask" and not allowed
        self._note(request.subject, verdict, now, wants_answer=request.id is not None)
        if allowed:
            self._note_word(request.subject, verdict, now, ends)
        if verdict == "same" and seen is now:
            self._keep(candidate, request, ends, now)
        if verdict != "ask":
            return Shift()
        return Shift(seen.pairs - wanted.keys(), self._coming(candidate, now))

    def _note(
        self, subject: str, verdict: Verdict, now: Standing, *, wants_answer: bool = False
    ) -> None:
        """Record what to do about a subject, and how it stands."""
        number = self._listing.subjects[subject]
        missing = max(0, number + 1 - len(self._verdicts))
        self._verdicts.extend(bytes(missing))
        self._fingerprints.extend([0] * missing)
        self._verdicts[number] = _CODES[verdict]
        self._fingerprints[number] = now.fingerprint
        self._tally.counts[verdict] += 1
        if _back(verdict, now, subject):
            self._tally.resumed += 1
            self._acting.append(number)
        elif verdict == "ask" or wants_answer:
            self._acting.append(number)
        if verdict == "same":
            self._objects += len(now.claims)

    def _note_word(self, subject: str, verdict: Verdict, now: Standing, ends: float | None) -> None:
        """Note a person of whom nothing says yet that the writer asks for them, until that date."""
        if verdict in ("others", "same") and now.askers and not now.asks_until(self._writer, ends):
            self._words[subject] = now.fingerprint, ends

    def _keep(
        self, candidate: Candidate, request: Request, ends: float | None, now: Standing
    ) -> None:
        """Keep a line that says what is so already, unless there is more to say about it."""
        claims = matches.digest(now)
        if claims is not None and request.id is None and not candidate.notes:
            number = self._listing.subjects[request.subject]
            self._listing.keep(number, Match(request.subject, ends, claims))

    def _less_protected(self, now: Standing, wanted: manifest.Wanted) -> Standing:
        """Return how a subject stands without the claims that no request takes away."""
        gone = {pair for pair in now.pairs - wanted.keys() if self._review.protects(pair)}
        if not gone:
            return now
        left = tuple(claim for claim in now.claims if (claim.key, claim.claimant) not in gone)
        return replace(now, claims=left)

    def _waiting(self, request: Request, now: Standing) -> dict[RequestId, manifest.Wanted]:
        """Return what a subject's open requests of a line's kind ask for, by id."""
        wanted = {}
        for name, other in now.waiting.items():
            if (other.action, other.subject) == (request.action, request.subject):
                with suppress(Fault):  # the configuration changed: its steps will say so
                    wanted[name] = manifest.wanted_by(self._router.route(other))
        return wanted

    def _coming(self, candidate: Candidate, now: Standing) -> dict[Pair, Want | None]:
        """Return the claims that a line would make, and those by which it could shut people out."""
        is_now = {(claim.key, claim.claimant): claim.want for claim in now.claims}
        can_shut = self._review.nature.can_shut
        return {
            pair: want
            for pair, want in outlines(candidate.planned).items()
            if pair not in is_now or (can_shut(pair[0]) and want != is_now[pair])
        }

    def _miss(self) -> Iterator[None]:
        """Find the subjects that the manifest leaves out, of the kinds that it lists."""
        for kind in sorted(self._kinds() & manifest.LEFT_OUT.keys()):
            last = ""
            while True:
                with self._follower.reading() as conn:
                    names = claiming.subjects_after(conn, kind, last, _AT_ONCE)
                    missed = [name for name in names if name not in self._listing.subjects]
                    now = self._standing(conn, missed)
                    self._toll.going |= holdings.claimed(conn, self._missed(now))
                if not names:
                    break
                last = names[-1]
                yield

    def _kinds(self) -> set[str]:
        """Return the kinds of subjects that it lists, and those that it says are empty."""
        listed = {subject.partition(":")[0] for subject in self._listing.subjects}
        return listed | set(self._errand.request.values["kinds"])

    def _missed(self, standing: Mapping[str, Standing]) -> list[str]:
        """Return those of some left-out subjects that are to be suspended."""
        leaving = []
        for subject, now in standing.items():
            verdict = manifest.of_left_out(now, self._writer)
            self._tally.counts[verdict] += 1
            if verdict == "suspend":
                self._leaving[subject] = now.fingerprint
                leaving.append(subject)
            elif verdict == "given up":
                self._words[subject] = now.fingerprint, None
        return leaving

    def _held(self) -> bool:
        """Hold the whole if too many would lose something and nobody has released that."""
        requested = [
            subject
            for subject, number in self._listing.subjects.items()
            if _VERDICTS[self._verdicts[number]] == "ask"
        ]
        seen = {"requested": requested, "suspended": list(self._leaving)}
        whole = self._errand, self._follower, self._review, self._toll
        return weighing.held(*whole, (self._tally.text(), seen), self._kinds())

    # The second pass: a commit for each portion.

    def _follow(self) -> Iterator[None]:
        for some in self._follower.light(self._listing.again(self._acting), subject_of):
            with self._follower.commit(self._errand) as commit:
                subjects = [c.request.subject for c in some if c.request is not None]
                now = self._standing(commit.conn, subjects)
                following = [
                    line
                    for candidate in some
                    if candidate.request is not None
                    for line in self._following(candidate, candidate.request, now)
                ]
                commit.follow(following)
            yield

    def _following(
        self, candidate: Candidate, request: Request, standing: Mapping[str, Standing]
    ) -> Iterator[Candidate]:
        """Return the requests that follow from a line."""
        subject = request.subject
        number, now = self._listing.subjects[subject], standing[subject]
        verdict = _VERDICTS[self._verdicts[number]]
        if now.fingerprint != self._fingerprints[number]:
            self._pass_over(verdict, now, subject)
            verdict = "newer"
        if _back(verdict, now, subject):
            yield self._child(manifest.about(manifest.BACK, subject))
        if verdict == "ask" or (request.id is not None and verdict in ("same", "wrong")):
            yield candidate
        elif request.id is not None and verdict == "newer":
            yield left_alone(candidate, _NEWER)
        elif request.id is not None and verdict == "others":
            others = ", ".join(now.strangers(self._writer))
            yield left_alone(candidate, f"{others} asked for it")
        elif request.id is not None and verdict == "held":
            yield left_alone(candidate, f"{now.held} is held: release it, or cancel it")

    def _pass_over(self, verdict: Verdict, now: Standing, subject: str) -> None:
        """Count a subject that changed since the comparison as claimed later."""
        self._tally.counts[verdict] -= 1
        self._tally.counts["newer"] += 1

    def _suspend(self) -> Iterator[None]:
        for some in self._follower.light(portions(self._leaving), str):
            with self._follower.commit(self._errand) as commit:
                now = self._standing(commit.conn, some)
                commit.follow(list(self._suspended(some, now)))
            yield

    def _suspended(
        self, subjects: Sequence[str], standing: Mapping[str, Standing]
    ) -> Iterator[Candidate]:
        for subject in subjects:
            if standing[subject].fingerprint == self._leaving[subject]:
                yield self._child(manifest.about(manifest.LEFT_OUT, subject))
            else:
                self._pass_over("suspend", standing[subject], subject)

    def _say(self) -> Iterator[None]:
        """Record whom it lists and leaves out of those for whom another writer asks."""
        for some in portions(self._words):
            with self._follower.commit(self._errand) as commit:
                now = self._standing(commit.conn, some)
                words.say(
                    commit.conn,
                    [
                        self._word(subject, now[subject], commit.now)
                        for subject in some
                        if now[subject].fingerprint == self._words[subject][0]
                    ],
                )
            yield

    def _word(self, subject: str, now: Standing, since: float) -> Word:
        listed = subject in self._listing.subjects
        kept = None if listed else now.beside(self._writer)[-1].request
        ulid, ends = self._errand.submission.ulid, self._words[subject][1]
        return Word(subject, self._writer, listed, ulid, since, kept, ends)

    def _child(self, text: bytes) -> Candidate:
        self._children += 1
        submission = self._errand.submission
        made = child(submission, f"{submission.name}-{self._children}", text)
        return judge(made, self._router, lambda request: None)

    def _look(self) -> Iterator[None]:
        """Make the objects of unchanged subjects due for another look, and end."""
        self._errand.looking = True
        awaited: set[Key] = set()
        same = (
            subject
            for subject, number in self._listing.subjects.items()
            if _VERDICTS[self._verdicts[number]] == "same"
        )
        for some in portions(same, _AT_ONCE):
            if self._objects <= AWAITED:
                with self._follower.reading() as conn:
                    awaited |= claiming.keys_of(conn, some)
            else:
                self._touch(some)
            yield
        with self._follower.commit(self._errand) as commit:
            commit.replace_older(self._kinds())
            commit.conclude(self._ended(commit, awaited))

    def _touch(self, subjects: Sequence[str]) -> None:
        with self._follower.commit(self._errand) as commit:
            keys = claiming.keys_of(commit.conn, subjects)
            left = ledger.as_found(commit.conn, keys)
            object_rows.look_again(commit.conn, keys - left, commit.turn)

    def _ended(self, commit: Commit, awaited: set[Key]) -> Effect:
        effect = look_again(commit.conn, awaited, commit.turn)
        more = []
        if self._objects > AWAITED:
            more = [too_many(self._objects)]
        effect.notes = [self._tally.text(), *self._listing.notes, *more, *effect.notes]
        return effect


def _subjects(some: Sequence[Candidate]) -> list[str]:
    return [candidate.request.subject for candidate in some if candidate.request is not None]


def _back(verdict: Verdict, now: Standing, subject: str) -> bool:
    """Return True if a listed subject was suspended for being left out, and comes back."""
    back = now.suspension is not None and subject.partition(":")[0] in manifest.BACK
    return back and verdict in ("ask", "same", "others")
