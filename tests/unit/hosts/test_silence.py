"""Who shows no new sign of life for some seconds is silent, whatever the sign says."""

from __future__ import annotations

import pytest

from provisioner.hosts.silence import Silence

SECONDS = 20.0


def silent(*looks: tuple[float, dict[int, str]]) -> set[int]:
    """Return which jobs are silent at the last of some looks: when, and what each shows."""
    times = iter([at for at, _ in looks])
    found = Silence(SECONDS, lambda: next(times))
    return [found.of("slurm", signs) for _, signs in looks][-1]


@pytest.mark.parametrize(
    ("later", "shown", "found"),
    [
        (SECONDS - 0.1, "12:00", set()),
        (SECONDS, "12:00", {1}),
        (SECONDS, "12:01", set()),
        (SECONDS, "11:00", set()),
    ],
)
def test_a_job_is_silent_that_shows_the_same_for_long(
    later: float, shown: str, found: set[int]
) -> None:
    assert silent((100.0, {1: "12:00"}), (100.0 + later, {1: shown})) == found


def test_it_counts_from_the_first_look_at_a_job() -> None:
    assert silent((100.0, {1: "12:00"}), (110.0, {2: "12:00"}), (120.0, {2: "12:00"})) == set()


def test_a_job_that_was_gone_begins_again() -> None:
    looks: list[tuple[float, dict[int, str]]]
    looks = [(100.0, {1: "12:00"}), (110.0, {}), (120.0, {1: "12:00"})]
    assert silent(*looks) == set()
