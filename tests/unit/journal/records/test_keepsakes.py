"""What the ledger keeps of objects comes back as it was saved, and as what was noted of it."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from provisioner.journal.journal import Journal
from provisioner.journal.records import keepsakes, object_rows
from provisioner.objects.applied import Applied
from provisioner.objects.items import Former
from tests.unit.journal.conftest import Places

JAM: Applied = {"label": {"set": ["jam"], "before": "tea"}}


def as_wanted(conn: Connection) -> None:
    reading = object_rows.Reading(
        key="a",
        generation=1,
        converged=True,
        state={"present": True},
        due=None,
        attempts=0,
        waiting_since=None,
        error=None,
        drop_prior=False,
    )
    object_rows.record(conn, [reading], 1.0)


@pytest.mark.parametrize(
    ("converged", "saved", "kept"),
    [(False, None, {}), (True, None, None), (True, JAM, JAM), (False, JAM, JAM)],
    ids=["never as wanted", "ours before it was noted", "noted", "not written yet"],
)
def test_what_was_never_as_wanted_has_nothing_of_ours_and_of_the_rest_it_is_known_or_not(
    place: Places, converged: bool, saved: Applied | None, kept: Applied | None
) -> None:
    book = Journal.open(place("journal"))
    with book.transaction() as conn:
        object_rows.add(conn, {"a": ("shelf", "shelf", "ann")}, 0.0)
        if converged:
            as_wanted(conn)
        if saved is not None:
            keepsakes.save(conn, Former({}, {"a": saved}))
    with book.reading() as conn:
        begun = converged or saved is not None
        assert keepsakes.of(conn, ["a", "b"]) == {"a": keepsakes.Kept(applied=kept, begun=begun)}
    book.close()


def test_a_look_that_learns_nothing_of_it_leaves_what_was_noted(place: Places) -> None:
    book = Journal.open(place("journal"))
    with book.transaction() as conn:
        object_rows.add(conn, {"a": ("shelf", "shelf", "ann")}, 0.0)
        keepsakes.save(conn, Former({"a": {"label": "tea"}}, {"a": JAM}))
        as_wanted(conn)
    with book.reading() as conn:
        assert keepsakes.of(conn, ["a"])["a"] == keepsakes.Kept({"label": "tea"}, None, JAM, True)
    book.close()
