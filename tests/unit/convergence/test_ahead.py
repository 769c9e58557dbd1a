"""Who waited for what has just come may look, once, and nobody else."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from provisioner.contract import Key
from provisioner.convergence import ahead
from provisioner.convergence.ahead import Ahead


@pytest.fixture
def looked() -> list[list[Key]]:
    return []


@pytest.fixture
def expected(looked: list[list[Key]]) -> Ahead:
    def look(keys: Collection[Key]) -> None:
        looked.append(sorted(keys))

    return Ahead(look)


@pytest.mark.parametrize(
    ("needed", "came", "looks"),
    [
        (["a"], [["a"]], [["x"]]),
        (["a"], [["b"]], []),
        (["a"], [["a"], ["a"]], [["x"]]),
        (["a", "b"], [["a"]], []),
        (["a", "b"], [["b"], ["c", "a"]], [["x"]]),
        ([], [["a"]], []),  # it waits for something else
    ],
)
def test_an_object_is_looked_at_once_when_all_came_that_its_step_needs(
    expected: Ahead,
    looked: list[list[Key]],
    needed: list[Key],
    came: list[list[Key]],
    looks: list[list[Key]],
) -> None:
    expected.expect({"x": frozenset(needed)})
    for some in came:
        expected.came(some)
    assert looked == looks


def test_those_that_become_ready_together_are_looked_at_together(
    expected: Ahead, looked: list[list[Key]]
) -> None:
    expected.expect({"x": frozenset("a"), "y": frozenset("ab"), "z": frozenset("c")})
    expected.came(["a", "b"])
    assert looked == [["x", "y"]]


def test_of_too_many_the_oldest_are_forgotten(
    expected: Ahead, looked: list[list[Key]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "_MOST", 2)
    for key in "xyz":
        expected.expect({key: frozenset("a")})
    expected.came(["a"])
    assert looked == [["y", "z"]]


def test_a_look_that_fails_keeps_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    def look(_: Collection[Key]) -> None:
        raise ValueError("a bug")

    expected = Ahead(look)
    expected.expect({"x": frozenset("a")})
    expected.came(["a"])
    assert "looking ahead failed" in caplog.text
