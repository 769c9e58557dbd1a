"""Adopting: what is in the backends is taken over as it is, by what a manifest lists.

Promises: nothing is written to a backend: the ledger alone changes, in the request's acceptance,
and lanes then look at each object once. What a manifest lists belongs to its subjects from then
on; what it names as an object belongs to nobody, is explained, and left as it is. Leaves out: what
fits and what differs (`found`), and saying so to a person beforehand (`comparison`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from provisioner import agenda, audit, ledger, manifest, marks, records
from provisioner import ulid as ulids
from provisioner.candidates import Candidate
from provisioner.contract import InvalidRequest, Key, Refused, split_key
from provisioner.reconcile import Reconciled
from provisioner.review import Review
from provisioner.verbs import Effect


class Adopter:
    """Takes over what is there, for one site."""

    def __init__(self, review: Review, lanes: Mapping[str, str]) -> None:
        """lanes: lane of each instance."""
        self._review = review
        self._lanes = lanes

    def begin(self, conn: Connection, candidate: Candidate, now: float) -> Reconciled:
        """Say which subjects of a manifest are to be taken over.

        Raises Refused while backends are written to, or where an object is not to be touched;
        InvalidRequest for one of no handler.
        """
        claimed, request = candidate.claimed, candidate.request
        assert request is not None
        if marks.get(conn, marks.OBSERVING) is None:
            raise Refused(
                "backends are written to: what is missing would be made at once",
                advice="say `mode: observe` in the configuration and start the service again; "
                "adopt; then release the journal",
            )
        self._review.check_objects(candidate.objects)
        for key in candidate.objects:
            if split_key(key)[0] not in self._lanes:
                raise InvalidRequest(f"{key} is of no handler", expected=", ".join(self._lanes))
        source = request.values["writer"] or claimed.writer
        as_of = request.values["as_of"]
        after = ulids.first(as_of.timestamp()) if as_of is not None else None
        held = manifest.of_subjects(ledger.everything(conn))
        asked, newer, others = [], 0, 0
        for one in candidate.listed:
            assert one.request is not None
            mine = held.get(one.request.subject, [])
            if manifest.is_newer(mine, after):
                newer += 1
            elif any(claim.source != source for claim in mine):
                others += 1
            else:
                asked.append(one)
        told = f"{newer} claimed later and {others} of other writers left alone"
        return Reconciled(tuple(asked), Effect(notes=[told]))

    def take(
        self,
        conn: Connection,
        candidate: Candidate,
        taken: Sequence[Candidate],
        effect: Effect,
        now: float,
    ) -> None:
        """Mark what was claimed as found here, and explain the objects that nobody claims."""
        claimed, request = candidate.claimed, candidate.request
        assert request is not None
        records.drop_companion(conn, claimed.ulid)
        keys = {claim.key for one in taken for step in one.planned for claim in step.claims}
        found = agenda.OURS if request.values["differing"] else agenda.NEW
        agenda.set_found(conn, keys, found)
        unclaimed = self._unclaimed(conn, candidate.objects)
        agenda.add(conn, {k: (i, self._lanes[i]) for k, i in unclaimed.items()}, now)
        agenda.set_found(conn, unclaimed, agenda.NEW)
        effect.keys = unclaimed
        told = (
            f"{len(taken)} subjects with {len(keys)} objects taken over, {len(unclaimed)} objects "
            "that nobody claims left as they are"
        )
        effect.notes.insert(0, told)
        audit.append(conn, [audit.Event(claimed.ulid, "adopted", told)], now)

    def _unclaimed(self, conn: Connection, keys: Sequence[Key]) -> dict[Key, str]:
        """Choose the objects that nobody claims, nor did: with their instances."""
        known = agenda.instances_of(conn, keys)
        left = agenda.found_as(conn, agenda.NEW, agenda.SEEN)
        claimed = ledger.claims_of(conn, keys)
        return {
            key: split_key(key)[0]
            for key in keys
            if key not in claimed and (key not in known or key in left)
        }
