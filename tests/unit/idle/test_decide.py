"""What follows for a person from when they last used something."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from provisioner.config.idle import IdleConfig
from provisioner.contract import Unavailable
from provisioner.idle.decide import DAY, Step, decide
from provisioner.idle.sources import parsed
from provisioner.journal.figures.idle import Kept

NOW = 1000 * DAY
SETTINGS = IdleConfig.model_validate(
    {"after": 180, "warn": [30, 7, 1], "sources": {"homes": {"program": ["x"]}}}
)


def ago(days: float) -> float:
    return NOW - days * DAY


def warned(since: float, stage: int, told: float, **more: Any) -> Kept:
    """Make what is kept of a person: first and last warned so many days ago."""
    given = {"since": ago(since), "stage": stage, "told": ago(told), "heard": True, **more}
    return Kept("ann", **given)


NEVER = Kept("ann")
CASES: dict[str, tuple[float | None, float, Kept, Step, int | None]] = {
    # days since the last use, days since they came, what is kept; the step, the stage
    "used lately": (3, 900, NEVER, Step.NONE, None),
    "a day before the first warning": (149, 900, NEVER, Step.NONE, None),
    "at the first warning": (150, 900, NEVER, Step.WARN, 30),
    "idle for years when it began": (900, 950, NEVER, Step.WARN, 30),
    "never seen, and old": (None, 900, NEVER, Step.WARN, 30),
    "never seen, and new": (None, 20, NEVER, Step.NONE, None),
    "came back after years": (900, 5, NEVER, Step.NONE, None),
    "opened lately": (900, 950, Kept("ann", spared=ago(9)), Step.NONE, None),
    "warned, and nothing is due": (160, 900, warned(10, 30, 10), Step.WAIT, 30),
    "at the second warning": (174, 900, warned(24, 30, 24), Step.WARN, 7),
    "at the last warning": (180, 900, warned(29.5, 7, 6), Step.WARN, 1),
    "a day after the last warning": (181, 900, warned(31, 1, 1), Step.CLOSE, 1),
    "less than a day after it": (181, 900, warned(31, 1, 0.5), Step.WAIT, 1),
    "nobody took the last warning": (181, 900, warned(31, 1, 1, heard=False), Step.UNHEARD, 1),
    "its time came while the service was down": (300, 900, warned(90, 30, 90), Step.WARN, 1),
    "used between two warnings": (2, 900, warned(24, 7, 1), Step.NONE, None),
    "idle for years, first warned lately": (900, 950, warned(20, 30, 20), Step.WAIT, 30),
    "warned of more days than are left": (185, 900, warned(30, 7, 2), Step.WAIT, 7),
    "warned by stages that are configured no more": (185, 900, warned(40, 60, 20), Step.WARN, 30),
    "first warned at a time to come": (900, 950, warned(-400, 30, -400), Step.WAIT, 30),
}


@pytest.mark.parametrize("name", CASES)
def test_what_follows_for_a_person(name: str) -> None:
    used, since, kept, step, stage = CASES[name]
    outcome = decide(SETTINGS, None if used is None else ago(used), ago(since), kept, NOW)
    assert (outcome.step, outcome.stage) == (step, stage)


def test_who_is_warned_first_has_all_the_days_that_the_warning_says() -> None:
    outcome = decide(SETTINGS, ago(900), ago(950), NEVER, NOW)
    assert outcome.closes == NOW + 30 * DAY


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "after is too short": ({"after": 20}, "greater than or equal to 30"),
    "warnings rise": ({"after": 180, "warn": [1, 7]}, "must fall from number to number"),
    "nobody is warned": ({"after": 180, "warn": []}, "at least 1 item"),
    "a warning before the last use": ({"after": 60, "warn": [60]}, "begin later than the last use"),
    "no source": ({"after": 180, "sources": {}}, "needs `sources`"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_option_is_refused(name: str) -> None:
    given, words = WRONG[name]
    with pytest.raises(ValidationError, match=words):
        IdleConfig.model_validate({"sources": {"x": {"program": ["x"]}}, **given})


PRINTED = {
    "a date": ("ann\t1970-01-02\n", {"ann": DAY}),
    "a time": ("ann\t1970-01-02T01:00:00+01:00\n", {"ann": DAY}),
    "the later of two": ("ann\t1970-01-03\nann\t1970-01-02\n", {"ann": 2 * DAY}),
}


@pytest.mark.parametrize("name", PRINTED)
def test_what_a_program_prints(name: str) -> None:
    text, expected = PRINTED[name]
    assert parsed(("p",), text).last == expected


NO_ANSWER = {
    "nothing": ("", "it printed nothing"),
    "a line that was cut off": ("ann\t2026-01-01\nbob\t2026-0", "last line has no end"),
    "no tab": ("ann 2026-01-01\n", "line 1 is 'ann 2026-01-01'"),
    "no date": ("ann\t2026-01-01\nbob\tlately\n", "line 2 is"),
    "no name": ("\t2026-01-01\n", "line 1 is"),
    "an empty line": ("\n", "line 1 is ''"),
}


@pytest.mark.parametrize("name", NO_ANSWER)
def test_what_a_program_prints_counts_as_a_whole_or_not_at_all(name: str) -> None:
    text, words = NO_ANSWER[name]
    with pytest.raises(Unavailable, match=words):
        parsed(("p",), text)
