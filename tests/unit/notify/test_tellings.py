"""What is news to whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioner.config.notify import Event
from provisioner.journal.outbox.known import Known
from provisioner.notify.tellings import AGAIN, Telling, news

TOLD = Telling(
    person="ann",
    role="user",
    event=Event.ALLOCATION_READY,
    subject="allocation:1",
    about="allocation:1",
    fact="a",
    facts={},
)
GONE = replace(TOLD, event=Event.ACCESS_REMOVED, open=False)
FAILED = replace(TOLD, event=Event.REQUEST_FAILED, open=False)

TABLE = {
    "never told, and new": (TOLD, None, Event.ALLOCATION_READY),
    "never told, but there before": (replace(TOLD, fresh=False), None, None),
    "told already": (TOLD, Known("a", True, 0.0), None),
    "another fact": (TOLD, Known("b", True, 0.0), Event.ALLOCATION_CHANGED),
    "open again": (TOLD, Known("a", False, 0.0), Event.ALLOCATION_READY),
    "closed": (GONE, Known("a", True, 0.0), Event.ACCESS_REMOVED),
    "the same failure": (FAILED, Known("a", False, 100.0), None),
    "the same failure a day later": (FAILED, Known("a", False, 99 - AGAIN), Event.REQUEST_FAILED),
    "the same failure after the clock was set back": (
        FAILED, Known("a", False, 200.0), Event.REQUEST_FAILED,
    ),
    "another failure": (FAILED, Known("b", False, 100.0), Event.REQUEST_FAILED),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_only_what_differs_from_what_a_person_knows_is_told(name: str) -> None:
    telling, before, event = TABLE[name]
    knows = {} if before is None else {telling.pair: before}
    told, _ = news([telling], knows, 100.0)
    assert [each.event for each in told] == ([] if event is None else [event])


def test_what_is_not_told_counts_as_known() -> None:
    for telling, silent in ((replace(TOLD, fresh=False), False), (TOLD, True)):
        told, after = news([telling], {}, 100.0, silent=silent)
        assert told == []
        assert after == {telling.pair: Known("a", True, 100.0)}


def test_what_is_known_already_is_not_written_again() -> None:
    assert news([TOLD], {TOLD.pair: Known("a", True, 0.0)}, 100.0) == ([], {})
