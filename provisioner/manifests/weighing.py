"""Weighing: whether a manifest would take something away from too many people.

Promises: everybody who would lose something by any line is counted once, before anything is done.
If they are too many, the whole manifest is held; a release lets those lose something whom a person
was shown, and nobody else. Leaves out: who loses something (`holdings`), and how many are too many
(`policy`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from provisioner.contract import Want
from provisioner.journal.queries import holdings
from provisioner.journal.records import ledger, request_rows
from provisioner.journal.records.changes import Changes, shown
from provisioner.manifests.following import Errand, Follower
from provisioner.objects.losses import Pair, Shift
from provisioner.policy.review import Review


@dataclass(slots=True)
class Toll:
    """What a manifest would do to claims.

    going: claims that would go or be closed; coming: those that would come or change, on objects
    that somebody claims.
    """

    going: set[Pair] = field(default_factory=set)
    coming: dict[Pair, Want | None] = field(default_factory=dict)

    def add(self, follower: Follower, shifts: Collection[Shift]) -> None:
        """Add what the lines of a portion would do."""
        coming = {pair: want for shift in shifts for pair, want in shift.coming.items()}
        with follower.reading() as conn:
            # Nobody can lose an object that nobody has now.
            held = {key for key, _ in ledger.pairs(conn, {key for key, _ in coming})}
        self.going.update(*(shift.going for shift in shifts))
        self.coming.update((pair, want) for pair, want in coming.items() if pair[0] in held)


def held(
    errand: Errand,
    follower: Follower,
    review: Review,
    toll: Toll,
    seen: tuple[str, Mapping[str, Sequence[str]]],
    replacing: Collection[str] = (),
) -> bool:
    """Hold the whole manifest if too many would lose something and nobody has released that.

    Return True if it is held. seen: what a person is shown, and the subjects by what would happen
    to them; replacing: kinds of subjects for which it replaces earlier manifests.
    """
    ulid = errand.submission.ulid
    with follower.reading() as conn:
        losing = holdings.losers(conn, Shift(toll.going, toll.coming), nature=review.nature)
        crowd = review.crowd(conn, losing)
        released = request_rows.load(conn, [ulid])[ulid].approved_by is not None
        before = shown(conn, ulid) if released else None
    if crowd is None:
        return False
    text, subjects = seen
    counts = {what: len(names) for what, names in subjects.items()}
    changes = Changes(losing, subjects, counts)
    if before is not None and before.cover(changes):
        errand.counted = True
        return False
    with follower.commit(errand) as commit:
        if replacing:
            commit.replace_older(replacing)
        commit.hold(crowd, text, changes)
    return True
