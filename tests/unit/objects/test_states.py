"""States and their moves: every state has its place, and the drawing in the docs is the table's."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import pytest

from provisioner.objects.states import (
    ENDED,
    OPEN,
    OVER,
    REQUEST_MOVES,
    STEP_MOVES,
    RequestState,
    StepState,
    diagram,
)

OVERVIEW = Path(__file__).parents[3] / "docs" / "overview.md"


def test_a_request_is_open_or_ended_and_never_both() -> None:
    assert sorted((*OPEN, *ENDED)) == sorted(RequestState)


def test_a_step_waits_is_due_or_is_over() -> None:
    assert sorted((StepState.WAITING, StepState.DUE, *OVER)) == sorted(StepState)


@pytest.mark.parametrize(
    ("states", "moves"),
    [(RequestState, REQUEST_MOVES), (StepState, STEP_MOVES)],
    ids=["requests", "steps"],
)
def test_every_state_is_reached_and_has_its_moves(
    states: type[StrEnum], moves: Mapping[StrEnum | None, Mapping[StrEnum, str]]
) -> None:
    assert set(moves) - {None} == set(states)
    assert {after for some in moves.values() for after in some} == set(states)


def test_the_overview_draws_the_moves_of_the_tables() -> None:
    page = OVERVIEW.read_text()
    for drawn in (diagram(REQUEST_MOVES), diagram(STEP_MOVES)):
        assert f"```mermaid\n{drawn}\n```" in page, f"put this into docs/overview.md:\n{drawn}"
