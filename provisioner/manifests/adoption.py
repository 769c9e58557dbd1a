"""Adopting: what is in the backends is taken over as it is, by what a manifest lists.

Promises: nothing is written to a backend: the ledger alone changes, in the commits in which the
subjects are accepted, and lanes then look at each object once. What a manifest lists belongs to its
subjects from then on; what it names as an object belongs to nobody, is explained, and left as it
is. Leaves out: what fits and what differs (`existing`), and saying so to a person beforehand
(`comparison`).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence

from provisioner.admission.candidates import Candidate
from provisioner.contract import InvalidRequest, Key, Refused, split_key
from provisioner.controls.verbs import Effect
from provisioner.journal import audit, facts
from provisioner.journal.journal import Connection
from provisioner.journal.records import ledger, object_rows
from provisioner.manifests import manifest, standings, weighing
from provisioner.manifests.following import Commit, Errand, Follower
from provisioner.manifests.listing import portions
from provisioner.manifests.manifest import Standing
from provisioner.manifests.weighing import Toll
from provisioner.objects import states
from provisioner.objects.losses import Shift
from provisioner.policy.review import Review

AWAITED = 20_000
"""Most objects that nobody claims for which the request waits; of more it says how many."""

_AT_ONCE = 2000


class Adoption:
    """The adoption of what one manifest lists."""

    def __init__(
        self,
        errand: Errand,
        follower: Follower,
        review: Review,
        lanes: Mapping[str, str],
        source: str,
    ) -> None:
        """lanes: lane of each instance; source: whose the claims become."""
        self._errand = errand
        self._follower = follower
        self._review = review
        self._lanes = lanes
        self._source = source
        self._toll = Toll()
        self._acting: list[int] = []
        self._marks = array("q")
        self._newer, self._others = 0, 0
        self._taken, self._objects = 0, 0

    def run(self) -> Iterator[None]:
        """Do a portion at each step.

        Raises Refused while backends are written to, or where an object is not to be touched;
        InvalidRequest for one of no handler; InvalidDocument and Stopped.
        """
        with self._follower.reading() as conn:
            _check_observing(conn)
        yield from self._compare()
        self._errand.compared = True
        self._check_objects()
        if self._held():
            return
        yield from self._take()
        yield from self._explain()

    def _compare(self) -> Iterator[None]:
        for some in self._errand.listing.portions():
            requests = [c.request for c in some if c.request is not None]
            with self._follower.reading() as conn:
                now = standings.of(conn, [r.subject for r in requests], self._source)
            shifts = []
            for candidate in some:
                if candidate.request is not None:
                    stands = now[candidate.request.subject]
                    if self._note(stands):
                        wanted = manifest.wanted_by(candidate.planned).keys()
                        # What differs is left as it is: whatever is wanted shuts nobody out.
                        coming = dict.fromkeys(wanted - stands.pairs)
                        shifts.append(Shift(stands.pairs - wanted, coming))
            self._toll.add(self._follower, shifts)
            yield

    def _note(self, stands: Standing) -> bool:
        """Keep how the subject of a line stood; say whether it is taken over."""
        number = len(self._marks)
        self._marks.append(stands.mark)
        if stands.newer(self._errand.moment):
            self._newer += 1
        elif stands.strangers(self._source):
            self._others += 1
        else:
            self._acting.append(number)
            return True
        return False

    def _held(self) -> bool:
        """Hold the whole where too many would lose something, and nobody has released that."""
        numbers = set(self._acting)
        taken = [
            name for name, number in self._errand.listing.subjects.items() if number in numbers
        ]
        told = f"{len(taken)} subjects would be taken over as they are listed"
        whole = self._errand, self._follower, self._review, self._toll
        return weighing.held(*whole, (told, {"taken over": taken}))

    def _check_objects(self) -> None:
        self._review.check_objects(self._errand.listing.objects)
        for key in self._errand.listing.objects:
            if split_key(key)[0] not in self._lanes:
                raise InvalidRequest(f"{key} is of no handler", expected=", ".join(self._lanes))

    def _take(self) -> Iterator[None]:
        found = (
            states.Adoption.OURS
            if self._errand.request.values["differing"]
            else states.Adoption.NEW
        )
        for some in self._errand.listing.again(self._acting):
            with self._follower.commit(self._errand) as commit:
                asked = list(self._unchanged(commit.conn, some))
                accepted = commit.follow(asked)
                taken = [one for one in asked if one.submission.ulid in accepted]
                keys = {c.key for one in taken for step in one.planned for c in step.claims}
                object_rows.set_adoption(commit.conn, keys, found)
                self._taken += len(taken)
                self._objects += len(keys)
            yield

    def _unchanged(self, conn: Connection, some: Sequence[Candidate]) -> Iterator[Candidate]:
        """Leave out what was claimed since it was compared."""
        named = [(c, c.request.subject) for c in some if c.request is not None]
        now = standings.of(conn, [subject for _, subject in named], self._source)
        for candidate, subject in named:
            if now[subject].mark == self._marks[self._errand.listing.subjects[subject]]:
                yield candidate
            else:
                self._newer += 1

    def _explain(self) -> Iterator[None]:
        """Explain the objects that nobody claims, and end."""
        explained: dict[Key, str] = {}
        for some in portions(self._errand.listing.objects, _AT_ONCE):
            with self._follower.commit(self._errand) as commit:
                explained |= self._explained(commit, some)
            yield
        told = (
            f"{self._taken} subjects with {self._objects} objects taken over, {len(explained)} "
            "objects that nobody claims left as they are"
        )
        left = f"{self._newer} claimed later and {self._others} of other writers left alone"
        awaited = explained if len(explained) <= AWAITED else {}
        with self._follower.commit(self._errand) as commit:
            event = audit.Event(self._errand.submission.ulid, "adopted", told)
            audit.append(commit.conn, [event], commit.now)
            commit.conclude(Effect(keys=awaited, notes=[told, left]))

    def _explained(self, commit: Commit, keys: Sequence[Key]) -> dict[Key, str]:
        unclaimed = _unclaimed(commit.conn, keys)
        object_rows.add(
            commit.conn, {k: (i, self._lanes[i]) for k, i in unclaimed.items()}, commit.now
        )
        object_rows.set_adoption(commit.conn, unclaimed, states.Adoption.NEW)
        return unclaimed


def _check_observing(conn: Connection) -> None:
    if facts.get(conn, facts.OBSERVING) is None:
        raise Refused(
            "backends are written to: what is missing would be made at once",
            advice="say `mode: observe` in the configuration and start the service again; "
            "adopt; then release the journal",
        )


def _unclaimed(conn: Connection, keys: Sequence[Key]) -> dict[Key, str]:
    """Choose the objects that nobody claims, nor did: with their instances."""
    known = object_rows.instances_of(conn, keys)
    left = object_rows.adopted_among(conn, keys, states.Adoption.NEW, states.Adoption.SEEN)
    claimed = ledger.claims_of(conn, keys)
    return {
        key: split_key(key)[0]
        for key in keys
        if key not in claimed and (key not in known or key in left)
    }
