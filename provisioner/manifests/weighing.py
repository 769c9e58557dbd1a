"""Weighing: whether a manifest would take something away from too many people.

Promises: everybody who would lose something by any line is counted once, before anything is done.
If they are too many, the whole manifest is held; a release lets those lose something whom a person
was shown, and nobody else. Leaves out: who loses something (`holdings`), and how many are too many
(`policy`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from provisioner.contract import Want
from provisioner.journal.queries import holdings
from provisioner.journal.records import ledger, request_rows
from provisioner.journal.records.changes import Changes, shown
from provisioner.manifests.following import Errand, Follower
from provisioner.objects.losses import Nature, Pair, Shift, shutting
from provisioner.policy.review import Review

TOGETHER = 5_000
"""The claims that are weighed at once, roughly."""


@dataclass(slots=True)
class Toll:
    """What a manifest would do to claims.

    going: claims that would go or be closed; coming: those that would come or change, on objects
    that others claim, too, or that shut people out by them; losing: who would lose something, as
    `user:NAME`, as far as it is known.
    """

    going: set[Pair] = field(default_factory=set)
    coming: dict[Pair, Want | None] = field(default_factory=dict)
    losing: set[str] = field(default_factory=set)

    def add(self, follower: Follower, nature: Nature, shifts: Collection[Shift]) -> None:
        """Add what the lines of a portion would do.

        A claim on an object that nobody else has now takes nothing from others, so that it is not
        kept: a manifest can have a million lines.
        """
        coming = {pair: want for shift in shifts for pair, want in shift.coming.items()}
        self.going.update(*(shift.going for shift in shifts))
        with follower.reading() as conn:
            held = ledger.pairs(conn, {key for key, _ in coming})
            claims = Counter(key for key, _ in held | coming.keys())
            had = {key for key, _ in held}
            alone = {pair: want for pair, want in coming.items() if claims[pair[0]] == 1}
            able = [key for key, _ in alone if key in had and nature.can_shut(key)]
            now = ledger.claims_of(conn, able)
        kept = {key for key in had if claims[key] > 1}
        kept |= shutting(now, Shift(), Shift(coming=alone), nature)
        self.coming.update((pair, want) for pair, want in coming.items() if pair[0] in kept)

    def weigh(self, follower: Follower, nature: Nature) -> Iterator[None]:
        """Find out who would lose something, in portions: each object decides that by itself."""
        for shift in self._portions():
            with follower.reading() as conn:
                self.losing |= holdings.losers(conn, shift, nature=nature)
            yield

    def _portions(self) -> Iterator[Shift]:
        """Cut it by objects, without sorting it, which would keep the interpreter from others."""
        number = (len(self.going) + len(self.coming)) // TOGETHER + 1
        going: list[set[Pair]] = [set() for _ in range(number)]
        coming: list[dict[Pair, Want | None]] = [{} for _ in range(number)]
        for pair in self.going:
            going[hash(pair[0]) % number].add(pair)
        for pair, want in self.coming.items():
            coming[hash(pair[0]) % number][pair] = want
        self.going, self.coming = set(), {}
        for shift in map(Shift, going, coming):
            if shift.going or shift.coming:
                yield shift


def held(
    errand: Errand,
    follower: Follower,
    review: Review,
    toll: Toll,
    seen: tuple[str, Mapping[str, Sequence[str]]],
    replacing: Collection[str] = (),
) -> bool:
    """Hold the whole manifest if too many would lose something and nobody has released that.

    Return True if it is held. toll: weighed; seen: what a person is shown, and the subjects by what
    would happen to them; replacing: kinds of subjects for which it replaces earlier manifests.
    """
    ulid = errand.submission.ulid
    with follower.reading() as conn:
        crowd = review.crowd(conn, toll.losing)
        released = request_rows.load(conn, [ulid])[ulid].approved_by is not None
        before = shown(conn, ulid) if released else None
    if crowd is None:
        return False
    text, subjects = seen
    counts = {what: len(names) for what, names in subjects.items()}
    changes = Changes(toll.losing, subjects, counts)
    if before is not None and before.cover(changes):
        errand.counted = True
        return False
    with follower.commit(errand) as commit:
        if replacing:
            commit.replace_older(replacing)
        commit.hold(crowd, text, changes)
    return True
