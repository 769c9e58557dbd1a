"""What all journals of a process share."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.engine.interfaces import CacheStats

from provisioner.journal.journal import Journal
from provisioner.journal.schema import told
from tests.unit.journal.conftest import Places

ASKED = select(told.c.person).where(told.c.open)


@pytest.fixture
def known(place: Places) -> Places:
    """Give places, in one of which a journal has been asked for something."""
    first = Journal.open(place("first"))
    with first.reading() as conn:
        conn.scalar(ASKED)
    first.close()
    return place


def test_a_statement_that_one_journal_knows_is_not_compiled_for_the_next(known: Places) -> None:
    second = Journal.open(known("second"))
    seen: list[Any] = []
    with second.reading() as conn:
        event.listen(conn, "before_cursor_execute", lambda *each: seen.append(each[4].cache_hit))
        conn.scalar(ASKED)
    second.close()
    assert seen == [CacheStats.CACHE_HIT]


def test_each_journal_answers_with_its_own_rows(known: Places) -> None:
    first, second = (Journal.open(known(name)) for name in ("third", "second"))
    identities = {first.identity, second.identity}
    for journal in (first, second):
        journal.close()
    assert len(identities) == 2
