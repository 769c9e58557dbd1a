"""Which changes of a thing are said at once."""

from __future__ import annotations

from provisioner.coldfront.asking.heard import AT_ONCE, SPELL, Pace


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_first_changes_of_each_thing_are_said_at_once() -> None:
    pace = Pace(Clock())
    for thing in ("a", "b"):
        said = [not pace.is_fast(thing) for _ in range(AT_ONCE + 3)]
        assert said == [True] * AT_ONCE + [False] * 3


def test_the_first_change_after_a_spell_is_said_at_once() -> None:
    clock = Clock()
    pace = Pace(clock)
    for _ in range(AT_ONCE + 1):
        last = pace.is_fast("a")
    clock.now += SPELL - 1
    assert last and pace.is_fast("a")
    clock.now += 1
    assert not pace.is_fast("a")
