"""The last answers serve once, for the same questions, for a moment, and not after a write."""

from __future__ import annotations

import threading
import time

import pytest

from handlers.slurm import lately
from handlers.slurm.lately import Lately


@pytest.fixture
def kept() -> Lately[str]:
    one: Lately[str] = Lately()
    one.keep(["who?"], ["ann"], time.monotonic())
    return one


def test_they_serve_the_same_questions_once(kept: Lately[str]) -> None:
    assert kept.take(["what?"]) is None
    assert kept.take(["who?"]) == ["ann"]
    assert kept.take(["who?"]) is None


def test_they_serve_for_a_moment(kept: Lately[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lately, "MOMENT", -1.0)
    assert kept.take(["who?"]) is None


def test_those_that_are_expected_are_waited_for() -> None:
    one: Lately[str] = Lately()
    one.expect(["who?"])
    waited = threading.Event()

    def answer() -> None:
        waited.set()
        one.keep(["who?"], ["ann"], time.monotonic())
        one.arrived(["who?"])

    with one._turn:  # the answer comes once somebody waits
        threading.Thread(target=answer, daemon=True).start()
        waited.wait(20)
        assert one.take(["who?"]) == ["ann"]


def test_who_is_unhurried_begins_when_somebody_waits() -> None:
    one: Lately[str] = Lately()
    one.expect(["who?"])

    def answer() -> None:
        one.unhurried(3600.0)
        one.keep(["who?"], ["ann"], time.monotonic())
        one.arrived(["who?"])

    threading.Thread(target=answer, daemon=True).start()
    assert one.take(["what?"]) is None
    assert one.take(["who?"]) == ["ann"]


@pytest.mark.parametrize("expected", [["what?"], None])
def test_no_others_are(expected: list[str] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    one: Lately[str] = Lately()
    monkeypatch.setattr(lately, "MOMENT", 3600.0)
    one.expect(expected or ["who?"])
    if expected is None:
        one.arrived(["who?"])
    assert one.take(["who?"]) is None


def test_a_write_ends_them(kept: Lately[str]) -> None:
    kept.wrote()
    assert kept.take(["who?"]) is None


def test_what_was_asked_before_a_write_ended_is_not_kept(kept: Lately[str]) -> None:
    asked = time.monotonic()
    kept.wrote()
    kept.keep(["who?"], ["bob"], asked)
    assert kept.take(["who?"]) is None
