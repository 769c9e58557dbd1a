"""The tests' supervisor goes by the unit that sites install."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.supervisor import rules

UNIT = Path(__file__).parents[3] / "deploy/systemd/provisioner.service"


@pytest.mark.parametrize(
    ("status", "again"),
    [(0, False), (1, True), (4, False), (-signal.SIGKILL, True), (-signal.SIGTERM, False)],
)
def test_it_starts_again_what_failed_but_not_over_a_wrong_configuration(
    status: int, again: bool
) -> None:
    assert rules(UNIT.read_text()).again(status) is again


def test_it_waits_as_long_as_the_unit_says() -> None:
    assert rules(UNIT.read_text()).pause == 5.0
