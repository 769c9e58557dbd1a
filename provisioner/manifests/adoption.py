"""Adoption: taking over what is in the backends as it is, from a manifest.

Promises: nothing is written to a backend. Only the ledger changes, in the commits that accept the
subjects, and lanes then look at each object once. Whatever a manifest lists belongs to its subjects
from then on. An object that it names without a subject belongs to nobody, is reported, and stays
unchanged. Leaves out: what is as wanted and what differs (`existing`), and showing it to a person
in advance (`comparison`).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence

from provisioner.admission.candidates import Candidate, subject_of
from provisioner.contract import InvalidRequest, Key, Refused, split_key, texts
from provisioner.controls.effects import AWAITED, Effect
from provisioner.journal import audit, facts
from provisioner.journal.journal import Connection
from provisioner.journal.persons import words
from provisioner.journal.persons.words import Word
from provisioner.journal.records import ledger, object_rows
from provisioner.manifests import manifest, standings, weighing
from provisioner.manifests.following import Commit, Errand, Follower
from provisioner.manifests.listing import portions
from provisioner.manifests.manifest import Standing
from provisioner.manifests.weighing import Toll
from provisioner.objects import states
from provisioner.objects.losses import Shift
from provisioner.policy.review import Review
from provisioner.request.request import Request

_AT_ONCE = 2000


class Adoption:
    """The adoption of everything that one manifest lists."""

    def __init__(
        self,
        errand: Errand,
        follower: Follower,
        review: Review,
        lanes: Mapping[str, str],
    ) -> None:
        """lanes: lane of each instance."""
        self._errand = errand
        self._follower = follower
        self._review = review
        self._lanes = lanes
        self._source = errand.listing.whose.writer
        self._toll = Toll()
        self._acting: list[int] = []
        self._words: dict[str, float | None] = {}
        self._fingerprints = array("q")
        self._newer, self._others = 0, 0
        self._taken, self._objects = 0, 0

    def run(self) -> Iterator[None]:
        """Do a portion at each step.

        Raises Refused while the service writes to backends, or if an object may not be touched;
        InvalidRequest for one that no handler serves; InvalidDocument and Stopped.
        """
        with self._follower.reading() as conn:
            _check_observing(conn)
        yield from self._compare()
        yield from self._toll.weigh(self._follower, self._review.nature)
        self._errand.compared = True
        self._check_objects()
        if self._held():
            return
        yield from self._take()
        yield from self._say()
        yield from self._explain()

    def _compare(self) -> Iterator[None]:
        for some in self._errand.listing.portions():
            requests = [c.request for c in some if c.request is not None]
            with self._follower.reading() as conn:
                now = standings.of(
                    conn, [r.subject for r in requests], self._source, self._errand.age
                )
            shifts = []
            for candidate in some:
                if candidate.request is not None:
                    stands = now[candidate.request.subject]
                    if self._note(candidate.request, stands):
                        wanted = manifest.wanted_by(candidate.planned).keys()
                        # An object that differs stays unchanged: its new want shuts nobody out.
                        coming = dict.fromkeys(wanted - stands.pairs)
                        shifts.append(Shift(stands.pairs - wanted, coming))
            self._toll.add(self._follower, self._review.nature, shifts)
            yield

    def _note(self, request: Request, stands: Standing) -> bool:
        """Record how the subject of a line stands. Return True if it is to be taken over."""
        number = len(self._fingerprints)
        self._fingerprints.append(stands.fingerprint)
        if stands.newer(self._source) or stands.given_up(self._source):
            self._newer += 1
        elif stands.strangers(self._source):
            self._others += 1
            ends = request.ends.timestamp() if request.ends is not None else None
            if stands.askers and not stands.asks_until(self._source, ends):
                self._words[request.subject] = ends
        else:
            self._acting.append(number)
            return True
        return False

    def _held(self) -> bool:
        """Hold the whole if too many would lose something and nobody has released that."""
        numbers = set(self._acting)
        taken = [
            name for name, number in self._errand.listing.subjects.items() if number in numbers
        ]
        text = f"{texts.many(len(taken), 'subject')} would be taken over as listed"
        whole = self._errand, self._follower, self._review, self._toll
        return weighing.held(*whole, (text, {"taken over": taken}))

    def _check_objects(self) -> None:
        self._review.check_objects(self._errand.listing.objects)
        for key in self._errand.listing.objects:
            if split_key(key)[0] not in self._lanes:
                raise InvalidRequest(f"no handler serves {key}", expected=", ".join(self._lanes))

    def _take(self) -> Iterator[None]:
        again = self._errand.listing.again(self._acting)
        for some in self._follower.light(again, subject_of):
            with self._follower.commit(self._errand) as commit:
                following = list(self._unchanged(commit.conn, some))
                accepted = commit.follow(following)
                taken = [c for c in following if c.submission.ulid in accepted]
                keys = {c.key for line in taken for step in line.planned for c in step.claims}
                object_rows.set_adoption(commit.conn, keys, states.Adoption.NEW)
                self._taken += len(taken)
                self._objects += len(keys)
            yield

    def _unchanged(self, conn: Connection, some: Sequence[Candidate]) -> Iterator[Candidate]:
        """Leave out subjects that somebody has claimed since the comparison."""
        named = [(c, c.request.subject) for c in some if c.request is not None]
        now = standings.of(conn, [subject for _, subject in named], self._source, self._errand.age)
        for candidate, subject in named:
            if (
                now[subject].fingerprint
                == self._fingerprints[self._errand.listing.subjects[subject]]
            ):
                yield candidate
            else:
                self._newer += 1

    def _say(self) -> Iterator[None]:
        """Record that its writer asks for the persons whom it leaves to others."""
        ulid = self._errand.submission.ulid
        for some in portions(self._words, _AT_ONCE):
            with self._follower.commit(self._errand) as commit:
                said = [
                    Word(name, self._source, True, ulid, commit.now, ends=self._words[name])
                    for name in some
                ]
                words.say(commit.conn, said)
            yield

    def _explain(self) -> Iterator[None]:
        """Make the unclaimed objects known, so that they are looked at, and end."""
        explained: dict[Key, str] = {}
        for some in portions(self._errand.listing.objects, _AT_ONCE):
            with self._follower.commit(self._errand) as commit:
                explained |= self._explained(commit, some)
            yield
        text = (
            f"{texts.many(self._taken, 'subject')} with {texts.many(self._objects, 'object')} "
            f"taken over, {texts.many(len(explained), 'object')} that nobody claims left unchanged"
        )
        left = f"{self._newer} claimed later and {self._others} of other writers left alone"
        awaited = explained if len(explained) <= AWAITED else {}
        with self._follower.commit(self._errand) as commit:
            event = audit.Event(self._errand.submission.ulid, "adopted", text)
            audit.append(commit.conn, [event], commit.now)
            commit.conclude(Effect(keys=awaited, notes=[text, left]))

    def _explained(self, commit: Commit, keys: Sequence[Key]) -> dict[Key, str]:
        unclaimed = _unclaimed(commit.conn, keys)
        writer = self._errand.submission.writer
        placed = {key: (name, self._lanes[name], writer) for key, name in unclaimed.items()}
        object_rows.add(commit.conn, placed, commit.now)
        object_rows.set_adoption(commit.conn, unclaimed, states.Adoption.NEW)
        return unclaimed


def _check_observing(conn: Connection) -> None:
    if facts.get(conn, facts.OBSERVING) is None:
        raise Refused(
            "the service writes to the backends: it would make missing objects at once",
            advice="set `mode: observe` in the configuration and restart the service; adopt; then "
            "release the journal",
        )


def _unclaimed(conn: Connection, keys: Sequence[Key]) -> dict[Key, str]:
    """Return the objects that nobody claims or has ever claimed, with their instances."""
    known = object_rows.instances_of(conn, keys)
    left = object_rows.adopted_among(conn, keys, states.Adoption.NEW, states.Adoption.SEEN)
    claimed = ledger.claims_of(conn, keys)
    return {
        key: split_key(key)[0]
        for key in keys
        if key not in claimed and (key not in known or key in left)
    }
