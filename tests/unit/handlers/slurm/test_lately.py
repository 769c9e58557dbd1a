"""The last answers serve once, for the same questions, for a moment, and not after a write."""

from __future__ import annotations

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


def test_a_write_ends_them(kept: Lately[str]) -> None:
    kept.wrote()
    assert kept.take(["who?"]) is None


def test_what_was_asked_before_a_write_ended_is_not_kept(kept: Lately[str]) -> None:
    asked = time.monotonic()
    kept.wrote()
    kept.keep(["who?"], ["bob"], asked)
    assert kept.take(["who?"]) is None
